//! The tokenizer files of a model directory, as bytes.

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use pretrained_fs::{ForeignDir, ForeignError, StagedSet};
use serde_json::{Map, Value};

use crate::{Error, load::python_json};

/// The files a tokenizer consists of, byte for byte as they were found.
///
/// Invariant: every name satisfies [`TokenizerFiles::belongs`], so writing them never leaves the
/// directory they are written to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenizerFiles {
    files: BTreeMap<String, Arc<[u8]>>,
}

impl TokenizerFiles {
    /// The sub-directory of the named chat templates.
    pub const DIR: &str = TEMPLATES;

    /// Whether a file of this name, relative to the model directory and with `/` between its
    /// parts, is part of the tokenizer.
    pub fn belongs(name: &str) -> bool {
        NAMES.contains(&name) || template_name(name).is_some()
    }

    /// Reads the tokenizer files of a model directory. A directory without any gives none, and one
    /// that is not there too.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] where `dir` is a file, where one of the files is a link out of it or over
    /// 256 MiB (a template: 1 MiB), or where one cannot be read; [`Error::Invalid`] for more than
    /// 64 named templates.
    pub fn read(dir: &Path) -> Result<TokenizerFiles, Error> {
        let mut files = BTreeMap::new();
        let Some(dir) = open_dir(dir)? else { return Ok(TokenizerFiles { files }) };
        let mut read = |name: &str| {
            let bytes = dir.read(name, max_len(name))?;
            files.extend(bytes.map(|it| (name.to_owned(), it.into())));
            Ok::<_, Error>(())
        };
        for name in NAMES {
            read(name)?;
        }
        for name in list_templates(&dir)? {
            read(&name)?;
        }
        Ok(TokenizerFiles { files })
    }

    /// Collects files from elsewhere.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a name that no tokenizer file has ([`TokenizerFiles::belongs`]), and
    /// for a file over 256 MiB (a template: 1 MiB).
    pub fn from_parts<N, B>(
        parts: impl IntoIterator<Item = (N, B)>,
    ) -> Result<TokenizerFiles, Error>
    where
        N: Into<String>,
        B: Into<Arc<[u8]>>,
    {
        let mut files = BTreeMap::new();
        for (name, bytes) in parts {
            let (name, bytes) = (name.into(), bytes.into());
            if !TokenizerFiles::belongs(&name) {
                return Err(Error::invalid(name, "not the name of a tokenizer file"));
            }
            if bytes.len() as u64 > max_len(&name) {
                return Err(too_large(Path::new(&name), max_len(&name)));
            }
            files.insert(name, bytes);
        }
        Ok(TokenizerFiles { files })
    }

    /// Writes every file into an existing directory that has none of them.
    ///
    /// This is for a directory that is still private to the caller; to replace the tokenizer of a
    /// directory that others read, use [`TokenizerFiles::save`].
    ///
    /// # Errors
    ///
    /// [`Error::File`] where one of them is there, or cannot be written. Those
    /// before it are there then.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        for (name, bytes) in &self.files {
            let path = dir.join(name);
            if template_name(name).is_some() {
                pretrained_fs::create_dir_all(&dir.join(TEMPLATES))?;
            }
            pretrained_fs::write_new(&path, bytes)?;
        }
        Ok(())
    }

    /// Makes these the tokenizer files of `dir`, all of them or none; its other files stay.
    ///
    /// # Errors
    ///
    /// [`Error::File`] where `dir` is a file, may not be written to, or is being saved into by
    /// another process, or where the disk fails. As for [`StagedSet::publish`], there are the old
    /// files or the new ones even then.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        let staged = StagedSet::create(dir, TokenizerFiles::belongs)?.with_dir(TokenizerFiles::DIR);
        self.write(staged.path())?;
        Ok(staged.publish()?)
    }

    /// The bytes of a file.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|bytes| &**bytes)
    }

    /// The names of the files, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether there is no file at all.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(crate) fn insert(&mut self, name: &str, bytes: Vec<u8>) {
        debug_assert!(TokenizerFiles::belongs(name));
        self.files.insert(name.to_owned(), bytes.into());
    }
}

/// The name of the template in `additional_chat_templates/NAME.jinja`.
pub(crate) fn template_name(file: &str) -> Option<&str> {
    let name = file.strip_prefix(TEMPLATES)?.strip_prefix('/')?.strip_suffix(".jinja")?;
    let plain = !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && !name.contains(['/', '\\', '\0']);
    plain.then_some(name)
}

fn open_dir(dir: &Path) -> Result<Option<ForeignDir>, Error> {
    match ForeignDir::new(dir) {
        Ok(dir) => Ok(Some(dir)),
        Err(ForeignError::Io(e)) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The named templates of a directory, as `additional_chat_templates/NAME.jinja`.
fn list_templates(dir: &ForeignDir) -> Result<Vec<String>, Error> {
    let names = dir.names_in(TEMPLATES)?.into_iter().map(|it| format!("{TEMPLATES}/{it}"));
    let names: Vec<String> = names.filter(|it| template_name(it).is_some()).collect();
    if names.len() > MAX_TEMPLATES {
        let reason = format!("more than {MAX_TEMPLATES} chat templates");
        return Err(Error::invalid(dir.path().join(TEMPLATES), reason));
    }
    Ok(names)
}

/// The model's config.json, which names the family; empty if there is none that can be read as one,
/// since a tokenizer needs no model.
pub(crate) fn read_model_config(dir: &Path) -> Result<Map<String, Value>, Error> {
    let bytes = match open_dir(dir)? {
        Some(dir) => dir.read(MODEL_CONFIG, MAX_TEMPLATE_LEN)?.unwrap_or_default(),
        None => Vec::new(),
    };
    Ok(match python_json::parse(&bytes) {
        Ok(Value::Object(config)) => config,
        _ => Map::new(),
    })
}

fn too_large(path: &Path, max_len: u64) -> Error {
    Error::invalid(path, format!("larger than {} MiB, which no tokenizer is", max_len >> 20))
}

fn max_len(name: &str) -> u64 {
    if name.ends_with(".jinja") { MAX_TEMPLATE_LEN } else { MAX_FILE_LEN }
}

pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const CONFIG: &str = "tokenizer_config.json";
pub(crate) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
pub(crate) const ADDED_TOKENS: &str = "added_tokens.json";
pub(crate) const VOCAB_JSON: &str = "vocab.json";
pub(crate) const MERGES: &str = "merges.txt";
pub(crate) const VOCAB_TXT: &str = "vocab.txt";
pub(crate) const SENTENCEPIECE: &str = "tokenizer.model";
pub(crate) const CHAT_TEMPLATE: &str = "chat_template.jinja";
const MODEL_CONFIG: &str = "config.json";
const TEMPLATES: &str = "additional_chat_templates";

const NAMES: &[&str] = &[
    ADDED_TOKENS,
    CHAT_TEMPLATE,
    MERGES,
    SENTENCEPIECE,
    SPECIAL_TOKENS_MAP,
    TOKENIZER,
    CONFIG,
    VOCAB_JSON,
    VOCAB_TXT,
];

// The largest published tokenizer.json is below 40 MiB, the largest template below 64 KiB.
const MAX_FILE_LEN: u64 = 256 << 20;
const MAX_TEMPLATE_LEN: u64 = 1 << 20;
const MAX_TEMPLATES: usize = 64;
