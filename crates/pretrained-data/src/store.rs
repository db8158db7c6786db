use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use memmap2::Mmap;
use pretrained_fs::{NewFile, StagedDir};
use serde_json::{Value, json};

use crate::{Error, IGNORED};

/// The tokens of a dataset: in memory, or in files that are mapped.
pub(crate) struct Store {
    input_ids: Column,
    labels: Option<Column>,
    /// Where examples end, if they are not blocks of equal length.
    ends: Option<Column>,
    counts: Counts,
}

/// What is worth knowing of examples besides their tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Examples that were longer.
    pub(crate) cut: u64,
    /// Examples in which no token has a label and one before it that could predict it.
    pub(crate) silent: u64,
}

/// Numbers of equal size, little-endian.
enum Column {
    Memory(Vec<u8>),
    Mapped(Mmap),
    /// Nothing can be mapped where there is nothing.
    Empty,
}

impl Store {
    pub(crate) fn n_tokens(&self) -> usize {
        self.input_ids.bytes().len() / 4
    }

    pub(crate) fn n_examples(&self) -> usize {
        self.ends.as_ref().map_or(0, |it| it.bytes().len() / 8)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn input_ids(&self, from: usize, to: usize) -> Cow<'_, [u32]> {
        numbers(&self.input_ids.bytes()[4 * from..4 * to], u32::from_le_bytes)
    }

    pub(crate) fn labels(&self, from: usize, to: usize) -> Option<Cow<'_, [i32]>> {
        let labels = self.labels.as_ref()?;
        Some(numbers(&labels.bytes()[4 * from..4 * to], i32::from_le_bytes))
    }

    /// The tokens of an example.
    pub(crate) fn range(&self, example: usize) -> (usize, usize) {
        let ends = self.ends.as_ref().map_or(&[][..], Column::bytes);
        let end = |i: usize| {
            let bytes = ends[8 * i..].first_chunk().map_or(0, |it| u64::from_le_bytes(*it));
            bytes as usize
        };
        (example.checked_sub(1).map_or(0, end), end(example))
    }
}

impl Column {
    fn bytes(&self) -> &[u8] {
        match self {
            Column::Memory(bytes) => bytes,
            Column::Mapped(map) => map,
            Column::Empty => &[],
        }
    }
}

fn numbers<T: Copy>(bytes: &[u8], parse: fn([u8; 4]) -> T) -> Cow<'static, [T]>
where
    [T]: ToOwned<Owned = Vec<T>>,
{
    Cow::Owned(bytes.as_chunks::<4>().0.iter().map(|it| parse(*it)).collect())
}

/// Takes tokens in their order and makes a [`Store`] of them.
pub(crate) struct Builder {
    columns: Columns,
    /// Bytes of each column.
    lens: [u64; 3],
    hashers: [blake3::Hasher; 3],
    counts: Counts,
}

enum Columns {
    Memory([Vec<u8>; 3]),
    Files { staged: Box<StagedDir>, files: Box<[BufWriter<NewFile>; 3]>, dir: PathBuf },
}

impl Builder {
    /// Builds in memory, or as the cache directory `dir`, which appears when all is done.
    pub(crate) fn new(dir: Option<&Path>) -> Result<Builder, Error> {
        let columns = match dir {
            None => Columns::Memory(Default::default()),
            Some(dir) => {
                let staged = Box::new(StagedDir::create(dir).map_err(Error::Cache)?);
                let create = |name: &str| {
                    let file = NewFile::create(&staged.path().join(name)).map_err(Error::Cache)?;
                    Ok::<_, Error>(BufWriter::with_capacity(1 << 20, file))
                };
                let files = Box::new([create(NAMES[0])?, create(NAMES[1])?, create(NAMES[2])?]);
                Columns::Files { staged, files, dir: dir.to_owned() }
            }
        };
        let counts = Counts::default();
        Ok(Builder { columns, lens: [0; 3], hashers: Default::default(), counts })
    }

    /// Appends tokens.
    pub(crate) fn tokens(&mut self, ids: &[u32]) -> Result<(), Error> {
        let bytes: Vec<u8> = ids.iter().flat_map(|it| it.to_le_bytes()).collect();
        self.append(0, &bytes)
    }

    /// Appends an example: the first `len` tokens of it, if it has more.
    pub(crate) fn example(&mut self, ids: &[u32], labels: &[i32], len: usize) -> Result<(), Error> {
        self.counts.cut += u64::from(ids.len() > len);
        let (ids, labels) = (&ids[..len.min(ids.len())], &labels[..len.min(labels.len())]);
        // Nothing predicts the first.
        let is_silent = labels.iter().skip(1).all(|it| *it == IGNORED);
        self.counts.silent += u64::from(is_silent);
        self.tokens(ids)?;
        let bytes: Vec<u8> = labels.iter().flat_map(|it| it.to_le_bytes()).collect();
        self.append(1, &bytes)?;
        let end = self.lens[0] / 4;
        self.append(2, &end.to_le_bytes())
    }

    fn append(&mut self, column: usize, bytes: &[u8]) -> Result<(), Error> {
        self.lens[column] += bytes.len() as u64;
        match &mut self.columns {
            Columns::Memory(columns) => columns[column].extend_from_slice(bytes),
            Columns::Files { files, dir, .. } => {
                self.hashers[column].update(bytes);
                let written = files[column].write_all(bytes);
                written.map_err(|e| failed("write", &dir.join(NAMES[column]), e))?;
            }
        }
        Ok(())
    }

    /// Tokens so far.
    pub(crate) fn n_tokens(&self) -> u64 {
        self.lens[0] / 4
    }

    pub(crate) fn finish(self) -> Result<Store, Error> {
        let counts = self.counts;
        match self.columns {
            Columns::Memory([input_ids, labels, ends]) => {
                let has_examples = !ends.is_empty();
                Ok(Store {
                    input_ids: Column::Memory(input_ids),
                    labels: has_examples.then_some(Column::Memory(labels)),
                    ends: has_examples.then_some(Column::Memory(ends)),
                    counts,
                })
            }
            Columns::Files { staged, files, dir } => {
                for (name, file) in NAMES.iter().zip(*files) {
                    let file = file.into_inner().map_err(|e| e.into_error());
                    file.map_err(|e| failed("write", &dir.join(name), e))?;
                }
                let columns = NAMES.iter().zip(self.lens).zip(self.hashers);
                let columns = columns.map(|((name, len), hasher)| {
                    let hash = hasher.finalize().to_hex().to_string();
                    ((*name).to_owned(), json!({ "bytes": len, "blake3": hash }))
                });
                let index = json!({
                    "version": VERSION,
                    "columns": Value::Object(columns.collect()),
                    "examples": { "cut": counts.cut, "silent": counts.silent },
                });
                let index = format!("{index:#}\n");
                pretrained_fs::write_new(&staged.path().join(INDEX), index.as_bytes())
                    .map_err(Error::Cache)?;
                match staged.publish() {
                    // Another process was faster with the same tokens.
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => (),
                    res => res.map_err(Error::Cache)?,
                }
                let changed = || io::Error::other("changed while it was written");
                open(&dir, || Ok(()))?.ok_or_else(|| failed("read", &dir, changed()))
            }
        }
    }
}

/// Opens a cache directory; `None` if there is none, or not a whole one. `each_time` is asked before
/// each piece is checked.
pub(crate) fn open(
    dir: &Path,
    mut each_time: impl FnMut() -> Result<(), Error>,
) -> Result<Option<Store>, Error> {
    let Ok(index) = fs::read_to_string(dir.join(INDEX)) else { return Ok(None) };
    let index: Value = serde_json::from_str(&index).unwrap_or_default();
    let mut column = |name: &str| -> Result<Option<Column>, Error> {
        let path = dir.join(name);
        let Ok(file) = File::open(&path) else { return Ok(None) };
        let expected = &index["columns"][name];
        let len = file.metadata().map_err(|e| failed("open", &path, e))?.len();
        if expected["bytes"].as_u64() != Some(len) {
            return Ok(None);
        }
        if len == 0 {
            return Ok(Some(Column::Empty));
        }
        let map = map(&file).map_err(|e| failed("map", &path, e))?;
        let mut hasher = blake3::Hasher::new();
        for piece in map.chunks(PIECE) {
            each_time()?;
            hasher.update_rayon(piece);
        }
        let hash = hasher.finalize().to_hex().to_string();
        Ok((expected["blake3"].as_str() == Some(&hash)).then_some(Column::Mapped(map)))
    };
    let count = |name: &str| index["examples"][name].as_u64();
    let (Some(VERSION), Some(cut), Some(silent)) =
        (index["version"].as_u64(), count("cut"), count("silent"))
    else {
        return Ok(None);
    };
    let (Some(input_ids), Some(labels), Some(ends)) =
        (column(NAMES[0])?, column(NAMES[1])?, column(NAMES[2])?)
    else {
        return Ok(None);
    };
    let has_examples = !ends.bytes().is_empty();
    let (labels, ends) = (has_examples.then_some(labels), has_examples.then_some(ends));
    Ok(Some(Store { input_ids, labels, ends, counts: Counts { cut, silent } }))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Cache(pretrained_fs::Error::new(action, path, source))
}

#[allow(unsafe_code)]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: The file was published by this crate. Like all published files it is never changed
    // in place: whoever replaces or removes it leaves the mapped one as it is.
    unsafe { Mmap::map(file) }
}

const NAMES: [&str; 3] = ["input_ids.u32", "labels.i32", "ends.u64"];
const INDEX: &str = "index.json";
/// Bytes that are checked at a time.
const PIECE: usize = 16 << 20;
/// Of the layout.
const VERSION: u64 = 2;
