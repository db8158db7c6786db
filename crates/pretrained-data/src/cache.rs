use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use pretrained_tokenizer::AutoTokenizer;

use crate::{
    Error,
    source::{hash, total_len},
    store::{self, Builder, Store},
};

/// How far reading and tokenizing are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the files that were read.
    pub bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Tokens so far.
    pub tokens: u64,
}

/// Who is told how far reading and tokenizing are, and may end them.
pub(crate) struct Watcher<'a> {
    total_bytes: u64,
    on_progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
}

impl<'a> Watcher<'a> {
    /// A file that is not there is an error here, before any work is done.
    pub(crate) fn new(
        files: &[PathBuf],
        on_progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Watcher<'a>, Error> {
        Ok(Watcher { total_bytes: total_len(files)?, on_progress })
    }

    pub(crate) fn tell(&mut self, bytes: u64, tokens: u64) -> Result<(), Error> {
        let total_bytes = self.total_bytes;
        match (self.on_progress)(Progress { bytes, total_bytes, tokens }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Stopped),
        }
    }

    /// Between reading pieces of what is only looked at.
    pub(crate) fn look(&mut self) -> Result<(), Error> {
        self.tell(0, 0)
    }
}

/// How files become examples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataOptions {
    /// Tokens in an example: exactly so many in blocks of text, at most so many elsewhere.
    pub block_size: usize,
    /// Keeps what is left after the last whole block of text as a shorter one.
    pub keep_tail: bool,
    /// Where tokenized files are kept. A file there is used by every later run with the same
    /// files and tokenizer, and is mapped, so that data may be larger than memory. Any entry may be
    /// removed at any time. `None`: tokenized in memory each time.
    pub cache_dir: Option<PathBuf>,
}

impl DataOptions {
    /// Examples of `block_size` tokens, in memory.
    pub fn new(block_size: usize) -> DataOptions {
        DataOptions { block_size, keep_tail: false, cache_dir: None }
    }
}

/// What a set of tokenized files is known by: the same files, tokenizer and `recipe` have the
/// same key, and any change gives another one.
pub(crate) fn key(
    files: &[PathBuf],
    tokenizer: &AutoTokenizer,
    recipe: &str,
    watcher: &mut Watcher<'_>,
) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    add(VERSION);
    add(recipe.as_bytes());
    for name in tokenizer.files().names() {
        add(name.as_bytes());
        add(tokenizer.files().get(name).unwrap_or_default());
    }
    for path in files {
        add(hash(path, || watcher.look())?.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Takes the tokens that are known by `key` from the cache, or has `fill` make them.
pub(crate) fn tokenized(
    key: &str,
    cache_dir: Option<&Path>,
    watcher: &mut Watcher<'_>,
    fill: impl FnOnce(&mut Builder, &mut Watcher<'_>) -> Result<(), Error>,
) -> Result<Store, Error> {
    let Some(cache_dir) = cache_dir else {
        let mut builder = Builder::new(None)?;
        fill(&mut builder, watcher)?;
        return builder.finish();
    };
    let dir = cache_dir.join(key);
    if let Some(store) = store::open(&dir, || watcher.look())? {
        return Ok(store);
    }
    pretrained_fs::create_dir_all(cache_dir).map_err(Error::Cache)?;
    if dir.exists() {
        // Not as it was written.
        pretrained_fs::remove_dir(&dir).map_err(Error::Cache)?;
    }
    let mut builder = Builder::new(Some(&dir))?;
    fill(&mut builder, watcher)?;
    builder.finish()
}

/// Changes whenever the same input would give other tokens or another layout.
const VERSION: &[u8] = b"pretrained-data 1";
