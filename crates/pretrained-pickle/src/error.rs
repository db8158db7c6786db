use std::path::PathBuf;

/// Why bytes are not a file that this crate reads. Pure: interpreting never does I/O.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages are the documentation.
pub enum FormatError {
    #[error("neither a zip archive nor a pickle of protocol 2 to 5")]
    NotAPickle,
    #[error("a tar archive, as PyTorch wrote before 0.1.10: load it with PyTorch and save it anew")]
    Tar,
    #[error("zip archive: {0}")]
    Archive(&'static str),
    #[error("zip archive, member {member:?}: {problem}")]
    Member { member: String, problem: &'static str },
    #[error("archive has no member {0:?}")]
    MissingMember(String),
    #[error("data is not little-endian")]
    Endianness,
    #[error("pickle protocol {0} is not one of 2 to 5")]
    Protocol(u8),
    #[error("opcode {name} at {at} is refused: it has no place in data")]
    Opcode { name: &'static str, at: usize },
    #[error("byte {byte:#04x} at {at} is no opcode")]
    UnknownOpcode { byte: u8, at: usize },
    #[error(
        "global `{module}.{name}` is refused: it is not among those that stand for data; if a whole \
         object was saved, save its state_dict() instead"
    )]
    Global { module: String, name: String },
    #[error("pickle ends at {at} in the middle of an instruction")]
    Truncated { at: usize },
    #[error("instruction at {at}: {problem}")]
    Instruction { at: usize, problem: &'static str },
    #[error("{0} over the budget: the pickle is a bomb, or not a model's")]
    Budget(&'static str),
    #[error("tensor at {path:?} cannot be named: {problem}")]
    Unnamed { path: String, problem: &'static str },
    #[error("two tensors would both be called {0:?}")]
    DuplicateName(String),
    #[error(
        "the tensors would take {total} bytes, over the budget of {limit} for a file of this length: \
         they repeat their storages, as a bomb does; if that is meant, save clones of them"
    )]
    Repeated { total: u64, limit: u64 },
    #[error("key {0:?} is there twice")]
    DuplicateKey(String),
    #[error("storage {key:?}: {problem}")]
    Storage { key: String, problem: &'static str },
    #[error("{0} has no equal among safetensors dtypes")]
    Dtype(String),
}

/// Opening, reading or writing a file failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages are the documentation.
pub enum Error {
    #[error(transparent)]
    Io(#[from] pretrained_fs::Error),
    #[error("{}", path.display())]
    Format { path: PathBuf, source: FormatError },
    #[error("{} is not a regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error(
        "{count} bytes from {offset} on are no whole elements within the {len} bytes of a tensor in storage {storage:?}"
    )]
    Range { storage: String, offset: usize, count: usize, len: usize },
}

/// Text out of a file as a message can have it: not long, and with nothing that moves a cursor.
pub(crate) fn quotable(text: &str) -> String {
    let mut quotable: String = text.chars().take(MAX_QUOTED).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        quotable.push('…');
    }
    quotable
}

const MAX_QUOTED: usize = 200;
