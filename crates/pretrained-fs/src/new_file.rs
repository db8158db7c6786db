use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Error, KeptFile, around, error::is_refusal, held, seam};

/// A file that did not exist before, for writing into a staged directory.
///
/// Its mode is what the umask asks for. It is not synced: publishing the directory does that.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    file: Arc<File>,
    /// The same around the page cache, if it is to be written so.
    direct: Option<File>,
    /// How much was written one after the other, and how much of that is on its way to the disk.
    written: u64,
    started: u64,
}

impl NewFile {
    /// Creates the file, which must not exist.
    ///
    /// # Errors
    ///
    /// Something is at `path` ([`AlreadyExists`](std::io::ErrorKind::AlreadyExists)), or its
    /// directory is not there or may not be written to.
    pub fn create(path: &Path) -> Result<NewFile, Error> {
        let file = Arc::new(seam::create_file(path)?);
        held::hold(path, &file);
        let direct = around::open_to_write(path);
        Ok(NewFile { path: path.to_owned(), file, direct, written: 0, started: 0 })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, for reading back or mapping.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Reserves space, so that a full disk shows before the writing and not in the middle of it.
    ///
    /// # Errors
    ///
    /// Fewer than `len` bytes are free. A file system that cannot reserve is not an error: there a
    /// full disk shows while writing.
    pub fn allocate(&self, len: u64) -> Result<(), Error> {
        if len == 0 {
            return Ok(());
        }
        match seam::allocate(&self.file, &self.path, len) {
            Err(e) if !is_refusal(&e) => Err(Error::new("reserve space for", &self.path, e)),
            _ => Ok(()),
        }
    }

    /// Writes all of `bytes` at `offset`. Threads may write different ranges at once.
    ///
    /// # Errors
    ///
    /// A write fails, as on a full disk. A part of `bytes` may then be in the file.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        let Some(direct) = self.direct.as_ref().filter(|_| bytes.len() >= LEAST_DIRECT) else {
            return self.write_through(bytes, offset);
        };
        let done = around::write_blocks(self, direct, bytes, offset)?;
        self.write_through(&bytes[..done.start], offset)?;
        self.write_through(&bytes[done.end..], offset + done.end as u64)
    }

    /// Writes through the page cache.
    fn write_through(&self, mut bytes: &[u8], mut offset: u64) -> Result<(), Error> {
        let (start, len) = (offset, bytes.len() as u64);
        while !bytes.is_empty() {
            match seam::write_at(&self.file, &self.path, bytes, offset) {
                Ok(0) => {
                    let source = io::ErrorKind::WriteZero.into();
                    return Err(Error::new("write", &self.path, source));
                }
                Ok(n) => {
                    bytes = &bytes[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
                Err(e) => return Err(Error::new("write", &self.path, e)),
            }
        }
        if PIECE <= len {
            seam::start_writing(&self.file, start, len);
        }
        Ok(())
    }

    /// Keeps the file for directories to come, once all of it is written.
    ///
    /// # Errors
    ///
    /// If the file cannot be looked at.
    pub fn keep(&self) -> Result<KeptFile, Error> {
        let metadata = self.file.metadata();
        Ok(KeptFile::new(&metadata.map_err(|e| Error::new("look at", &self.path, e))?))
    }

    pub(crate) fn sync(&self) -> Result<(), Error> {
        seam::sync_file(&self.file, &self.path)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = seam::write(&self.file, &self.path, bytes)?;
        self.written += n as u64;
        if PIECE <= self.written - self.started {
            seam::start_writing(&self.file, self.started, self.written - self.started);
            self.started = self.written;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Creates a file in a staged directory from bytes at hand.
///
/// # Errors
///
/// As for [`NewFile::create`]; or a write fails, and a part of `bytes` stays in the file.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes).map_err(|e| Error::new("write", path, e))
}

/// Less than this is not worth a system call.
const PIECE: u64 = 4 << 20;
/// Less than this is not worth a way around the page cache.
const LEAST_DIRECT: usize = 256 << 10;
