use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use crate::{
    Error, absolute, name_of, parent, seam,
    staging::{self, Staging},
};

/// A file being written next to its destination. Dropping it without publishing removes it.
///
/// A new file gets the mode that the umask asks for; one that replaces a file keeps that file's.
/// A symbolic link at the destination is replaced, what it points to stays.
#[derive(Debug)]
#[must_use = "a staged file that is not published is removed"]
pub struct StagedFile {
    dest: PathBuf,
    // Dropped before the staging, so that nothing is written to a removed file.
    writer: BufWriter<Writer>,
    staging: Staging,
}

impl StagedFile {
    /// Starts writing a replacement for `dest`.
    ///
    /// # Errors
    ///
    /// `dest` is a directory ([`IsADirectory`](std::io::ErrorKind::IsADirectory)), or the one that
    /// it is in is not there or may not be written to.
    pub fn create(dest: &Path) -> Result<StagedFile, Error> {
        let dest = absolute(dest)?;
        let name = name_of(&dest)?;
        let old = seam::stat(&dest)?;
        if old.as_ref().is_some_and(|it| it.is_dir()) {
            return Err(Error::new("replace", &dest, io::ErrorKind::IsADirectory.into()));
        }
        staging::sweep_for(parent(&dest), &name)?;
        let staging = Staging::create_file(parent(&dest), &name)?;
        if let Some(old) = old.filter(|it| it.is_file()) {
            seam::set_mode(&staging.path, old.permissions())?;
        }
        let file = staging.file.try_clone().map_err(|e| Error::new("open", &staging.path, e))?;
        let writer = Writer { file, path: staging.path.clone() };
        Ok(StagedFile { dest, writer: BufWriter::with_capacity(1 << 16, writer), staging })
    }

    /// Makes the file durable and puts it at its destination, replacing what was there.
    ///
    /// # Errors
    ///
    /// The end of the file cannot be written, it cannot be synced, or the file system does not
    /// rename: the destination is then as it was. With [`Error::is_in_place`] it is replaced, and
    /// only that may not be durable.
    pub fn publish(self) -> Result<(), Error> {
        let StagedFile { dest, mut writer, staging } = self;
        let flushed = writer.flush();
        let (writer, _) = writer.into_parts();
        flushed.map_err(|e| Error::new("write", &writer.path, e))?;
        seam::sync_file(&writer.file, &writer.path)?;
        staging.publish(&dest)
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[derive(Debug)]
struct Writer {
    file: std::fs::File,
    path: PathBuf,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        seam::write(&self.file, &self.path, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
