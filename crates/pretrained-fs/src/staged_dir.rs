use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Error, INCOMPLETE, Linkage, absolute, create_dir_all, held, in_place, link_or_copy, name_of,
    parent, seam,
    staging::{self, Staging, remove_at_once},
};

/// A directory being filled next to its destination. Dropping it without publishing removes it.
#[derive(Debug)]
#[must_use = "a staged directory that is not published is removed"]
pub struct StagedDir {
    dest: PathBuf,
    staging: Staging,
}

impl StagedDir {
    /// Creates an empty private directory that will become `dest`, and `dest`'s parents.
    ///
    /// # Errors
    ///
    /// `dest` is a file ([`NotADirectory`](std::io::ErrorKind::NotADirectory)), a directory with
    /// something in it ([`AlreadyExists`](std::io::ErrorKind::AlreadyExists)), or a symbolic link to
    /// nothing; or its parents cannot be created, or written to.
    pub fn create(dest: &Path) -> Result<StagedDir, Error> {
        let dest = resolve(dest)?;
        let name = name_of(&dest)?;
        create_dir_all(parent(&dest))?;
        check_free(&dest)?;
        staging::sweep_for(parent(&dest), &name)?;
        let staging = Staging::create_dir(parent(&dest), &name)?;
        Ok(StagedDir { dest, staging })
    }

    /// Where to write, until the directory is published.
    pub fn path(&self) -> &Path {
        &self.staging.path
    }

    /// Takes over an unchanged file from another directory without writing it again where the
    /// file system allows it; see [`link_or_copy`].
    ///
    /// # Errors
    ///
    /// As for the function [`link_or_copy`].
    pub fn link_or_copy(&self, from: &Path, name: &str) -> Result<Linkage, Error> {
        link_or_copy(from, &self.path().join(name))
    }

    /// Makes every file durable, then gives the directory its final name.
    ///
    /// # Errors
    ///
    /// The destination exists by now and is not empty
    /// ([`AlreadyExists`](std::io::ErrorKind::AlreadyExists)), a file cannot be synced, or the file
    /// system does not rename: the staged directory is then removed. With [`Error::is_in_place`] it
    /// has its final name, and only that may not be durable.
    pub fn publish(self) -> Result<(), Error> {
        sync_tree(self.path())?;
        check_free(&self.dest)?;
        self.staging.publish(&self.dest)
    }

    /// Like [`publish`](StagedDir::publish), with a second way for file systems that do not rename
    /// (object-store mounts): there the files are copied to the destination, the file `last` after
    /// all others, so that whoever finds `last` finds the rest.
    ///
    /// While it copies, the destination holds a file [`INCOMPLETE`].
    ///
    /// # Errors
    ///
    /// As for [`publish`](StagedDir::publish); or copying fails, and what was copied is removed
    /// again. What cannot be removed stays marked.
    pub fn publish_with_last(self, last: &str) -> Result<(), Error> {
        sync_tree(self.path())?;
        check_free(&self.dest)?;
        match seam::rename(self.path(), &self.dest) {
            Ok(()) => {
                self.staging.disarm();
                seam::sync_dir(parent(&self.dest)).map_err(Error::after_commit)
            }
            Err(e) if e.is_refusal() => {
                let copied = in_place::copy(self.path(), &self.dest, last);
                if copied.as_ref().is_err_and(|e| !e.is_in_place()) {
                    // Whoever finds it knows by the marker that it is incomplete.
                    let _ = in_place::remove(&self.dest, last);
                }
                copied
            }
            Err(e) => Err(e),
        }
    }
}

/// Removes a directory so that it disappears at once, even if removing its files is interrupted.
///
/// A symbolic link is removed itself, not what it points to.
///
/// # Errors
///
/// `path` is not there, its parent may not be written to, or the file system does not rename: it is
/// then as it was. With [`Error::is_in_place`] it is gone, and only that may not be durable; what
/// was in it and cannot be removed is left to [`sweep`](crate::sweep).
pub fn remove_dir(path: &Path) -> Result<(), Error> {
    remove_at_once(&absolute(path)?)
}

/// Like [`remove_dir`], with a second way for file systems that do not rename: there the file `last`
/// goes before all others, so that whoever finds it finds the rest.
///
/// # Errors
///
/// As for [`remove_dir`]; but where the file system does not rename, a file in it cannot be
/// removed, and the rest stays, marked as [`INCOMPLETE`].
pub fn remove_dir_with_last(path: &Path, last: &str) -> Result<(), Error> {
    let path = absolute(path)?;
    match remove_at_once(&path) {
        Err(e) if e.is_refusal() && !e.is_in_place() => in_place::remove(&path, last),
        res => res,
    }
}

/// Removes what a crash left of a directory that was being filled or emptied in place: one that is
/// empty, or marked as [`INCOMPLETE`] and not whole, which the caller sees by its file `last`. Says
/// whether it was one.
///
/// # Errors
///
/// `path` cannot be listed, as where nothing is there, or what is in it cannot be removed.
pub fn sweep_incomplete(
    path: &Path,
    last: &str,
    is_whole: impl FnOnce(&Path) -> bool,
) -> Result<bool, Error> {
    let path = absolute(path)?;
    if seam::list(&path)?.is_empty() {
        seam::remove_empty_dir(&path)?;
        return Ok(true);
    }
    if seam::stat(&path.join(INCOMPLETE))?.is_none() || is_whole(&path) {
        return Ok(false);
    }
    in_place::remove(&path, last)?;
    Ok(true)
}

/// Removes a file, durably.
///
/// # Errors
///
/// `path` is not there, is a directory, or may not be removed. With [`Error::is_in_place`] it is
/// gone, and only that may not be durable.
pub fn remove_file(path: &Path) -> Result<(), Error> {
    let path = absolute(path)?;
    seam::remove_file(&path)?;
    seam::sync_dir(parent(&path)).map_err(Error::after_commit)
}

/// Renames a directory within its parent, durably, to a name that nothing has.
///
/// # Errors
///
/// `to` is a file ([`NotADirectory`](std::io::ErrorKind::NotADirectory)) or a directory with
/// something in it ([`AlreadyExists`](std::io::ErrorKind::AlreadyExists)), or the system does not
/// rename `from` to it. With [`Error::is_in_place`] it is renamed, and only that may not be
/// durable.
pub fn rename_dir(from: &Path, to: &Path) -> Result<(), Error> {
    let (from, to) = (absolute(from)?, absolute(to)?);
    check_free(&to)?;
    seam::rename(&from, &to)?;
    seam::sync_dir(parent(&to)).map_err(Error::after_commit)
}

/// Syncs every file below `dir` and every directory, the innermost first.
pub(crate) fn sync_tree(dir: &Path) -> Result<(), Error> {
    for name in seam::list(dir)? {
        let path = dir.join(name);
        match seam::stat(&path)? {
            Some(metadata) if metadata.is_dir() => sync_tree(&path)?,
            Some(metadata) if metadata.is_file() => match held::take(&path)? {
                Some(file) => seam::sync_file(&file, &path)?,
                None => seam::sync_file(&crate::open(&path)?, &path)?,
            },
            // Links and the like have nothing to sync but their entry.
            _ => (),
        }
    }
    seam::sync_dir(dir)
}

/// Follows a symbolic link at `dest`, which would otherwise make the final rename fail.
fn resolve(dest: &Path) -> Result<PathBuf, Error> {
    let dest = absolute(dest)?;
    if seam::stat(&dest)?.is_some_and(|it| it.is_symlink()) {
        let advice = "it is a symbolic link to nothing; remove it or choose another path";
        return fs::canonicalize(&dest)
            .map_err(|e| Error::new("resolve", &dest, e).with_advice(advice));
    }
    Ok(dest)
}

fn check_free(dest: &Path) -> Result<(), Error> {
    let taken = |kind: io::ErrorKind, advice| {
        Err(Error::new("create", dest, kind.into()).with_advice(advice))
    };
    match seam::stat(dest)? {
        None => Ok(()),
        Some(metadata) if !metadata.is_dir() => {
            taken(io::ErrorKind::NotADirectory, "a file is there; choose another path")
        }
        Some(_) if seam::list(dest)?.is_empty() => Ok(()),
        Some(_) => {
            taken(io::ErrorKind::AlreadyExists, "the directory is not empty; choose another path")
        }
    }
}
