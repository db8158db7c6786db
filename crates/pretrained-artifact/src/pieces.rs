use rayon::prelude::*;

use crate::{Error, Weights};

impl Weights {
    /// Reads a tensor piece by piece, in parallel, and hands every piece to `look` with its
    /// offset.
    pub(crate) fn for_pieces(
        &self,
        name: &str,
        look: impl Fn(usize, &[u8]) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        let len = self.info(name).map_or(0, |it| it.byte_len()) as usize;
        let starts = (0..len).into_par_iter().step_by(LEN);
        starts.try_for_each_init(Vec::new, |buffer, start| {
            buffer.resize(LEN.min(len - start), 0);
            self.read_range(name, start, buffer)?;
            look(start, buffer)
        })
    }
}

/// Long enough to make the system call's cost small, short enough to stay in a core's cache. A
/// multiple of every element size.
const LEN: usize = 1 << 20;
