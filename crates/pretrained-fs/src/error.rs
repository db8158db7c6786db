use std::{
    io,
    path::{Path, PathBuf},
};

use crate::staging;

/// An I/O error that knows what it was doing, and to which path.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}{}", staging::destination(path).display(), self.way_out())]
pub struct Error {
    action: &'static str,
    path: PathBuf,
    advice: Option<&'static str>,
    in_place: bool,
    source: io::Error,
}

impl Error {
    /// Attaches an action (an infinitive: "open", "rename") and a path to an I/O error.
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> Error {
        Error { action, path: path.to_owned(), advice: None, in_place: false, source }
    }

    /// The same error with a way out, which is printed in parentheses.
    pub fn with_advice(self, advice: &'static str) -> Error {
        Error { advice: Some(advice), ..self }
    }

    /// The same error, told with the path that the user wrote rather than the one that it leads to.
    pub fn told_of(self, path: &Path) -> Error {
        Error { path: path.to_owned(), ..self }
    }

    /// The path the operation failed on.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of the underlying I/O error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The operating system's number of the error, if it came from there.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// Whether the new state is whole and in place, and only its durability is in doubt.
    pub fn is_in_place(&self) -> bool {
        self.in_place
    }

    /// The same error, told as one that happened after the commit point.
    pub(crate) fn after_commit(self) -> Error {
        let advice = "the new state is in place, but a power loss may undo it; save again";
        Error { in_place: true, advice: Some(advice), ..self }
    }

    /// Whether it was a sync that failed.
    pub(crate) fn is_of_sync(&self) -> bool {
        self.action == "sync"
    }

    /// Whether the file system said that it does not do this, rather than that it went wrong.
    pub(crate) fn is_refusal(&self) -> bool {
        is_refusal(&self.source)
    }
}

/// An error and what caused it, on one line: `a: b: c`.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line += &format!(": {cause}");
        source = cause.source();
    }
    line
}

impl From<Error> for io::Error {
    /// For callers in the middle of an `io::Write`: keeps the kind, and the whole error as payload.
    fn from(error: Error) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

impl Error {
    fn way_out(&self) -> Advice {
        let of_kind = || match self.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("make room and try again; what was there before is untouched")
            }
            io::ErrorKind::ReadOnlyFilesystem => Some("choose a place that can be written to"),
            _ => None,
        };
        Advice(self.advice.or_else(of_kind))
    }
}

/// What file systems answer to an operation they do not have. `EPERM` is FAT's and FUSE's answer
/// to links and to exchanges, `EINVAL` is the kernel's to flags that a file system does not know,
/// `EXDEV` is overlayfs' to the renaming of a directory of a lower layer.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let refusals =
        [Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL, Errno::PERM, Errno::XDEV, Errno::NOTTY];
    Errno::from_io_error(error).is_some_and(|it| refusals.contains(&it))
}

struct Advice(Option<&'static str>);

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}
