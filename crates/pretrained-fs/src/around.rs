//! Writing around the page cache, beside work that needs the cores and the memory.
//!
//! Through the cache a byte is copied by the CPU, its page is found and zeroed, and the kernel writes it back
//! some time: of two cores, seconds for a checkpoint. Around it the disk fetches the byte itself.

use std::{
    cell::{Cell, RefCell},
    fs::File,
    path::Path,
};

use crate::{Error, new_file::NewFile, seam};

/// Runs a closure in which long files are written by this thread, and by those that it lends them to,
/// around the page cache, where the file system can. What is written is the same, and as durable.
pub fn around_cache<T>(run: impl FnOnce() -> T) -> T {
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            AROUND.set(self.0);
        }
    }

    let _before = Before(AROUND.replace(true));
    run()
}

/// Opens a file for reading around the page cache, in [`around_cache`]; `None` elsewhere, and where the
/// file system cannot. Reads begin at multiples of [`BLOCK`], of multiples of it, to memory at multiples
/// of it.
pub fn open_around(path: &Path) -> Option<File> {
    if AROUND.get() { seam::open_direct(path, false).ok() } else { None }
}

/// What a file is opened a second time for, to be written around the page cache.
pub(crate) fn open_to_write(path: &Path) -> Option<File> {
    if AROUND.get() { seam::open_direct(path, true).ok() } else { None }
}

/// Writes the blocks that are wholly within a piece around the page cache, by way of memory as it must
/// lie for that. Says which part of the piece that was.
pub(crate) fn write_blocks(
    file: &NewFile,
    direct: &File,
    bytes: &[u8],
    offset: u64,
) -> Result<std::ops::Range<usize>, Error> {
    let start = (offset.next_multiple_of(BLOCK as u64) - offset) as usize;
    let end = start + bytes.len().saturating_sub(start) / BLOCK * BLOCK;
    let mut done = start;
    while done < end {
        let part = &bytes[done..end.min(done + PART)];
        let written = with_aligned(PART, |buffer| {
            buffer[..part.len()].copy_from_slice(part);
            seam::write_at(direct, file.path(), &buffer[..part.len()], offset + done as u64)
        });
        match written {
            Ok(n) if n == part.len() => done += n,
            // What is left, if need be with its error, goes through the cache.
            Ok(_) | Err(_) => break,
        }
    }
    Ok(start.min(bytes.len())..done.max(start).min(bytes.len()))
}

/// Lends memory of a length that begins at a multiple of [`BLOCK`].
pub fn with_aligned<T>(len: usize, run: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        let needed = len + BLOCK;
        if buffer.len() < needed {
            buffer.resize(needed, 0);
        }
        let start = buffer.as_ptr().align_offset(BLOCK).min(BLOCK);
        run(&mut buffer[start..start + len])
    })
}

/// What disks of today are asked for at a time.
pub const BLOCK: usize = 4096;
/// Small enough to stay in a core's cache, large enough to keep a disk busy.
const PART: usize = 1 << 20;

thread_local! {
    static AROUND: Cell<bool> = const { Cell::new(false) };
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let bytes: Vec<u8> = (0..5_000_003u32).map(|i| (i.wrapping_mul(7919) >> 3) as u8).collect();
        for (name, from) in [("whole", 0), ("shifted", 8), ("behind", 4097)] {
            let path = dir.path().join(name);
            around_cache(|| {
                let file = NewFile::create(&path).expect("a file");
                file.allocate(bytes.len() as u64).expect("room");
                file.write_all_at(&bytes[..from], 0).expect("written");
                for (i, piece) in bytes[from..].chunks(2_000_001).enumerate() {
                    let at = from + i * 2_000_001;
                    file.write_all_at(piece, at as u64).expect("written");
                }
                file.sync().expect("synced");
            });
            assert!(fs::read(&path).expect("read") == bytes, "{name}");
        }
        assert!(open_around(dir.path()).is_none(), "not outside");
    }

    #[test]
    fn memory_is_aligned() {
        for len in [1, 4096, 1 << 20, 5000] {
            with_aligned(len, |buffer| {
                assert_eq!((buffer.len(), buffer.as_ptr().addr() % BLOCK), (len, 0));
            });
        }
    }
}
