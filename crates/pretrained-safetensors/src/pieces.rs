//! Long buffers are read and written in pieces, in parallel.

use std::{fs::File, io, os::unix::fs::FileExt};

use pretrained_fs::NewFile;
use rayon::prelude::*;

/// Fills a buffer from a position of a file on: in pieces, in parallel, if it is long.
///
/// # Errors
///
/// As for [`pretrained_fs::read_exact_at`], of whichever piece was the first.
pub fn read_file_at(file: &File, buffer: &mut [u8], start: u64) -> io::Result<()> {
    if buffer.len() <= PIECE_LEN {
        return pretrained_fs::read_exact_at(file, buffer, start);
    }
    buffer.par_chunks_mut(PIECE_LEN).enumerate().try_for_each(|(i, piece)| {
        pretrained_fs::read_exact_at(file, piece, start + (i * PIECE_LEN) as u64)
    })
}

/// What can be written in any order, from several threads.
pub trait WriteAt: Sync {
    /// Writes all of `bytes` at a position.
    ///
    /// # Errors
    ///
    /// Whatever the writing fails with. A part of `bytes` may be written then.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
}

impl WriteAt for File {
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, at)
    }
}

impl WriteAt for NewFile {
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        NewFile::write_all_at(self, bytes, at).map_err(|e| io::Error::new(e.kind(), e))
    }
}

/// Writes `bytes` at position `start`.
pub(crate) fn write(out: &impl WriteAt, bytes: &[u8], start: u64) -> io::Result<()> {
    if bytes.len() <= PIECE_LEN {
        return out.write_all_at(bytes, start);
    }
    let pieces = bytes.par_chunks(PIECE_LEN).enumerate();
    pieces.try_for_each(|(i, piece)| out.write_all_at(piece, start + (i * PIECE_LEN) as u64))
}

/// Long enough to make the system call's cost small, short enough to share the work evenly.
pub(crate) const PIECE_LEN: usize = 4 << 20;
