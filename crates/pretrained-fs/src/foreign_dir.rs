use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use crate::{Error, reads::Reader};

/// A directory whose files come from someone else.
///
/// Invariant: only regular files are opened that are inside the directory, or in the blob store of
/// the Hugging Face cache that the directory is a snapshot of.
#[derive(Debug)]
pub struct ForeignDir {
    /// As the user wrote it, for messages.
    path: PathBuf,
    /// Where files may really be: the directory itself first.
    roots: Vec<PathBuf>,
}

/// Why a file of a [`ForeignDir`] is not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignError {
    /// The operating system said no.
    #[error(transparent)]
    Io(#[from] Error),
    /// We say no, whatever the operating system would.
    #[error("{}: {refusal}", path.display())]
    Refused {
        /// As the user wrote it.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
}

/// What is not done for a file that comes from someone else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It should be a directory.
    #[error("this is a file, and a directory is needed")]
    NotADirectory,
    /// Its name leads elsewhere.
    #[error("refused: a file of a model must be named by a plain file name")]
    NotAPlainName,
    /// It is a directory, a device, or something else that is not read like a file.
    #[error("refused: this is a directory, a pipe or a device, not a file")]
    NotARegularFile,
    /// It is a link to a file outside the directory.
    #[error(
        "refused: this link leaves the model directory, to {}; put the file itself there",
        target.display()
    )]
    LinkOut {
        /// Where it leads.
        target: PathBuf,
    },
    /// It is longer than anything of its kind.
    #[error("refused: this file is over the limit of {limit} bytes for its kind")]
    TooLarge {
        /// How long it may be, in bytes.
        limit: u64,
    },
}

impl ForeignDir {
    /// The directory at `path`, which may be a link to one.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotADirectory`] for a file; [`ForeignError::Io`] where `path` leads to nothing,
    /// or may not be looked at.
    pub fn new(path: &Path) -> Result<ForeignDir, ForeignError> {
        let failed = |e| Error::new("open", path, e);
        let real = fs::canonicalize(path).map_err(failed)?;
        if !fs::metadata(&real).map_err(failed)?.is_dir() {
            return Err(refused(path, Refusal::NotADirectory));
        }
        let mut roots = blob_stores(&real);
        roots.insert(0, real);
        Ok(ForeignDir { path: path.to_owned(), roots })
    }

    /// The directory as the user wrote it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file of the directory, or of a directory in it, `/` between their names; `None` when
    /// there is no such file.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotAPlainName`] for a name that is empty, absolute or leads upwards,
    /// [`Refusal::LinkOut`] for a link out of the directory, [`Refusal::NotARegularFile`] for what
    /// is there and is no file. [`ForeignError::Io`] for a link to nothing, and for a file that may
    /// not be read.
    pub fn open(&self, name: &str) -> Result<Option<File>, ForeignError> {
        let path = self.path.join(name);
        match self.real(name)? {
            Some(real) => open_regular(&real, &path).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a file of the directory of at most `limit` bytes; `None` when there is no such file.
    ///
    /// # Errors
    ///
    /// As for [`ForeignDir::open`]; and [`Refusal::TooLarge`] for a file of more than `limit`
    /// bytes, [`ForeignError::Io`] where it cannot be read to its end.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, ForeignError> {
        let path = self.path.join(name);
        let Some(file) = self.open(name)? else { return Ok(None) };
        let too_large = || refused(&path, Refusal::TooLarge { limit });
        if file.metadata().is_ok_and(|it| it.len() > limit) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file at the limit from one over it: it may have grown.
        let mut reader = Reader::new(file, &path).take(limit.saturating_add(1));
        reader.read_to_end(&mut bytes).map_err(|e| Error::new("read", &path, e))?;
        if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(Some(bytes)) }
    }

    /// The names of everything in the directory, sorted. Names that are not UTF-8 are left out:
    /// none of the files of a model has one.
    ///
    /// # Errors
    ///
    /// [`ForeignError::Io`] where the directory is gone by now, or may not be listed.
    pub fn names(&self) -> Result<Vec<String>, ForeignError> {
        Ok(list(&self.roots[0], &self.path)?)
    }

    /// The same of a directory in it; none if there is no such directory.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotAPlainName`] and [`Refusal::LinkOut`] for a name that leads elsewhere;
    /// [`ForeignError::Io`] where the directory may not be listed.
    pub fn names_in(&self, name: &str) -> Result<Vec<String>, ForeignError> {
        match self.real(name)? {
            Some(real) if real.is_dir() => Ok(list(&real, &self.path.join(name))?),
            _ => Ok(Vec::new()),
        }
    }

    /// Where a file really is, which is where it may be.
    fn real(&self, name: &str) -> Result<Option<PathBuf>, ForeignError> {
        let path = self.path.join(name);
        let mut parts = Path::new(name).components().peekable();
        if parts.peek().is_none() || !parts.all(|it| matches!(it, Component::Normal(_))) {
            return Err(refused(&path, Refusal::NotAPlainName));
        }
        let failed = |action, e| Error::new(action, &path, e);
        let unresolved = self.roots[0].join(name);
        let metadata = match fs::symlink_metadata(&unresolved) {
            Ok(metadata) => metadata,
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(e) => return Err(failed("open", e).into()),
        };
        if !metadata.is_symlink() && !name.contains('/') {
            return Ok(Some(unresolved));
        }
        let real = fs::canonicalize(&unresolved).map_err(|e| failed("follow the link", e))?;
        if !self.roots.iter().any(|root| real.starts_with(root)) {
            return Err(refused(&path, Refusal::LinkOut { target: real }));
        }
        Ok(Some(real))
    }
}

/// Opens `real`, which messages call `path`, if it is a regular file and not a link.
///
/// # Errors
///
/// [`Refusal::NotARegularFile`] for anything else; [`ForeignError::Io`] where nothing is at `real`,
/// or it may not be read.
pub fn open_regular(real: &Path, path: &Path) -> Result<File, ForeignError> {
    let no_file = || refused(path, Refusal::NotARegularFile);
    let failed = |e| Error::new("open", path, e);
    // Opening a FIFO would wait for a writer, and a device may do anything, so neither is opened
    // before it is known what it is; what was opened is then asked once more, in case somebody
    // put another file there in between.
    if !fs::symlink_metadata(real).map_err(failed)?.is_file() {
        return Err(no_file());
    }
    let file = crate::open_no_link(real).map_err(|e| e.told_of(path))?;
    if file.metadata().map_err(failed)?.is_file() { Ok(file) } else { Err(no_file()) }
}

fn list(real: &Path, path: &Path) -> Result<Vec<String>, Error> {
    let names = crate::list(real).map_err(|e| e.told_of(path))?;
    Ok(names.into_iter().filter_map(|it| it.into_string().ok()).collect())
}

fn refused(path: &Path, refusal: Refusal) -> ForeignError {
    ForeignError::Refused { path: path.to_owned(), refusal }
}

/// Where the links of a Hugging Face cache snapshot point: the repository's own blobs, and the
/// store that all repositories of the cache share.
fn blob_stores(real: &Path) -> Vec<PathBuf> {
    let is_snapshots = |it: &&Path| it.file_name().is_some_and(|name| name == SNAPSHOTS);
    let Some(repository) = real.ancestors().find(is_snapshots).and_then(Path::parent) else {
        return Vec::new();
    };
    let name = repository.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    if !name.starts_with(REPOSITORY_PREFIX) {
        return Vec::new();
    }
    let cache = repository.parent().map(|it| it.join(BLOBS));
    [Some(repository.join(BLOBS)), cache].into_iter().flatten().collect()
}

/// Where a repository of the Hugging Face cache has its commits.
pub const SNAPSHOTS: &str = "snapshots";
/// What the names of a cache's repositories begin with, if they are models.
pub const REPOSITORY_PREFIX: &str = "models--";
const BLOBS: &str = "blobs";
