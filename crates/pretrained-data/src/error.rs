use std::path::{Path, PathBuf};

/// Why files did not become a dataset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error(transparent)]
    File(#[from] pretrained_fs::Error),
    /// The cache of tokenized files could not be read or written. Without it the same files can be
    /// tokenized in memory.
    #[error(transparent)]
    Cache(pretrained_fs::Error),
    /// A line of a JSONL file is no example.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, counting from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The files make no example.
    #[error("{reason}")]
    TooLittle {
        /// What there is, and what is needed.
        reason: String,
    },
    /// Whoever watched wanted no more of it. Nothing was kept.
    #[error("stopped before all files were read")]
    Stopped,
    /// A text could not be tokenized.
    #[error("{}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pretrained_tokenizer::Error,
    },
}

impl Error {
    pub(crate) fn content(path: &Path, reason: impl Into<String>) -> Error {
        Error::Content { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Error {
        Error::File(pretrained_fs::Error::new(action, path, source))
    }
}
