use std::{fs::File, io, path::Path};

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};

use crate::manifest::open_regular;

/// A file's length and BLAKE3 hash, in hexadecimal. It must be a regular file, or a link to one.
///
/// Every thread reads and hashes pieces of its own, each small enough to stay in its cache, so that
/// the file goes through memory once.
pub(crate) fn hash(path: &Path) -> io::Result<(u64, String)> {
    let file = open_regular(path)?;
    let len = file.metadata()?.len();
    let direct = if len > PIECE { pretrained_fs::open_around(path) } else { None };
    let input = Input { file: &file, direct: direct.as_ref(), path };
    let hash = if len <= PIECE {
        input.with(0, len, blake3::hash)?
    } else {
        let (left, right) = input.halves(0, len)?;
        merge_subtrees_root(&left, &right, Mode::Hash)
    };
    Ok((len, hash.to_hex().to_string()))
}

#[derive(Clone, Copy)]
struct Input<'a> {
    file: &'a File,
    /// The same around the page cache.
    direct: Option<&'a File>,
    path: &'a Path,
}

impl Input<'_> {
    fn subtree(self, offset: u64, len: u64) -> io::Result<ChainingValue> {
        if len <= PIECE {
            return self.with(offset, len, |bytes| {
                let mut hasher = blake3::Hasher::new();
                hasher.set_input_offset(offset).update(bytes).finalize_non_root()
            });
        }
        let (left, right) = self.halves(offset, len)?;
        Ok(merge_subtrees_non_root(&left, &right, Mode::Hash))
    }

    fn halves(self, offset: u64, len: u64) -> io::Result<(ChainingValue, ChainingValue)> {
        let middle = left_subtree_len(len);
        let left = || self.subtree(offset, middle);
        let right = || self.subtree(offset + middle, len - middle);
        // In order until the pieces are near each other, which is what a disk reads ahead for.
        let (left, right) =
            if len <= WINDOW { rayon::join(left, right) } else { (left(), right()) };
        Ok((left?, right?))
    }

    fn with<T>(self, offset: u64, len: u64, then: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        // At most a piece, whatever the file says of its length.
        let len = len as usize;
        pretrained_fs::with_aligned(len.next_multiple_of(pretrained_fs::BLOCK), |buffer| {
            // What is read around the cache in part, or not at all, is read through it.
            let mut done = match self.direct {
                Some(direct) => pretrained_fs::read_at(direct, self.path, buffer, offset),
                None => Ok(0),
            }
            .unwrap_or(0)
            .min(len);
            while done < len {
                let rest = &mut buffer[done..len];
                match pretrained_fs::read_at(self.file, self.path, rest, offset + done as u64)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    n => done += n,
                }
            }
            Ok(then(&buffer[..len]))
        })
    }
}

/// A power of two, as the halves of a BLAKE3 tree are.
const PIECE: u64 = 512 << 10;
const WINDOW: u64 = 64 << 20;
