use std::{fs::File, io};

use pretrained_safetensors::read_file_at;

use crate::FormatError;

/// Where an archive's bytes are.
#[derive(Debug)]
pub(crate) enum Source {
    File { file: File, len: u64 },
    Bytes(Vec<u8>),
}

/// Why reading stopped. The path is known further up.
#[derive(Debug)]
pub(crate) enum Failure {
    Io(io::Error),
    Format(FormatError),
}

impl Source {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Source::File { len, .. } => *len,
            Source::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Fills a buffer from a position on.
    pub(crate) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Source::File { file, .. } => read_file_at(file, buffer, at),
            Source::Bytes(bytes) => {
                let start = usize::try_from(at).ok().filter(|it| *it <= bytes.len());
                let rest = start.map_or(&[][..], |it| &bytes[it..]);
                let found = rest.get(..buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(found);
                Ok(())
            }
        }
    }

    /// Reads a part that is known to be within the file, and to be short.
    pub(crate) fn read(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; len];
        self.read_at(&mut buffer, at)?;
        Ok(buffer)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Failure {
        Failure::Format(error)
    }
}
