//! Descriptors of staged files, kept from their writing to their sync.
//!
//! The kernel may write a file to the disk long before it is synced, and when that fails it tells
//! those who have the file open. Whoever opens it afterwards may hear nothing, and sync with success
//! what is lost.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{Error, staging};

static HELD: Mutex<BTreeMap<PathBuf, Arc<File>>> = Mutex::new(BTreeMap::new());

/// Keeps a staged file open until it is synced. Others are for their writers to sync.
pub(crate) fn hold(path: &Path, file: &Arc<File>) {
    let mut held = held();
    if staging::is_staged(path) && held.len() < MAX_HELD {
        held.insert(path.to_owned(), Arc::clone(file));
    }
}

/// The descriptor through which a file was written, unless another file is there by now.
pub(crate) fn take(path: &Path) -> Result<Option<Arc<File>>, Error> {
    let file = held().remove(path);
    match file {
        Some(file) if staging::is_at(&file, path)? => Ok(Some(file)),
        _ => Ok(None),
    }
}

/// Closes all that are left below a directory.
pub(crate) fn forget(dir: &Path) {
    held().retain(|path, _| !path.starts_with(dir));
}

fn held() -> MutexGuard<'static, BTreeMap<PathBuf, Arc<File>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process may have 1024 files open where nobody has asked for more.
const MAX_HELD: usize = 256;
