use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pretrained_config::Config;
use pretrained_fs::{NewFile, StagedSet};
use pretrained_safetensors::{Dtype, Index, Layout, Metadata, shard_name};
use pretrained_tokenizer::TokenizerFiles;

use crate::{
    CONFIG, Error, GENERATION_CONFIG, OpenOptions, Refusal, SaveOptions, Strictness, Warning,
    Weights, artifact,
    artifact::WEIGHTS_NAME,
    cache,
    files::{WeightFiles, is_shard_of},
    save::{FORMAT, Plan, save_with, write_error},
    stream::Stream,
    tied,
    unchanged::Unchanged,
    weight_file::WeightFile,
};

/// Is told how many bytes of how many are written.
pub(crate) type Progress<'a> = dyn Fn(u64, u64) + Sync + 'a;

/// How to convert.
#[derive(Debug, Clone, Default)]
pub struct ConvertOptions {
    /// Converts the floating-point tensors to this type, those of eight bits as well. The others stay
    /// as they are.
    pub dtype: Option<Dtype>,
    /// How to cut the result into files, and under which variant to read and to save.
    pub save: SaveOptions,
    /// Whether to read files that break the safetensors format as the reference lets them.
    pub strictness: Strictness,
}

/// What was converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The files of weights that were written, and the bytes of each.
    pub files: Vec<(PathBuf, u64)>,
    /// Number of tensors in them.
    pub tensors: usize,
    /// Number of tensors that were cast to another type.
    pub cast: usize,
    /// Names that are not stored, and the one that each of them is stored under.
    pub tied: BTreeMap<String, String>,
    /// What was odd about the source.
    pub warnings: Vec<Warning>,
}

/// Writes weights anew as safetensors: a model directory into another one, with its config and
/// tokenizer; or its weights alone, those of an index or those of a single file into a
/// `.safetensors` file: into shards of that name and an index if it would be over
/// [`SaveOptions::max_shard_size`].
///
/// Tensors are streamed: memory does not grow with the model. What is at the destination is
/// replaced as a whole, or not at all.
///
/// `progress` is told how many bytes of how many are written, from several threads.
///
/// # Errors
///
/// What keeps the source from being opened, as in [`Artifact::open`](crate::Artifact::open), or its
/// tensors from being read; [`Error::Pickle`] also if they are not those of their checksums;
/// [`Error::Tokenizer`] if its tokenizer's files cannot be read.
///
/// [`Error::Refused`] if source and destination are the same, if weights alone are to go where the name
/// is not `*.safetensors`, or there are none, or if a variant makes no plain file name;
/// [`Error::Safetensors`] if a tensor's name or size has no place in such a file; [`Error::Io`] if the
/// destination cannot be written.
pub fn convert(
    source: impl AsRef<Path>,
    dest: impl AsRef<Path>,
    options: &ConvertOptions,
    progress: impl Fn(u64, u64) + Sync,
) -> Result<Converted, Error> {
    let (source, dest) = (cache::resolve(source.as_ref())?, dest.as_ref());
    let same = |a: PathBuf| fs::canonicalize(dest).is_ok_and(|b| a == b);
    if fs::canonicalize(&source).is_ok_and(same) {
        let reason = Refusal::SourceIsDestination;
        return Err(Error::Refused { path: dest.to_owned(), reason });
    }
    let open =
        OpenOptions { variant: options.save.variant.clone(), strictness: options.strictness };
    let is_file = dest.extension().is_some_and(|it| it == EXTENSION) && !dest.is_dir();
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    if source.is_dir() && !is_file {
        return convert_dir(&source, dest, options, &open, &progress);
    }
    let (weights, config, warnings) = if source.is_dir() {
        let (dir, _unchanged) = artifact::open_dir(&source)?;
        let config = dir.open(CONFIG)?.map(|_| artifact::read_config(&dir)).transpose()?;
        let (weights, warnings) = artifact::open_weights(&dir, config.as_ref(), &open)?;
        (weights, config, warnings)
    } else if let Some(index) = WeightFiles::index(&name) {
        let parent = source.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
        let (dir, _unchanged) = artifact::open_dir(parent)?;
        let (weights, warnings) = Weights::open(&dir, &index, open.strictness)?;
        (weights, None, warnings)
    } else {
        let weights = Weights::open_file(&source, open.strictness)?;
        let warnings = weights.odd();
        (weights, None, warnings)
    };
    if weights.is_empty() {
        return Err(Error::Refused { path: source, reason: Refusal::NoTensors });
    }
    let mut converted = convert_weights(&weights, config.as_ref(), dest, options, &progress)?;
    converted.warnings.splice(0..0, warnings);
    Ok(converted)
}

fn convert_dir(
    source: &Path,
    dest: &Path,
    options: &ConvertOptions,
    open: &OpenOptions,
    progress: &Progress<'_>,
) -> Result<Converted, Error> {
    let (dir, _unchanged) = artifact::open_dir(source)?;
    let mut config = artifact::read_config(&dir)?;
    let (weights, mut warnings) = artifact::open_weights(&dir, Some(&config), open)?;
    let untied = tied::untie(&weights, Some(&config))?;

    let stream = Stream::new(&weights, &untied.dropped, options.dtype);
    stream.verify_rest()?;
    let (specs, parameters) = (stream.specs(), stream.elements());
    let mut plan =
        Plan::weights(dest, specs, Some(parameters), &options.save, &Unchanged::default())?;
    let renamed = config.remove(WEIGHTS_NAME).is_some();
    let cast = options.dtype.and_then(config_name);
    if let Some(name) = cast {
        config.remove("torch_dtype");
        config.set("dtype", name);
    }
    match renamed || cast.is_some() {
        true => plan.texts.push((CONFIG.to_owned(), config.to_json().into_bytes())),
        false => plan.texts.extend(artifact::read_text(&dir, CONFIG)?),
    }
    plan.texts.extend(artifact::read_text(&dir, GENERATION_CONFIG)?);
    plan.tokenizer = Some(TokenizerFiles::read(dir.path())?);
    save_with(dest, &plan, |layout, file| {
        layout.write_pieces(file, stream.fill(progress))?;
        stream.check(layout)
    })?;

    warnings.extend(untied.warnings);
    let files = plan.weights.iter().map(|(name, it)| (dest.join(name), it.file_len())).collect();
    Ok(stream.converted(files, untied.dropped, warnings))
}

/// Weights alone, into a file or shards of its name.
fn convert_weights(
    weights: &Weights,
    config: Option<&Config>,
    dest: &Path,
    options: &ConvertOptions,
    progress: &Progress<'_>,
) -> Result<Converted, Error> {
    let refused = |reason| Err(Error::Refused { path: dest.to_owned(), reason });
    let name = dest.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(stem) = name.strip_suffix(".safetensors").filter(|it| !it.is_empty()) else {
        return refused(Refusal::NotNamedSafetensors);
    };
    let mut untied = tied::untie(weights, config)?;
    // The one key that means something else in a file's metadata.
    untied.dropped.remove(FORMAT[0]);

    let stream = Stream::new(weights, &untied.dropped, options.dtype);
    let mut metadata = Metadata::from([FORMAT.map(str::to_owned).into()]);
    // Without a config, this is how the `safetensors` package tells its `load_model` of tied names.
    metadata.extend(untied.dropped.clone());
    let error = |source| {
        Error::from(pretrained_safetensors::Error::Format { path: dest.to_owned(), source })
    };
    let max_bytes = options.save.max_shard_size;
    let layouts = Layout::shards(stream.specs(), max_bytes, &metadata).map_err(error)?;
    let count = layouts.len();
    let shard = |i| match count {
        1 => name.clone(),
        _ => shard_name(stem, EXTENSION, i + 1, count),
    };
    let files: Vec<(String, Layout)> =
        layouts.into_iter().enumerate().map(|(i, it)| (shard(i), it)).collect();
    let index = match count {
        1 => None,
        _ => {
            let shards = files.iter().map(|(name, layout)| (name.as_str(), layout));
            let index = Index::new(shards, Some(stream.elements())).map_err(error)?;
            Some((format!("{name}.index.json"), index.to_json().into_bytes()))
        }
    };
    let parent = dest.parent().filter(|it| *it != Path::new("")).unwrap_or(Path::new("."));
    // Shards replace a single file and other shards of that name, which would be mixed up with them.
    let (single, shards_of) = (name.clone(), index.is_some().then(|| stem.to_owned()));
    let belongs = move |it: &str| {
        let is_shard = |stem: &String| is_shard_of(it, stem, ".safetensors");
        let is_index = shards_of.is_some() && it.strip_suffix(".index.json") == Some(&single);
        it == single || is_index || shards_of.as_ref().is_some_and(is_shard)
    };
    let is_replaced = |file: &WeightFile| {
        let real = fs::canonicalize(file.path()).unwrap_or_else(|_| file.path().to_owned());
        let is_beside = fs::canonicalize(parent).is_ok_and(|it| real.parent() == Some(&it));
        is_beside && real.file_name().is_some_and(|it| belongs(&it.to_string_lossy()))
    };
    if weights.files().iter().any(is_replaced) {
        return refused(Refusal::SourceIsDestination);
    }
    stream.verify_rest()?;

    let staged = StagedSet::create(parent, belongs)?;
    if let Some((name, json)) = &index {
        pretrained_fs::write_new(&staged.path().join(name), json)?;
    }
    for (name, layout) in &files {
        let file = NewFile::create(&staged.path().join(name))?;
        file.allocate(layout.file_len())?;
        let written = layout.write_pieces(&file, stream.fill(progress));
        let checked = written.and_then(|()| stream.check(layout));
        checked.map_err(|e| write_error(&parent.join(name), e))?;
    }
    staged.publish()?;
    let files = files.iter().map(|(name, it)| (parent.join(name), it.file_len())).collect();
    Ok(stream.converted(files, untied.dropped, untied.warnings))
}

const EXTENSION: &str = "safetensors";

/// A floating-point type, as `dtype` in a config spells it.
fn config_name(dtype: Dtype) -> Option<&'static str> {
    match dtype {
        Dtype::F16 => Some("float16"),
        Dtype::BF16 => Some("bfloat16"),
        Dtype::F32 => Some("float32"),
        Dtype::F64 => Some("float64"),
        _ => None,
    }
}

/// Reads a floating-point type as people write it: `bf16`, `bfloat16`, `half`, `F32`.
pub fn parse_float_dtype(text: &str) -> Option<Dtype> {
    match text.to_ascii_lowercase().as_str() {
        "f16" | "fp16" | "float16" | "half" => Some(Dtype::F16),
        "bf16" | "bfloat16" => Some(Dtype::BF16),
        "f32" | "fp32" | "float32" | "float" => Some(Dtype::F32),
        "f64" | "fp64" | "float64" | "double" => Some(Dtype::F64),
        _ => None,
    }
}
