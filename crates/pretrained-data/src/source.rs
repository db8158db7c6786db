use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::read::MultiGzDecoder;

use crate::Error;

/// A text file, plain or compressed with gzip, that is read from its beginning to its end.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// Decoded bytes before the buffer.
    offset: u64,
    is_at_end: bool,
    n_read: Arc<AtomicU64>,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Source, Error> {
        let file = open(path)?;
        let n_read = Arc::new(AtomicU64::new(0));
        let mut file = BufReader::with_capacity(CHUNK, Counted { file, n_read: n_read.clone() });
        let magic = io::BufRead::fill_buf(&mut file).map_err(|e| Error::io("read", path, e))?;
        let reader: Box<dyn Read + Send> = match magic.starts_with(&GZIP) {
            true => Box::new(MultiGzDecoder::new(file)),
            false => Box::new(file),
        };
        let (path, buffer) = (path.to_owned(), Vec::new());
        Ok(Source { path, reader, buffer, offset: 0, is_at_end: false, n_read })
    }

    /// Bytes of the file, compressed if it is, that have been read.
    pub(crate) fn n_read(&self) -> u64 {
        self.n_read.load(Ordering::Relaxed)
    }

    /// The next piece of the text: about `target` bytes, up to a place where `is_boundary` allows
    /// a cut, or the rest. Pieces in their order are the text.
    pub(crate) fn piece(
        &mut self,
        target: usize,
        is_boundary: impl Fn(&str, usize) -> bool,
    ) -> Result<Option<String>, Error> {
        let mut target = target;
        loop {
            self.fill(target)?;
            let text = self.valid()?;
            if self.is_at_end {
                let piece = text.to_owned();
                return Ok(self.take(piece));
            }
            let newlines = text.rmatch_indices('\n').map(|(i, _)| i + 1);
            // One that is near is as good as any, one that is far costs as much as reading on.
            let mut cuts = newlines.take(16).filter(|cut| *cut < text.len() && target / 2 < *cut);
            if let Some(cut) = cuts.find(|cut| is_boundary(text, *cut)) {
                let piece = text[..cut].to_owned();
                return Ok(self.take(piece));
            }
            target = target.saturating_mul(2);
            if target > MAX_PIECE {
                let reason = "has more than 1 GiB of text that this tokenizer cannot take in parts: \
                              split the file";
                return Err(Error::content(&self.path, reason));
            }
        }
    }

    /// The next line with its end, or the rest of the text.
    pub(crate) fn line(&mut self) -> Result<Option<String>, Error> {
        let mut searched = 0;
        loop {
            let found = self.buffer[searched..].iter().position(|it| *it == b'\n');
            if found.is_none() && !self.is_at_end {
                searched = self.buffer.len();
                if searched > MAX_PIECE {
                    return Err(Error::content(&self.path, "has a line of more than 1 GiB"));
                }
                self.fill(searched + CHUNK)?;
                continue;
            }
            let end = found.map_or(self.buffer.len(), |it| searched + it + 1);
            let line = std::str::from_utf8(&self.buffer[..end]);
            let line = line.map_err(|e| self.not_utf8(e.valid_up_to()))?.to_owned();
            return Ok(self.take(line));
        }
    }

    /// Reads until the buffer holds `len` bytes or the text ends.
    fn fill(&mut self, len: usize) -> Result<(), Error> {
        while self.buffer.len() < len && !self.is_at_end {
            let missing = (len - self.buffer.len()).min(CHUNK) as u64;
            let mut chunk = (&mut self.reader).take(missing);
            let n = chunk.read_to_end(&mut self.buffer);
            self.is_at_end = n.map_err(|e| Error::io("read", &self.path, e))? == 0;
        }
        Ok(())
    }

    /// The buffer as text, but for a character that is cut at its end.
    fn valid(&self) -> Result<&str, Error> {
        match std::str::from_utf8(&self.buffer) {
            Ok(text) => Ok(text),
            Err(e) if e.error_len().is_none() && !self.is_at_end => {
                // Valid up to there, by what the error says.
                std::str::from_utf8(&self.buffer[..e.valid_up_to()])
                    .map_err(|e| self.not_utf8(e.valid_up_to()))
            }
            Err(e) => Err(self.not_utf8(e.valid_up_to())),
        }
    }

    fn take(&mut self, piece: String) -> Option<String> {
        self.buffer.drain(..piece.len());
        self.offset += piece.len() as u64;
        if piece.is_empty() { None } else { Some(piece) }
    }

    fn not_utf8(&self, at: usize) -> Error {
        let at = self.offset + at as u64;
        Error::content(&self.path, format!("not UTF-8 at byte {at}: convert the file"))
    }
}

/// The bytes of all files.
pub(crate) fn total_len(files: &[PathBuf]) -> Result<u64, Error> {
    let lens = files.iter().map(|path| Ok(open(path)?.metadata().map_or(0, |it| it.len())));
    lens.sum()
}

/// Hashes the bytes of a file. `each_time` is asked before each piece.
pub(crate) fn hash(
    path: &Path,
    mut each_time: impl FnMut() -> Result<(), Error>,
) -> Result<blake3::Hash, Error> {
    let mut hasher = blake3::Hasher::new();
    let mut file = open(path)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        each_time()?;
        let n = file.read(&mut buffer).map_err(|e| Error::io("read", path, e))?;
        if n == 0 {
            return Ok(hasher.finalize());
        }
        hasher.update_rayon(&buffer[..n]);
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let metadata = fs::metadata(path).map_err(|e| Error::io("open", path, e))?;
    // Anything else could block for ever.
    if !metadata.is_file() {
        return Err(Error::content(path, "not a file"));
    }
    File::open(path).map_err(|e| Error::io("open", path, e))
}

/// Counts what is read from a file, below any decompression.
struct Counted {
    file: File,
    n_read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.n_read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

const CHUNK: usize = 1 << 20;
const MAX_PIECE: usize = 1 << 30;
const GZIP: [u8; 2] = [0x1f, 0x8b];
