//! The tokenizer files of a model directory, as bytes.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use pretrained_fs::{StagedDir, StagedFile, StagedSet};
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
    /// Whether a file of this name, relative to the model directory and with `/` between its
    /// parts, is part of the tokenizer.
    pub fn belongs(name: &str) -> bool {
        NAMES.contains(&name) || template_name(name).is_some()
    }

    /// Reads the tokenizer files of a model directory. A directory without any gives none.
    pub fn read(dir: &Path) -> Result<TokenizerFiles, Error> {
        let mut files = BTreeMap::new();
        for name in NAMES {
            if let Some(bytes) = read_file(&dir.join(name), max_len(name))? {
                files.insert((*name).to_owned(), bytes);
            }
        }
        for name in list_templates(&dir.join(TEMPLATES))? {
            let name = format!("{TEMPLATES}/{name}");
            if let Some(bytes) = read_file(&dir.join(&name), max_len(&name))? {
                files.insert(name, bytes);
            }
        }
        Ok(TokenizerFiles { files })
    }

    /// Collects files from elsewhere. A name that no tokenizer file has is an error.
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

    /// Writes every file into an existing directory.
    ///
    /// This is for a directory that is still private to the caller; to replace the tokenizer of a
    /// directory that others read, use [`TokenizerFiles::save`].
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        for (name, bytes) in &self.files {
            let path = dir.join(name);
            if template_name(name).is_some() {
                create_dir(&dir.join(TEMPLATES))?;
            }
            write_file(&path, bytes)?;
        }
        Ok(())
    }

    /// Makes these the tokenizer files of `dir`, all of them or none; its other files stay.
    ///
    /// The files of the sub-directory `additional_chat_templates` are replaced one by one, before
    /// the others.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        if !dir.exists() {
            let staged = StagedDir::create(dir)?;
            self.write(staged.path())?;
            return Ok(staged.publish()?);
        }
        let staged = StagedSet::create(dir, TokenizerFiles::belongs)?;
        for (name, bytes) in &self.files {
            if template_name(name).is_some() {
                create_dir(&dir.join(TEMPLATES))?;
                let path = dir.join(name);
                let mut file = StagedFile::create(&path)?;
                file.write_all(bytes).map_err(|e| pretrained_fs::Error::new("write", &path, e))?;
                file.publish()?;
            } else {
                write_file(&staged.path().join(name), bytes)?;
            }
        }
        for name in list_templates(&dir.join(TEMPLATES))? {
            let name = format!("{TEMPLATES}/{name}");
            if !self.files.contains_key(&name) {
                pretrained_fs::remove_file(&dir.join(name))?;
            }
        }
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

fn list_templates(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(pretrained_fs::Error::new("list", dir, e).into()),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| pretrained_fs::Error::new("list", dir, e))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if template_name(&format!("{TEMPLATES}/{name}")).is_none() {
            continue;
        }
        names.push(name);
        if names.len() > MAX_TEMPLATES {
            return Err(Error::invalid(dir, format!("more than {MAX_TEMPLATES} chat templates")));
        }
    }
    Ok(names)
}

/// The model's config.json, which names the family; empty if there is none that can be read as one,
/// since a tokenizer needs no model.
pub(crate) fn read_model_config(dir: &Path) -> Result<Map<String, Value>, Error> {
    let bytes = read_file(&dir.join(MODEL_CONFIG), MAX_TEMPLATE_LEN)?.unwrap_or_default();
    Ok(match python_json::parse(&bytes) {
        Ok(Value::Object(config)) => config,
        _ => Map::new(),
    })
}

fn create_dir(dir: &Path) -> Result<(), Error> {
    Ok(fs::create_dir_all(dir).map_err(|e| pretrained_fs::Error::new("create", dir, e))?)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let written = File::create(path).and_then(|mut file| file.write_all(bytes));
    Ok(written.map_err(|e| pretrained_fs::Error::new("write", path, e))?)
}

/// Reads a regular file of at most `max_len` bytes; `None` if there is none.
fn read_file(path: &Path, max_len: u64) -> Result<Option<Arc<[u8]>>, Error> {
    // Asked before opening because opening a pipe would wait for its other end.
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(pretrained_fs::Error::new("open", path, e).into()),
    };
    if !metadata.is_file() {
        return Err(Error::invalid(path, "not a regular file"));
    }
    if metadata.len() > max_len {
        return Err(too_large(path, max_len));
    }
    let file = File::open(path).map_err(|e| pretrained_fs::Error::new("open", path, e))?;
    let mut bytes = Vec::new();
    // The file may have grown since it was asked for its size.
    file.take(max_len.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| pretrained_fs::Error::new("read", path, e))?;
    if bytes.len() as u64 > max_len {
        return Err(too_large(path, max_len));
    }
    Ok(Some(bytes.into()))
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
