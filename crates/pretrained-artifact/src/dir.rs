use std::{fs::File, io, path::Path};

use pretrained_fs::ForeignDir;
use pretrained_safetensors::is_plain_name;

use crate::{Error, Refusal};

/// A model directory, whose files come from someone else.
#[derive(Debug)]
pub(crate) struct ModelDir(ForeignDir);

impl ModelDir {
    pub(crate) fn new(path: &Path) -> Result<ModelDir, Error> {
        Ok(ModelDir(ForeignDir::new(path)?))
    }

    /// The directory as the user wrote it.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Opens a file of the directory, or says `None` when there is no such file.
    pub(crate) fn open(&self, name: &str) -> Result<Option<File>, Error> {
        self.check(name)?;
        Ok(self.0.open(name)?)
    }

    /// Reads a text file of the directory, or says `None` when there is no such file.
    pub(crate) fn read_to_string(&self, name: &str, limit: u64) -> Result<Option<String>, Error> {
        self.check(name)?;
        let Some(bytes) = self.0.read(name, limit)? else { return Ok(None) };
        let text = String::from_utf8(bytes).map_err(|e| {
            io_error("read", &self.path().join(name), io::Error::other(e.utf8_error()))
        })?;
        Ok(Some(text))
    }

    /// The names of everything in the directory, sorted, but for those that are not UTF-8.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        Ok(self.0.names()?)
    }

    /// A name that some file told us is to be plain on every system, not on this one alone.
    fn check(&self, name: &str) -> Result<(), Error> {
        if is_plain_name(name) {
            return Ok(());
        }
        Err(Error::Refused { path: self.path().join(name), reason: Refusal::NotAPlainName })
    }
}

pub(crate) fn io_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io(pretrained_fs::Error::new(action, path, source))
}
