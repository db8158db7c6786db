//! The half of the seam that other crates use too: whatever a test makes fail, fails for them.

#![allow(clippy::disallowed_methods, reason = "this is where they are allowed")]

use std::{
    borrow::Borrow,
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use crate::{
    Error,
    seam::{Call, Op},
};

/// Opens a file or a directory for reading. A FIFO does not make it wait.
///
/// # Errors
///
/// Nothing is at `path`, or it may not be read.
pub fn open(path: &Path) -> Result<File, Error> {
    open_with(path, OFlags::NONBLOCK)
}

/// Like [`open`], following no symbolic link.
///
/// # Errors
///
/// As for [`open`]; and where `path` is a symbolic link.
pub fn open_no_link(path: &Path) -> Result<File, Error> {
    open_with(path, OFlags::NONBLOCK | OFlags::NOFOLLOW)
}

fn open_with(path: &Path, flags: OFlags) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    Call::new(Op::Open, path).run(|| options.open(path)).map_err(|e| Error::new("open", path, e))
}

/// Reads some bytes of an open file. `path` is told to tests that watch.
///
/// # Errors
///
/// The system's `read` fails: `file` is a directory, for one, or the disk is damaged. The end of
/// the file is none: 0 bytes are read there.
pub fn read(file: &File, path: &Path, buffer: &mut [u8]) -> io::Result<usize> {
    Call::new(Op::Read, path).read(buffer.len(), |len| (&*file).read(&mut buffer[..len]))
}

/// Reads some bytes of an open file at `offset`, for threads that read different pieces.
///
/// # Errors
///
/// As for [`read`].
pub fn read_at(file: &File, path: &Path, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    Call { offset: Some(offset), ..Call::new(Op::Read, path) }
        .read(buffer.len(), |len| file.read_at(&mut buffer[..len], offset))
}

/// Fills a buffer from `offset` on, for callers that do not know the file's path. Tests that watch
/// are told what the system knows of it.
///
/// # Errors
///
/// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) where the file ends before the buffer is
/// full; else as for [`read`].
pub fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    let path = path_for_tests(file);
    while !buffer.is_empty() {
        match read_at(file, &path, buffer, offset)? {
            0 => {
                let message = format!("the file was cut short at {offset} while it was read");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
            }
            len => {
                buffer = &mut buffer[len..];
                offset += len as u64;
            }
        }
    }
    Ok(())
}

#[cfg(not(any(test, feature = "fault-injection")))]
fn path_for_tests(_: &File) -> PathBuf {
    PathBuf::new()
}

#[cfg(any(test, feature = "fault-injection"))]
fn path_for_tests(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    if !crate::faults::is_watching() {
        return PathBuf::new();
    }
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default()
}

/// An open file, owned or borrowed, as a [`Read`]er whose reads tests can watch.
#[derive(Debug)]
pub struct Reader<'a, F = File> {
    file: F,
    path: &'a Path,
}

impl<'a, F: Borrow<File>> Reader<'a, F> {
    /// Reads from where the file is.
    pub fn new(file: F, path: &'a Path) -> Reader<'a, F> {
        Reader { file, path }
    }
}

impl<F: Borrow<File>> Read for Reader<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read(self.file.borrow(), self.path, buffer)
    }
}
