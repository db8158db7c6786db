//! The second way for file systems that do not rename: directories that are filled and emptied where
//! they are, with one file that is the last to come and the first to go.

use std::{ffi::OsStr, path::Path};

use crate::{Error, copy::copy_entry, parent, seam, staged_dir::sync_tree, staging::remove_entry};

/// Copies what is in `from` to `dest`, the file `last` after all others.
pub(crate) fn copy(from: &Path, dest: &Path, last: &str) -> Result<(), Error> {
    if seam::stat(dest)?.is_none() {
        seam::create_dir(dest)?;
    }
    mark(dest)?;
    for name in seam::list(from)?.iter().filter(|it| *it != last) {
        copy_entry(&from.join(name), &dest.join(name))?;
    }
    sync_tree(dest)?;
    copy_entry(&from.join(last), &dest.join(last))?;
    sync_tree(dest)?;
    seam::sync_dir(parent(dest))?;
    match seam::remove_file(&dest.join(INCOMPLETE)) {
        // A store that cannot remove either leaves the marker, which `last` outranks.
        Err(e) if e.is_refusal() => Ok(()),
        res => res.and_then(|()| seam::sync_dir(dest)).map_err(Error::after_commit),
    }
}

/// Removes a directory, the file `last` before all others and the marker after them.
pub(crate) fn remove(dir: &Path, last: &str) -> Result<(), Error> {
    if seam::stat(dir)?.is_none() {
        return Ok(());
    }
    mark(dir)?;
    remove_entry(&dir.join(last))?;
    seam::sync_dir(dir)?;
    for name in seam::list(dir)?.iter().filter(|it| *it != OsStr::new(INCOMPLETE)) {
        remove_entry(&dir.join(name))?;
    }
    seam::sync_dir(dir)?;
    remove_entry(dir)?;
    seam::sync_dir(parent(dir))
}

fn mark(dir: &Path) -> Result<(), Error> {
    let marker = dir.join(INCOMPLETE);
    if seam::stat(&marker)?.is_none() {
        crate::write_new(&marker, b"")?;
    }
    seam::sync_dir(dir)
}

/// Marks a directory that a file system made us fill or empty in place. See `docs/durability.md`.
pub const INCOMPLETE: &str = ".pretrained-incomplete";
