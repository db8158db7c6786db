use std::{io, path::Path};

use crate::{Error, NewFile, error::is_refusal, seam};

/// How [`link_or_copy`] brought a file to its second place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    /// A copy that shares its blocks until one of the two is written to (btrfs, XFS, bcachefs).
    Cloned,
    /// The same file under two names.
    Linked,
    /// A copy.
    Copied,
}

/// Brings an unchanged file to a second place: cloned where the file system can, else hard-linked,
/// else copied.
///
/// A linked file must not be written in place afterwards, which nothing in this workspace does.
///
/// # Errors
///
/// `from` leads to nothing, or to something that is no file; `to` is there already
/// ([`AlreadyExists`](std::io::ErrorKind::AlreadyExists)), or cannot be written. A file system that
/// neither clones nor links is no error.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<Linkage, Error> {
    let metadata = seam::stat(from)?;
    let metadata =
        metadata.ok_or_else(|| Error::new("open", from, io::ErrorKind::NotFound.into()))?;
    if !metadata.is_file() {
        // A link in a Hugging Face cache, for instance: its content is what is wanted.
        copy_file(from, to)?;
        return Ok(Linkage::Copied);
    }
    let source = crate::open(from)?;
    let target = NewFile::create(to)?;
    match seam::clone((&source, from), (target.file(), to)) {
        Ok(()) => return Ok(Linkage::Cloned),
        Err(e) if is_refusal(&e) => seam::remove_file(to)?,
        Err(e) => return Err(Error::new("clone to", to, e)),
    }
    match seam::link(from, to) {
        Ok(()) => Ok(Linkage::Linked),
        // Refused, too many links, or a file that is another user's.
        Err(e) if e.is_refusal() || is_link_limit(&e) => {
            copy_file(from, to)?;
            Ok(Linkage::Copied)
        }
        Err(e) => Err(e),
    }
}

/// Copies a file, or a directory and what is in it.
pub(crate) fn copy_entry(from: &Path, to: &Path) -> Result<(), Error> {
    if !seam::stat(from)?.is_some_and(|it| it.is_dir()) {
        return copy_file(from, to);
    }
    seam::create_dir(to)?;
    for name in seam::list(from)? {
        copy_entry(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), Error> {
    use std::io::Write;
    let source = crate::open(from)?;
    let metadata = source.metadata().map_err(|e| Error::new("look at", from, e))?;
    if !metadata.is_file() {
        return Err(Error::new("copy", from, io::Error::other("not a regular file")));
    }
    let mut target = NewFile::create(to)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = crate::read(&source, from, &mut buffer).map_err(|e| Error::new("read", from, e))?;
        if n == 0 {
            return Ok(());
        }
        target.write_all(&buffer[..n]).map_err(|e| Error::new("write", to, e))?;
    }
}

/// Whether two files have the same content.
pub(crate) fn is_same(a: &Path, b: &Path) -> Result<bool, Error> {
    let (file_a, file_b) = (crate::open(a)?, crate::open(b)?);
    let (mut buffer_a, mut buffer_b) = (vec![0; 1 << 18], vec![0; 1 << 18]);
    loop {
        let n_a = read_full(&file_a, a, &mut buffer_a)?;
        let n_b = read_full(&file_b, b, &mut buffer_b)?;
        if buffer_a[..n_a] != buffer_b[..n_b] {
            return Ok(false);
        }
        if n_a < buffer_a.len() {
            return Ok(true);
        }
    }
}

fn read_full(file: &std::fs::File, path: &Path, buffer: &mut [u8]) -> Result<usize, Error> {
    let mut len = 0;
    while len < buffer.len() {
        match crate::read(file, path, &mut buffer[len..])
            .map_err(|e| Error::new("read", path, e))?
        {
            0 => break,
            n => len += n,
        }
    }
    Ok(len)
}

/// Whether a link was refused because of what it would be a link to.
pub(crate) fn is_link_limit(error: &Error) -> bool {
    use rustix::io::Errno;
    let limits = [Errno::MLINK, Errno::ACCESS].map(|it| Some(it.raw_os_error()));
    limits.contains(&error.raw_os_error())
}
