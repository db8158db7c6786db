use std::{
    fs::{File, Metadata},
    path::Path,
    time::{Duration, Instant},
};

use rustix::fs::FlockOperation;

use crate::{Error, seam, staging};

/// A lock on a directory, for the moments in which its files are replaced or opened.
///
/// Where the file system has no locks there is none: then a reader that opens a directory in the
/// very moment in which it is replaced may see both sets.
#[derive(Debug)]
pub(crate) struct DirLock {
    file: File,
}

impl DirLock {
    pub(crate) fn exclusive(dir: &Path) -> Result<DirLock, Error> {
        DirLock::take(dir, FlockOperation::NonBlockingLockExclusive)
    }

    pub(crate) fn shared(dir: &Path) -> Result<DirLock, Error> {
        DirLock::take(dir, FlockOperation::NonBlockingLockShared)
    }

    fn take(dir: &Path, operation: FlockOperation) -> Result<DirLock, Error> {
        let start = Instant::now();
        loop {
            let file = crate::open(dir)?;
            match seam::try_lock(&file, dir, operation) {
                // Otherwise the directory was exchanged while we waited, and this is the old one.
                Ok(true) if leads_to(dir, &file)? => return Ok(DirLock { file }),
                Ok(_) => (),
                Err(e) if seam::has_no_locks(&e) => return Ok(DirLock { file }),
                Err(e) => return Err(Error::new("lock", dir, e)),
            }
            if PATIENCE < start.elapsed() {
                let error = Error::new("lock", dir, std::io::ErrorKind::TimedOut.into());
                return Err(error.with_advice("another process is saving into it; try again later"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn metadata(&self, dir: &Path) -> Result<Metadata, Error> {
        self.file.metadata().map_err(|e| Error::new("look at", dir, e))
    }
}

/// Whether `dir`, or where a link at it leads, is still the open `file`.
fn leads_to(dir: &Path, file: &File) -> Result<bool, Error> {
    let ours = file.metadata().map_err(|e| Error::new("look at", dir, e))?;
    Ok(seam::metadata(dir)?.is_some_and(|it| staging::are_one(&it, &ours)))
}

/// Replacing takes renames and syncs of directories only, so this is for a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(60);
