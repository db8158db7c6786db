//! Long tensors are read piece by piece.

use std::os::unix::fs::FileExt;

use crate::{Error, Location, dir::io_error};

/// Long enough to make the system call's cost small, short enough to stay in a core's cache.
pub(crate) const LEN: usize = 1 << 20;

impl Location<'_> {
    /// Fills `buffer` with the tensor's bytes from `offset` on.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let read = self.file.read_exact_at(buffer, self.offset.saturating_add(offset));
        read.map_err(|e| io_error("read", self.path, e))
    }
}
