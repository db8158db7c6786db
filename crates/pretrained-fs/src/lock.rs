use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::fs::FlockOperation;

use crate::{Error, absolute, parent, seam, staging};

/// Keeps a second process away from something, until dropped or the process dies.
///
/// Held by `flock` on a file that names its owner. The kernel frees it with the process, so a dead
/// owner's file is no obstacle. On a file system without `flock` the existence of the file is the
/// lock; there a dead owner is noticed on its own machine only.
#[derive(Debug)]
#[must_use = "the lock is freed when this is dropped"]
pub struct Lock {
    path: PathBuf,
    /// Held open for its lock.
    file: File,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockOwner {
    /// The process, by its number.
    pub pid: i32,
    /// The machine it runs on.
    pub host: String,
    /// Since when, in UTC.
    pub since: String,
}

/// A lock could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else has it.
    #[error("{} is used by {what} of {}; {}", parent(path).display(), Named(owner), way_out(path, *is_checked))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the lock is for.
        what: String,
        /// Who has it, as far as the file says.
        owner: Option<LockOwner>,
        /// Whether it is known that the owner is alive.
        is_checked: bool,
    },
    /// The lock file could not be made.
    #[error(transparent)]
    Io(#[from] Error),
}

impl Lock {
    /// Takes the lock at `path`, without waiting. `what` says what it is for ("a training run").
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] where another process, or another [`Lock`] of this one, has it;
    /// [`LockError::Io`] where the lock file cannot be made or written.
    pub fn acquire(path: &Path, what: &str) -> Result<Lock, LockError> {
        let path = absolute(path)?;
        loop {
            let file = seam::open_lock(&path)?;
            match seam::try_lock(&file, &path, FlockOperation::NonBlockingLockExclusive) {
                // Its last owner removed it between our opening and our locking it.
                Ok(true) if !staging::is_at(&file, &path)? => continue,
                Ok(true) => {
                    seam::truncate(&file, &path)?;
                    write_owner(&file, &path)?;
                    return Ok(Lock { path, file });
                }
                Ok(false) => {
                    let owner = read_owner(&file, &path);
                    return Err(LockError::Held {
                        path,
                        what: what.into(),
                        owner,
                        is_checked: true,
                    });
                }
                Err(e) if seam::has_no_locks(&e) => {
                    drop(file);
                    return Lock::acquire_by_existence(path, what);
                }
                Err(e) => return Err(Error::new("lock", &path, e).into()),
            }
        }
    }

    /// The second way: the file `path` with `.owner` after it exists, or not.
    fn acquire_by_existence(path: PathBuf, what: &str) -> Result<Lock, LockError> {
        // The file that was opened for `flock` is of no use here.
        let _ = seam::remove_file(&path);
        let mut name = path.into_os_string();
        name.push(".owner");
        let path = PathBuf::from(name);
        for is_first in [true, false] {
            match seam::create_file(&path) {
                Ok(file) => {
                    write_owner(&file, &path)?;
                    return Ok(Lock { path, file });
                }
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e.into()),
                Err(_) => (),
            }
            let owner = crate::open(&path).ok().and_then(|it| read_owner(&it, &path));
            let is_ours = owner.as_ref().is_some_and(|it| it.host == staging::host_name());
            let is_dead = is_ours && owner.as_ref().is_some_and(|it| !staging::is_running(it.pid));
            if !is_dead || !is_first {
                return Err(LockError::Held {
                    path,
                    what: what.into(),
                    owner,
                    is_checked: is_ours,
                });
            }
            seam::remove_file(&path)?;
        }
        unreachable!("the second round returns")
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still locked, so that nobody else's is removed. What stays is no obstacle.
        let _ = seam::remove_file(&self.path);
        // Closing the file would do, but for a child that another thread is just forking: it has
        // the descriptor, and with it the lock, until it executes its program.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

fn write_owner(file: &File, path: &Path) -> Result<(), Error> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
    let text = format!(
        "pid {}\nhost {}\nsince {}\n",
        std::process::id(),
        staging::host_name(),
        utc(since)
    );
    let mut bytes = text.as_bytes();
    while !bytes.is_empty() {
        match seam::write(file, path, bytes) {
            Ok(0) => return Err(Error::new("write", path, io::ErrorKind::WriteZero.into())),
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
            Err(e) => return Err(Error::new("write", path, e)),
        }
    }
    Ok(())
}

fn read_owner(file: &File, path: &Path) -> Option<LockOwner> {
    let mut text = String::new();
    crate::Reader::new(file, path).take(4096).read_to_string(&mut text).ok()?;
    let field = |name: &str| text.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(' '));
    Some(LockOwner {
        pid: field("pid")?.parse().ok()?,
        host: field("host")?.to_owned(),
        since: field("since")?.to_owned(),
    })
}

/// Seconds since 1970 as `2026-01-31 23:59:59 UTC` (days to date after Howard Hinnant).
fn utc(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (h, m, s) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02} UTC")
}

struct Named<'a>(&'a Option<LockOwner>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(it) => write!(f, "process {} on {} since {}", it.pid, it.host, it.since),
            None => f.write_str("another process"),
        }
    }
}

fn way_out(path: &Path, is_checked: bool) -> String {
    if is_checked {
        return "wait for it, stop it, or choose another directory".to_owned();
    }
    format!("if it is not running any more, remove {}", path.display())
}
