use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    path::Path,
};

use pretrained_fs::{KeptFile, NewFile};
use pretrained_safetensors::{Layout, TensorSpec};
use pretrained_tokenizer::TokenizerFiles;

use crate::{Error, save::write_error};

/// What the saves of one run have in common. A file that holds the same as before is not written again but
/// becomes one more name of that one, where the file system allows it.
///
/// Configurations and tokenizers are compared. Of tensors it has to be said which ones do not change: they
/// get files of their own.
///
/// Each is written twice, and saves take turns with the two: what damages a file of one checkpoint must not
/// damage the one before, too.
#[derive(Debug, Default)]
pub struct Unchanged {
    tensors: BTreeSet<String>,
    files: BTreeMap<String, (Content, VecDeque<KeptFile>)>,
}

/// What a file was written from.
#[derive(Debug, PartialEq)]
pub(crate) enum Content {
    Text(Vec<u8>),
    /// Its part of them.
    Tokenizer(TokenizerFiles),
    /// Such as do not change.
    Tensors(Vec<TensorSpec>),
}

impl Unchanged {
    /// For a run that leaves these tensors, by their names in the files, as they are.
    pub fn new(tensors: BTreeSet<String>) -> Unchanged {
        Unchanged { tensors, files: BTreeMap::new() }
    }

    /// Forgets what was written: these tensors have other values from now on.
    pub fn clear(&mut self) {
        self.files.clear();
    }

    /// Tensors that share files: those that do not change, and the others.
    pub(crate) fn split(&self, tensors: Vec<TensorSpec>) -> Vec<Vec<TensorSpec>> {
        let (unchanged, others): (Vec<_>, Vec<_>) =
            tensors.into_iter().partition(|it| self.tensors.contains(&it.name));
        match unchanged.is_empty() || others.is_empty() {
            true => vec![[unchanged, others].concat()],
            false => vec![unchanged, others],
        }
    }

    /// What a file of weights is known by, if it is the same each time.
    pub(crate) fn content(&self, layout: &Layout) -> Option<Content> {
        let is_unchanged = layout.tensors().all(|it| self.tensors.contains(&it.name));
        is_unchanged.then(|| Content::Tensors(layout.tensors().cloned().collect()))
    }

    /// Has `write` fill a file, unless it is the turn of one that has the same content.
    pub(crate) fn file(
        &mut self,
        dir: &Path,
        name: &str,
        content: Option<Content>,
        write: impl FnOnce(&mut NewFile) -> io::Result<()>,
    ) -> Result<(), Error> {
        let mut kept = match self.files.remove(name) {
            Some((before, kept)) if Some(&before) == content.as_ref() => kept,
            _ => VecDeque::new(),
        };
        let oldest = if kept.len() == TURNS { kept.pop_front() } else { None };
        let is_linked = oldest.as_ref().map_or(Ok(false), |it| it.link_into(dir, name))?;
        if let Some(oldest) = oldest.filter(|_| is_linked) {
            kept.push_back(oldest);
        } else {
            let path = dir.join(name);
            let mut file = NewFile::create(&path)?;
            write(&mut file).map_err(|e| write_error(&path, e))?;
            kept.push_back(file.keep()?);
        }
        if let Some(content) = content {
            self.files.insert(name.to_owned(), (content, kept));
        }
        Ok(())
    }
}

/// How many files of one content take turns.
const TURNS: usize = 2;
