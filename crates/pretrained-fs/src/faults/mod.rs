//! For tests: watch, fail or pretend the file operations below a directory, and replay crashes.
//!
//! ```
//! use pretrained_fs::faults::{Answer, Op, watch};
//! # let dir = tempfile::tempdir()?;
//! let full = watch(dir.path(), |call| match call.op {
//!     Op::Write => Answer::Fail(28), // ENOSPC
//!     _ => Answer::Proceed,
//! });
//! assert!(pretrained_fs::write_new(&dir.path().join("x"), b"x").is_err());
//! drop(full);
//! # Ok::<(), std::io::Error>(())
//! ```

mod crash;
mod loss;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

pub use crate::{
    faults::crash::{Recording, Trace, Tree},
    seam::{Call, Op},
};

/// What happens to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It runs.
    Proceed,
    /// It fails with this error number, and nothing is done.
    Fail(i32),
    /// A write or a read takes only this many bytes (at least one). Anything else runs.
    Short(usize),
    /// A read finds the end of the file. Anything else runs.
    End,
    /// A sync says it succeeded without doing it, which makes a suite fast. Anything else runs.
    Pretend,
}

/// Watches until it is dropped.
#[must_use = "watching stops when this is dropped"]
pub struct Watch {
    id: u64,
}

/// Asks `answer` before every operation at or below `root`, in whatever thread.
pub fn watch(root: &Path, answer: impl Fn(&Call<'_>) -> Answer + Send + Sync + 'static) -> Watch {
    observe(root, answer, |_| ())
}

/// Like [`watch`]; `done` sees every operation that succeeded (of a short write, what was written).
pub fn observe(
    root: &Path,
    answer: impl Fn(&Call<'_>) -> Answer + Send + Sync + 'static,
    done: impl Fn(&Call<'_>) + Send + Sync + 'static,
) -> Watch {
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let observer =
        Observer { root: root.to_owned(), answer: Box::new(answer), done: Box::new(done) };
    let mut observers = OBSERVERS.write().unwrap_or_else(PoisonError::into_inner);
    observers.push((id, Arc::new(observer)));
    COUNT.store(observers.len(), Ordering::Release);
    Watch { id }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut observers = OBSERVERS.write().unwrap_or_else(PoisonError::into_inner);
        observers.retain(|it| it.0 != self.id);
        COUNT.store(observers.len(), Ordering::Release);
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("id", &self.id).finish()
    }
}

pub(crate) fn around<T>(
    call: &Call<'_>,
    real: impl FnOnce(Answer) -> io::Result<T>,
) -> io::Result<T> {
    let Some(observer) = observer_of(call) else { return real(Answer::Proceed) };
    match (observer.answer)(call) {
        Answer::Fail(errno) => Err(io::Error::from_raw_os_error(errno)),
        answer => {
            let res = real(answer)?;
            (observer.done)(call);
            Ok(res)
        }
    }
}

pub(crate) fn around_sync(
    call: &Call<'_>,
    real: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    around(call, |answer| if answer == Answer::Pretend { Ok(()) } else { real() })
}

pub(crate) fn around_write(
    call: &Call<'_>,
    real: impl FnOnce(&[u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let Some(observer) = observer_of(call) else { return real(call.bytes) };
    let len = match (observer.answer)(call) {
        Answer::Fail(errno) => return Err(io::Error::from_raw_os_error(errno)),
        Answer::Short(len) => len.max(1).min(call.bytes.len()),
        _ => call.bytes.len(),
    };
    let written = real(&call.bytes[..len])?;
    (observer.done)(&Call { bytes: &call.bytes[..written], ..*call });
    Ok(written)
}

pub(crate) fn around_read(
    call: &Call<'_>,
    len: usize,
    real: impl FnOnce(usize) -> io::Result<usize>,
) -> io::Result<usize> {
    around(call, |answer| match answer {
        Answer::Short(short) => real(short.max(1).min(len)),
        Answer::End => Ok(0),
        _ => real(len),
    })
}

/// Whether anybody watches, wherever.
pub(crate) fn is_watching() -> bool {
    COUNT.load(Ordering::Acquire) != 0
}

struct Observer {
    root: PathBuf,
    answer: Box<dyn Fn(&Call<'_>) -> Answer + Send + Sync>,
    done: Box<dyn Fn(&Call<'_>) + Send + Sync>,
}

/// The latest observer that this call is below.
fn observer_of(call: &Call<'_>) -> Option<Arc<Observer>> {
    if !is_watching() {
        return None;
    }
    let observers = OBSERVERS.read().unwrap_or_else(PoisonError::into_inner);
    let found = observers.iter().rev().find(|(_, it)| call.path.starts_with(&it.root));
    found.map(|(_, it)| Arc::clone(it))
}

static OBSERVERS: RwLock<Vec<(u64, Arc<Observer>)>> = RwLock::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);
static NEXT: AtomicU64 = AtomicU64::new(0);
