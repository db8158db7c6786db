use std::{
    io,
    path::{Path, PathBuf},
};

use pretrained_fs::LockError;

/// A failure of the store itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation on a file or a directory.
    #[error(transparent)]
    Io(#[from] pretrained_fs::Error),
    /// Another process has the run, or its lock could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The run was opened for reading.
    #[error("change {} (it was opened for reading only)", path.display())]
    ReadOnly {
        /// The run's directory.
        path: PathBuf,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Error {
        Error::Io(pretrained_fs::Error::new(action, path, source))
    }
}

/// Saving failed: in the store, or in the caller's writer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError<E> {
    /// The store could not stage or publish the directory.
    #[error("save checkpoint {step}")]
    Store {
        /// Its step.
        step: u64,
        /// Why.
        source: Error,
    },
    /// The caller's writer failed. Nothing was published.
    #[error("write checkpoint {step}")]
    Write {
        /// Its step.
        step: u64,
        /// Why.
        source: E,
    },
    /// A whole checkpoint of this step exists. History is not overwritten.
    #[error(
        "{} exists already: resume the run, choose another output directory, or move it away",
        path.display()
    )]
    Exists {
        /// Its step.
        step: u64,
        /// Its directory.
        path: PathBuf,
    },
}
