//! The one place that touches the disk.
//!
//! Every operation of this crate goes through a function of this file or of `reads`, each of which asks
//! [`crate::faults`] first when the `fault-injection` feature is on. Nothing here retries an
//! `fsync`: after a failed one Linux marks the lost pages clean, so that a second one succeeds
//! without the data being on disk.

#![allow(clippy::disallowed_methods, reason = "this is where they are allowed")]

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FlockOperation, RenameFlags};

use crate::{Error, reads::open};

/// What an operation does. One for each system call that this crate makes.
#[cfg_attr(
    not(any(test, feature = "fault-injection")),
    allow(dead_code, unreachable_pub, reason = "only tests look at it")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Op {
    /// `mkdir`
    CreateDir,
    /// `open` with `O_CREAT | O_EXCL`, or of a lock file
    CreateFile,
    /// `open` for reading
    Open,
    /// `read`
    Read,
    /// `write` or `pwrite`
    Write,
    /// `fallocate`
    Allocate,
    /// `ftruncate`
    Truncate,
    /// `fchmod`
    SetMode,
    /// `fsync` of a file
    SyncFile,
    /// `fsync` of a directory
    SyncDir,
    /// `rename`
    Rename,
    /// `renameat2` with `RENAME_EXCHANGE`
    Exchange,
    /// `link`
    Link,
    /// `symlink`
    Symlink,
    /// `readlink`
    ReadLink,
    /// `ioctl(FICLONE)`
    Clone,
    /// `unlink`
    RemoveFile,
    /// `rmdir`
    RemoveDir,
    /// `readdir`
    List,
    /// `lstat`
    Stat,
    /// `flock`
    Lock,
}

/// One call of an operation, as a test sees it.
#[cfg_attr(
    not(any(test, feature = "fault-injection")),
    allow(dead_code, unreachable_pub, reason = "only tests look at it")
)]
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Call<'a> {
    /// What is done.
    pub op: Op,
    /// To which path.
    pub path: &'a Path,
    /// The other path of a rename, an exchange or a link (where it goes), or what a symbolic link
    /// says.
    pub to: Option<&'a Path>,
    /// The bytes of a write.
    pub bytes: &'a [u8],
    /// Where a write or a read is, or `None` where the last one ended.
    pub offset: Option<u64>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(op: Op, path: &'a Path) -> Call<'a> {
        Call { op, path, to: None, bytes: &[], offset: None }
    }

    fn to(self, to: &'a Path) -> Call<'a> {
        Call { to: Some(to), ..self }
    }

    /// Runs `real`, unless a test wants otherwise; `EINTR` is retried.
    pub(crate) fn run<T>(&self, mut real: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match self.attempt(&mut real) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                res => return res,
            }
        }
    }

    #[cfg(not(any(test, feature = "fault-injection")))]
    fn attempt<T>(&self, mut real: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        real()
    }

    #[cfg(any(test, feature = "fault-injection"))]
    fn attempt<T>(&self, mut real: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        crate::faults::around(self, |_| real())
    }

    #[cfg(not(any(test, feature = "fault-injection")))]
    fn sync(&self, real: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        real()
    }

    #[cfg(any(test, feature = "fault-injection"))]
    fn sync(&self, real: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        crate::faults::around_sync(self, real)
    }

    #[cfg(not(any(test, feature = "fault-injection")))]
    fn write(&self, mut real: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<usize> {
        real(self.bytes)
    }

    /// Runs a read of up to `len` bytes, which is told how many it may read.
    #[cfg(not(any(test, feature = "fault-injection")))]
    pub(crate) fn read(
        &self,
        len: usize,
        mut real: impl FnMut(usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.run(|| real(len))
    }

    #[cfg(any(test, feature = "fault-injection"))]
    pub(crate) fn read(
        &self,
        len: usize,
        mut real: impl FnMut(usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match crate::faults::around_read(self, len, &mut real) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                res => return res,
            }
        }
    }

    #[cfg(any(test, feature = "fault-injection"))]
    fn write(&self, mut real: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<usize> {
        crate::faults::around_write(self, |bytes| real(bytes))
    }
}

pub(crate) fn create_dir(path: &Path) -> Result<(), Error> {
    Call::new(Op::CreateDir, path)
        .run(|| fs::create_dir(path))
        .map_err(|e| Error::new("create", path, e))
}

/// Creates a file that did not exist, with the mode that the umask asks for.
pub(crate) fn create_file(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    Call::new(Op::CreateFile, path)
        .run(|| options.open(path))
        .map_err(|e| Error::new("create", path, e))
}

/// Opens a file around the page cache.
#[cfg(target_os = "linux")]
pub(crate) fn open_direct(path: &Path, write: bool) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    let flags = rustix::fs::OFlags::DIRECT | rustix::fs::OFlags::NOFOLLOW;
    let mut options = OpenOptions::new();
    options.read(!write).write(write).custom_flags(flags.bits().cast_signed());
    Call::new(Op::Open, path).run(|| options.open(path))
}

/// Elsewhere there is no such flag.
#[cfg(not(target_os = "linux"))]
pub(crate) fn open_direct(_: &Path, _: bool) -> io::Result<File> {
    Err(rustix::io::Errno::NOSYS.into())
}

/// Opens a lock file, which may or may not exist.
pub(crate) fn open_lock(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    Call::new(Op::CreateFile, path)
        .run(|| options.open(path))
        .map_err(|e| Error::new("create", path, e))
}

/// One `write` after what was written so far. `EINTR` is the caller's to retry, as for any `Write`.
pub(crate) fn write(file: &File, path: &Path, bytes: &[u8]) -> io::Result<usize> {
    Call { bytes, ..Call::new(Op::Write, path) }.write(|bytes| (&*file).write(bytes))
}

/// One `pwrite`.
pub(crate) fn write_at(file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<usize> {
    Call { bytes, offset: Some(offset), ..Call::new(Op::Write, path) }
        .write(|bytes| file.write_at(bytes, offset))
}

#[cfg(target_os = "linux")]
pub(crate) fn allocate(file: &File, path: &Path, len: u64) -> io::Result<()> {
    use rustix::fs::FallocateFlags;

    Call::new(Op::Allocate, path)
        .run(|| Ok(rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, len)?))
}

/// Elsewhere there is no reserving without changing the length.
#[cfg(not(target_os = "linux"))]
pub(crate) fn allocate(_: &File, _: &Path, _: u64) -> io::Result<()> {
    Err(rustix::io::Errno::NOSYS.into())
}

/// Asks the kernel to start writing a range to the disk, so that the sync at the end finds little
/// left to do. Linux takes this advice as that, and keeps what is being written in its cache.
#[cfg(target_os = "linux")]
pub(crate) fn start_writing(file: &File, offset: u64, len: u64) {
    use rustix::fs::{Advice, fadvise};
    // It is advice: nothing is lost if it is not taken.
    let _ = fadvise(file, offset, std::num::NonZeroU64::new(len), Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn start_writing(_: &File, _: u64, _: u64) {}

pub(crate) fn truncate(file: &File, path: &Path) -> Result<(), Error> {
    Call::new(Op::Truncate, path)
        .run(|| file.set_len(0))
        .map_err(|e| Error::new("truncate", path, e))
}

pub(crate) fn set_mode(path: &Path, mode: Permissions) -> Result<(), Error> {
    Call::new(Op::SetMode, path)
        .run(|| fs::set_permissions(path, mode.clone()))
        .map_err(|e| Error::new("set the mode of", path, e))
}

pub(crate) fn sync_file(file: &File, path: &Path) -> Result<(), Error> {
    Call::new(Op::SyncFile, path).sync(|| file.sync_all()).map_err(|e| Error::new("sync", path, e))
}

/// Makes a directory's entries durable.
///
/// Some file systems (FUSE, SMB, object-store mounts) have no such operation and say so. There the
/// rename is as durable as the server makes it, which `docs/durability.md` says too.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Error> {
    let dir = open(path)?;
    let synced = Call::new(Op::SyncDir, path).sync(|| dir.sync_all());
    match synced.map_err(|e| Error::new("sync", path, e)) {
        Err(e) if e.is_refusal() => Ok(()),
        res => res,
    }
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    Call::new(Op::Rename, from)
        .to(to)
        .run(|| fs::rename(from, to))
        .map_err(|e| Error::new("rename to", to, e))
}

/// Swaps two directories in one step.
pub(crate) fn exchange(a: &Path, b: &Path) -> Result<(), Error> {
    Call::new(Op::Exchange, a)
        .to(b)
        .run(|| Ok(rustix::fs::renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?))
        .map_err(|e| Error::new("exchange with", b, e))
}

pub(crate) fn link(from: &Path, to: &Path) -> Result<(), Error> {
    Call::new(Op::Link, from)
        .to(to)
        .run(|| fs::hard_link(from, to))
        .map_err(|e| Error::new("link to", to, e))
}

/// Makes a symbolic link that says `target`.
pub(crate) fn symlink(target: &Path, at: &Path) -> Result<(), Error> {
    Call::new(Op::Symlink, at)
        .to(target)
        .run(|| std::os::unix::fs::symlink(target, at))
        .map_err(|e| Error::new("create the link", at, e))
}

pub(crate) fn read_link(path: &Path) -> Result<PathBuf, Error> {
    Call::new(Op::ReadLink, path)
        .run(|| fs::read_link(path))
        .map_err(|e| Error::new("read the link", path, e))
}

#[cfg(target_os = "linux")]
pub(crate) fn clone(from: (&File, &Path), to: (&File, &Path)) -> io::Result<()> {
    Call::new(Op::Clone, from.1).to(to.1).run(|| Ok(rustix::fs::ioctl_ficlone(to.0, from.0)?))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn clone(_: (&File, &Path), _: (&File, &Path)) -> io::Result<()> {
    Err(rustix::io::Errno::NOSYS.into())
}

pub(crate) fn remove_file(path: &Path) -> Result<(), Error> {
    Call::new(Op::RemoveFile, path)
        .run(|| fs::remove_file(path))
        .map_err(|e| Error::new("remove", path, e))
}

pub(crate) fn remove_empty_dir(path: &Path) -> Result<(), Error> {
    Call::new(Op::RemoveDir, path)
        .run(|| fs::remove_dir(path))
        .map_err(|e| Error::new("remove", path, e))
}

/// The names in a directory, sorted so that runs are comparable.
///
/// # Errors
///
/// Nothing is at `path`, or it is no directory, or may not be listed.
pub fn list(path: &Path) -> Result<Vec<OsString>, Error> {
    let read = || fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect();
    let names: io::Result<Vec<OsString>> = Call::new(Op::List, path).run(read);
    let mut names = names.map_err(|e| Error::new("list", path, e))?;
    names.sort();
    Ok(names)
}

/// What is at a path, without following a link, or `None` if nothing is.
pub(crate) fn stat(path: &Path) -> Result<Option<Metadata>, Error> {
    found(path, Call::new(Op::Stat, path).run(|| fs::symlink_metadata(path)))
}

/// What is at a path or where a link at it leads, or `None` if nothing is.
///
/// # Errors
///
/// A directory on the way may not be searched, or links lead in a circle.
pub fn metadata(path: &Path) -> Result<Option<Metadata>, Error> {
    found(path, Call::new(Op::Stat, path).run(|| fs::metadata(path)))
}

fn found(path: &Path, metadata: io::Result<Metadata>) -> Result<Option<Metadata>, Error> {
    match metadata {
        Ok(metadata) => Ok(Some(metadata)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(e) => Err(Error::new("look at", path, e)),
    }
}

/// Takes a lock without waiting. `Ok(false)` if somebody else holds it.
pub(crate) fn try_lock(file: &File, path: &Path, operation: FlockOperation) -> io::Result<bool> {
    match Call::new(Op::Lock, path).run(|| Ok(rustix::fs::flock(file, operation)?)) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether an error of [`try_lock`] means that the file system has no locks.
pub(crate) fn has_no_locks(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let answers = [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL, Errno::BADF];
    Errno::from_io_error(error).is_some_and(|it| answers.contains(&it))
}
