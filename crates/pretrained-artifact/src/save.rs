use std::{
    borrow::Cow,
    io::{self, Write},
    path::Path,
};

use pretrained_config::{Config, GenerationConfig};
use pretrained_fs::{NewFile, StagedSet};
use pretrained_safetensors::{Index, Layout, Metadata, TensorSpec, is_plain_name, shard_name};
use pretrained_tokenizer::TokenizerFiles;

use crate::{
    CONFIG, Error, GENERATION_CONFIG, INDEX, MODEL, Refusal,
    artifact::WEIGHTS_NAME,
    dir::io_error,
    files::{holds_weights, with_variant},
    unchanged::{Content, Unchanged},
};

/// What a model directory is made of.
#[derive(Debug, Clone)]
pub struct Contents<'a> {
    /// The model's configuration.
    pub config: &'a Config,
    /// How it generates, for a model that does.
    pub generation_config: Option<&'a GenerationConfig>,
    /// Its tensors, each of the tied ones once. Their order decides which shard they go to.
    pub tensors: Vec<TensorSpec>,
    /// Its tokenizer. Without one, the tokenizer files of the directory stay as they are.
    pub tokenizer: Option<&'a TokenizerFiles>,
    /// Number of parameters, each shared one counted once.
    pub total_parameters: Option<u64>,
}

/// How to save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveOptions {
    /// Bytes of tensors that a file may have before another one is begun. A tensor that is
    /// longer gets a file of its own. Parse `"5GB"` with [`parse_size`](crate::parse_size).
    pub max_shard_size: u64,
    /// `fp16` saves `model.fp16.safetensors`, beside what is there without a variant.
    pub variant: Option<String>,
}

impl Default for SaveOptions {
    fn default() -> SaveOptions {
        SaveOptions { max_shard_size: 50_000_000_000, variant: None }
    }
}

/// Saves a model into a directory, which is created if needed.
///
/// The directory changes at once: whatever happens, it has the old model or the new one. Weights
/// of an earlier save, in whichever layout, are replaced; files that are no part of a model, and
/// other variants, stay as they are.
///
/// `data` is asked for the bytes of several tensors at a time, little-endian and in C order.
///
/// # Errors
///
/// [`Error::Refused`] if the variant makes no plain file name; [`Error::Safetensors`] if two
/// tensors have one name, or one has a name or a size with no place in a file; [`Error::Io`] if the
/// directory cannot be written, if `data` fails, or if it gives other than the bytes of a tensor's
/// shape.
pub fn save<'d>(
    dir: impl AsRef<Path>,
    contents: &Contents<'_>,
    data: impl Fn(&TensorSpec) -> io::Result<Cow<'d, [u8]>> + Sync,
    options: &SaveOptions,
) -> Result<(), Error> {
    save_with(
        dir.as_ref(),
        &contents.plan(dir.as_ref(), options, &Unchanged::default())?,
        |layout, file| layout.write_parallel(file, &data),
    )
}

/// Writes a model's files into an empty directory that the caller stages and publishes itself.
///
/// # Errors
///
/// As [`save`]; also [`Error::Io`] if one of the files is there already.
pub fn write_into<'d>(
    dir: impl AsRef<Path>,
    contents: &Contents<'_>,
    data: impl Fn(&TensorSpec) -> io::Result<Cow<'d, [u8]>> + Sync,
    options: &SaveOptions,
) -> Result<(), Error> {
    write_changed_into(dir, contents, data, options, &mut Unchanged::default())
}

/// The same, for one directory after the other, each beside the last: what has not changed since is not
/// written again.
///
/// # Errors
///
/// As for [`write_into`]; and if the directories beside `dir` cannot be listed.
pub fn write_changed_into<'d>(
    dir: impl AsRef<Path>,
    contents: &Contents<'_>,
    data: impl Fn(&TensorSpec) -> io::Result<Cow<'d, [u8]>> + Sync,
    options: &SaveOptions,
    unchanged: &mut Unchanged,
) -> Result<(), Error> {
    let (dir, plan) = (dir.as_ref(), contents.plan(dir.as_ref(), options, unchanged)?);
    plan.write(dir, unchanged, |layout, file| layout.write_parallel(file, &data))
}

/// Saves a planned model; `write` fills one file of weights.
pub(crate) fn save_with(
    dir: &Path,
    plan: &Plan,
    write: impl Fn(&Layout, &NewFile) -> io::Result<()>,
) -> Result<(), Error> {
    let (variant, tokenizer) = (plan.variant.clone(), plan.tokenizer.is_some());
    let belongs = move |name: &str| {
        name == CONFIG
            || name == GENERATION_CONFIG
            || holds_weights(name, variant.as_deref())
            || tokenizer && TokenizerFiles::belongs(name)
    };
    let mut staged = StagedSet::create(dir, belongs)?.gate(CONFIG);
    if plan.tokenizer.is_some() {
        staged = staged.with_dir(TokenizerFiles::DIR);
    }
    plan.write(staged.path(), &mut Unchanged::default(), write)?;
    Ok(staged.publish()?)
}

/// Every file of a model, decided before the first is written.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Names and contents of the small ones.
    pub(crate) texts: Vec<(String, Vec<u8>)>,
    pub(crate) tokenizer: Option<TokenizerFiles>,
    pub(crate) weights: Vec<(String, Layout)>,
    variant: Option<String>,
}

impl Plan {
    fn tokenizer_files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let names = self.tokenizer.iter().flat_map(TokenizerFiles::names);
        names.filter_map(|it| Some((it, self.tokenizer.as_ref()?.get(it)?)))
    }

    /// Plans the files of weights, and the index if there is more than one.
    pub(crate) fn weights(
        dir: &Path,
        tensors: Vec<TensorSpec>,
        total_parameters: Option<u64>,
        options: &SaveOptions,
        unchanged: &Unchanged,
    ) -> Result<Plan, Error> {
        let variant = options.variant.clone();
        let single = with_variant(MODEL, variant.as_deref());
        if !is_plain_name(&single) {
            let path = dir.join(&single);
            return Err(Error::Refused { path, reason: Refusal::NotAPlainName });
        }
        let error = |source| {
            let path = dir.join(&single);
            Error::Safetensors(pretrained_safetensors::Error::Format { path, source })
        };
        let metadata = Metadata::from([FORMAT.map(str::to_owned).into()]);
        let mut layouts = Vec::new();
        for tensors in unchanged.split(tensors) {
            let shards = Layout::shards(tensors, options.max_shard_size, &metadata);
            layouts.extend(shards.map_err(error)?);
        }
        let mut texts = Vec::new();
        let weights: Vec<(String, Layout)> = match layouts.len() {
            1 => vec![(single.clone(), layouts.remove(0))],
            count => {
                let (stem, extension) = single.rsplit_once('.').unwrap_or((&single, ""));
                let name = |(i, layout)| (shard_name(stem, extension, i + 1, count), layout);
                layouts.into_iter().enumerate().map(name).collect()
            }
        };
        if weights.len() > 1 {
            let shards = weights.iter().map(|(name, layout)| (name.as_str(), layout));
            let index = Index::new(shards, total_parameters).map_err(error)?;
            texts.push((with_variant(INDEX, variant.as_deref()), index.to_json().into_bytes()));
        }
        Ok(Plan { texts, tokenizer: None, weights, variant })
    }

    fn write(
        &self,
        dir: &Path,
        unchanged: &mut Unchanged,
        write: impl Fn(&Layout, &NewFile) -> io::Result<()>,
    ) -> Result<(), Error> {
        for (name, text) in &self.texts {
            let content = Some(Content::Text(text.clone()));
            unchanged.file(dir, name, content, |file| file.write_all(text))?;
        }
        for (name, bytes) in self.tokenizer_files() {
            // Named chat templates have a directory of their own.
            if let Some((parent, _)) = name.rsplit_once('/') {
                pretrained_fs::create_dir_all(&dir.join(parent))?;
            }
            let content = self.tokenizer.clone().map(Content::Tokenizer);
            unchanged.file(dir, name, content, |file| file.write_all(bytes))?;
        }
        // One file after the other: the pieces of a file keep every core busy already, and what
        // is in memory stays within the bounds of one file.
        for (name, layout) in &self.weights {
            unchanged.file(dir, name, unchanged.content(layout), |file| {
                file.allocate(layout.file_len())?;
                write(layout, file)
            })?;
        }
        Ok(())
    }
}

impl Contents<'_> {
    fn plan(
        &self,
        dir: &Path,
        options: &SaveOptions,
        unchanged: &Unchanged,
    ) -> Result<Plan, Error> {
        let (tensors, total) = (self.tensors.clone(), self.total_parameters);
        let mut plan = Plan::weights(dir, tensors, total, options, unchanged)?;
        let mut config = self.config.clone();
        config.remove(WEIGHTS_NAME);
        plan.texts.push((CONFIG.to_owned(), config.to_json().into_bytes()));
        if let Some(generation) = self.generation_config {
            plan.texts.push((GENERATION_CONFIG.to_owned(), generation.to_json().into_bytes()));
        }
        plan.tokenizer = self.tokenizer.cloned();
        Ok(plan)
    }
}

/// Writing a file failed: in the file system, in reading what was to be written, or in the
/// caller's own code. Each of them names the right path already, or has none.
pub(crate) fn write_error(path: &Path, error: io::Error) -> Error {
    let error = match error.downcast::<pretrained_fs::Error>() {
        Ok(error) => return error.into(),
        Err(error) => error,
    };
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => io_error("write", path, error),
    }
}

/// What transformers writes into a file's metadata, and older versions of it ask for.
pub(crate) const FORMAT: [&str; 2] = ["format", "pt"];
