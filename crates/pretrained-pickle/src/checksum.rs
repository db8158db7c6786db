//! Checksums of storages: of what is in memory, in a file, or on its way somewhere else.

use std::{io, sync::Mutex};

use crc32fast::Hasher;
use rayon::prelude::*;

use crate::{FormatError, source::Source, zip::Member};

/// The checksum of a storage whose bytes pass by in pieces, from several threads: whoever copies
/// a tensor need not read it twice to know that it is whole.
#[derive(Debug)]
pub struct Checksum {
    key: String,
    expected: u32,
    /// Number of bytes of the storage.
    len: usize,
    /// Where each piece starts and ends, and its hash.
    pieces: Mutex<Vec<(usize, usize, Hasher)>>,
}

impl Checksum {
    pub(crate) fn new(key: &str, member: &Member) -> Checksum {
        let (expected, len) = (member.crc, member.len as usize);
        Checksum { key: key.to_owned(), expected, len, pieces: Mutex::default() }
    }

    /// Takes note of a piece that starts at an offset. Pieces come in any order.
    pub fn add(&self, offset: usize, piece: &[u8]) {
        let hasher = hash(piece);
        // A thread that panicked while it held the lock had not changed anything.
        let mut pieces = self.pieces.lock().unwrap_or_else(|e| e.into_inner());
        pieces.push((offset, offset + piece.len(), hasher));
    }

    /// Whether the pieces make up the storage, and have its checksum.
    ///
    /// # Errors
    ///
    /// [`FormatError::Storage`] where pieces overlap or one is missing, or where the checksum is
    /// another.
    pub fn check(&self) -> Result<(), FormatError> {
        let mut pieces = self.pieces.lock().unwrap_or_else(|e| e.into_inner()).clone();
        pieces.sort_by_key(|(start, end, _)| (*start, *end));
        let (mut all, mut seen) = (Hasher::new(), 0);
        let mut adjoin = true;
        for (start, end, piece) in pieces {
            adjoin &= start == seen;
            seen = end;
            all.combine(&piece);
        }
        compare(&self.key, adjoin && seen == self.len && all.finalize() == self.expected)
    }
}

/// Reads a member piece by piece, in parallel, and compares.
pub(crate) fn check_member(
    source: &Source,
    key: &str,
    member: &Member,
) -> Result<(), crate::source::Failure> {
    let hash_at = |buffer: &mut Vec<u8>, i: u64| {
        let at = i * PIECE_LEN as u64;
        buffer.resize((member.len - at).min(PIECE_LEN as u64) as usize, 0);
        source.read_at(buffer, member.start + at)?;
        Ok(hash(buffer))
    };
    let count = member.len.div_ceil(PIECE_LEN as u64);
    let hashers = (0..count).into_par_iter().map_init(Vec::new, hash_at);
    let hashers = hashers.collect::<io::Result<Vec<Hasher>>>()?;
    Ok(compare(key, combine(hashers) == member.crc)?)
}

/// Compares bytes in memory with what a member's checksum says.
pub(crate) fn check_bytes(bytes: &[u8], key: &str, member: &Member) -> Result<(), FormatError> {
    compare(key, checksum(bytes) == member.crc)
}

/// The checksum of bytes in memory, in parallel.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    combine(bytes.par_chunks(PIECE_LEN).map(hash).collect())
}

fn compare(key: &str, is_same: bool) -> Result<(), FormatError> {
    let problem = "its checksum is not that of its bytes";
    let error = || FormatError::Storage { key: key.to_owned(), problem };
    if is_same { Ok(()) } else { Err(error()) }
}

fn combine(hashers: Vec<Hasher>) -> u32 {
    let mut all = Hasher::new();
    hashers.iter().for_each(|it| all.combine(it));
    all.finalize()
}

fn hash(bytes: &[u8]) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher
}

/// Short enough to be hashed before it leaves a core's cache.
const PIECE_LEN: usize = 512 << 10;
