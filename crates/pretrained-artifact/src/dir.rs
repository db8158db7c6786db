use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use pretrained_fs::Reader;
use pretrained_safetensors::is_plain_name;

use crate::{Error, Refusal};

/// A directory whose files come from someone else.
///
/// Invariant: [`open`](ModelDir::open) gives regular files that are inside the directory, or in
/// the blob store of the Hugging Face cache that the directory is a snapshot of.
#[derive(Debug)]
pub(crate) struct ModelDir {
    /// As the user wrote it, for messages.
    path: PathBuf,
    /// Where files may really be: the directory itself first.
    roots: Vec<PathBuf>,
}

impl ModelDir {
    pub(crate) fn new(path: &Path) -> Result<ModelDir, Error> {
        let real = fs::canonicalize(path).map_err(|e| io_error("open", path, e))?;
        let metadata = fs::metadata(&real).map_err(|e| io_error("open", path, e))?;
        if !metadata.is_dir() {
            return Err(Error::Refused { path: path.to_owned(), reason: Refusal::NotADirectory });
        }
        let mut roots = blob_stores(&real);
        roots.insert(0, real);
        Ok(ModelDir { path: path.to_owned(), roots })
    }

    /// The directory as the user wrote it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file of the directory, or says `None` when there is no such file.
    pub(crate) fn open(&self, name: &str) -> Result<Option<File>, Error> {
        let path = self.path.join(name);
        let refused = |reason| Err(Error::Refused { path: path.clone(), reason });
        if !is_plain_name(name) {
            return refused(Refusal::NotAPlainName);
        }
        let unresolved = self.roots[0].join(name);
        let metadata = match fs::symlink_metadata(&unresolved) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io_error("open", &path, e)),
        };
        let mut real = unresolved;
        if metadata.is_symlink() {
            real = fs::canonicalize(&real).map_err(|e| io_error("follow the link", &path, e))?;
            if !self.roots.iter().any(|root| real.starts_with(root)) {
                return refused(Refusal::LinkOut { target: real });
            }
        }

        open_regular(&real, &path).map(Some)
    }

    /// Reads a text file of the directory, or says `None` when there is no such file.
    pub(crate) fn read_to_string(&self, name: &str, limit: u64) -> Result<Option<String>, Error> {
        let path = self.path.join(name);
        let Some(file) = self.open(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file at the limit from one over it.
        let read = Reader::new(file, &path).take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|e| io_error("read", &path, e))?;
        if bytes.len() as u64 > limit {
            return Err(Error::Refused { path, reason: Refusal::TooLarge { limit } });
        }
        let text = String::from_utf8(bytes);
        let text = text.map_err(|e| io_error("read", &path, io::Error::other(e.utf8_error())))?;
        Ok(Some(text))
    }

    /// The names of everything in the directory, sorted. Names that are not UTF-8 are left out:
    /// none of the files of a model has one.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        let names = pretrained_fs::list(&self.roots[0]).map_err(|e| e.told_of(&self.path))?;
        Ok(names.into_iter().filter_map(|it| it.into_string().ok()).collect())
    }
}

/// Opens `real`, which messages call `path`, if it is a regular file and not a link.
pub(crate) fn open_regular(real: &Path, path: &Path) -> Result<File, Error> {
    let refused = || {
        let reason = Refusal::NotARegularFile;
        Error::Refused { path: path.to_owned(), reason }
    };
    // Opening a FIFO would wait for a writer, and a device may do anything, so neither is opened
    // before it is known what it is; what was opened is then asked once more, in case somebody
    // put another file there in between.
    let kind = fs::symlink_metadata(real).map_err(|e| io_error("open", path, e))?;
    if !kind.is_file() {
        return Err(refused());
    }
    let file = pretrained_fs::open_no_link(real).map_err(|e| e.told_of(path))?;
    let metadata = file.metadata().map_err(|e| io_error("open", path, e))?;
    metadata.is_file().then_some(file).ok_or_else(refused)
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

pub(crate) fn io_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io(pretrained_fs::Error::new(action, path, source))
}

pub(crate) const SNAPSHOTS: &str = "snapshots";
pub(crate) const REPOSITORY_PREFIX: &str = "models--";
const BLOBS: &str = "blobs";
