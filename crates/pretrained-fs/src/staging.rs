//! Names that only this crate gives, and who may remove what is under them.
//!
//! A staging entry is `.pretrained-staged-NAME.HOST-PID-N` beside its destination, so that the
//! final rename never crosses a file system. Its writer holds a lock on it for as long as it
//! lives; the kernel drops that lock with the process. So whoever gets the lock knows that the
//! writer is dead.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use rustix::{fs::FlockOperation, process::Pid};

use crate::{Error, held, parent, seam};

/// A file or a directory under a staging name, locked. Removed on drop.
#[derive(Debug)]
pub(crate) struct Staging {
    pub(crate) path: PathBuf,
    /// Held open for its lock.
    pub(crate) file: File,
    armed: bool,
}

impl Staging {
    /// Creates a staging directory inside `dir` for something that will be named `name`.
    pub(crate) fn create_dir(dir: &Path, name: &OsStr) -> Result<Staging, Error> {
        Staging::create(dir, name, |path| {
            seam::create_dir(path)?;
            match crate::open(path) {
                Ok(file) => Ok(Some(file)),
                // A sweeper took it for a dead one's before we could even open it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(e) => {
                    let _ = seam::remove_empty_dir(path);
                    Err(e)
                }
            }
        })
    }

    /// Creates a staging file inside `dir` for something that will be named `name`.
    pub(crate) fn create_file(dir: &Path, name: &OsStr) -> Result<Staging, Error> {
        Staging::create(dir, name, |path| seam::create_file(path).map(Some))
    }

    fn create(
        dir: &Path,
        name: &OsStr,
        create: impl Fn(&Path) -> Result<Option<File>, Error>,
    ) -> Result<Staging, Error> {
        loop {
            let path = dir.join(unique_name(STAGED, name));
            let file = match create(&path) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                // A name of a process with our number on another machine.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e),
            };
            let staging = Staging { path, file, armed: true };
            let locked = seam::try_lock(
                &staging.file,
                &staging.path,
                FlockOperation::NonBlockingLockExclusive,
            );
            match locked {
                Ok(true) if is_at(&staging.file, &staging.path)? => return Ok(staging),
                // Between our creating and our locking it a sweeper took it for a dead one's.
                Ok(_) => staging.disarm(),
                // Without locks the name says who we are.
                Err(e) if seam::has_no_locks(&e) => return Ok(staging),
                Err(e) => return Err(Error::new("lock", &staging.path, e)),
            }
        }
    }

    /// Forgets the entry, which is now something else's to remove. Its lock goes.
    pub(crate) fn disarm(mut self) {
        self.armed = false;
    }

    /// Gives the entry its final name and makes that durable.
    pub(crate) fn publish(mut self, dest: &Path) -> Result<(), Error> {
        seam::rename(&self.path, dest).map_err(advise_rename)?;
        self.armed = false;
        seam::sync_dir(parent(dest)).map_err(Error::after_commit)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        held::forget(&self.path);
        if self.armed {
            // The next writer sweeps what cannot be removed now.
            let _ = remove_entry(&self.path);
        }
        // Not left to closing: a child that another thread is just forking has the descriptor too,
        // and would pass for a living writer until it executes its program.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

pub(crate) fn advise_rename(error: Error) -> Error {
    if !error.is_refusal() {
        return error;
    }
    error.with_advice(
        "this file system does not rename; save to a local directory and copy the result there",
    )
}

/// Whether `path` still names the open `file`.
pub(crate) fn is_at(file: &File, path: &Path) -> Result<bool, Error> {
    let ours = file.metadata().map_err(|e| Error::new("look at", path, e))?;
    let there = seam::stat(path)?;
    Ok(there.is_some_and(|it| are_one(&it, &ours)))
}

pub(crate) fn are_one(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Removes what crashed writers left behind in `dir`; what a live process still uses stays.
///
/// A set that was committed but not finished is none of this: [`recover`](crate::recover) is.
///
/// # Errors
///
/// `dir` cannot be listed, or something that a crashed writer of this user left in it cannot be
/// removed.
pub fn sweep(dir: &Path) -> Result<(), Error> {
    sweep_matching(dir, |name| is_ours(name, STAGED) || is_ours(name, TRASH))
}

/// Sweeps what earlier writers of the same destination left.
pub(crate) fn sweep_for(dir: &Path, dest_name: &OsStr) -> Result<(), Error> {
    let is_of_dest = |name: &OsStr, prefix: &str| {
        let rest = name.as_bytes().strip_prefix(prefix.as_bytes());
        let end = rest.and_then(|it| it.iter().rposition(|byte| *byte == b'.'));
        rest.zip(end).is_some_and(|(rest, end)| &rest[..end] == shortened(dest_name))
    };
    sweep_matching(dir, |name| is_of_dest(name, STAGED) || is_of_dest(name, TRASH))
}

fn sweep_matching(dir: &Path, matches: impl Fn(&OsStr) -> bool) -> Result<(), Error> {
    for name in seam::list(dir)? {
        if !matches(&name) {
            continue;
        }
        let path = dir.join(&name);
        // The lock is held until the entry is gone, so that nobody starts to use it.
        if let Some(_lock) = lock_if_dead(&path, &name)? {
            remove_entry(&path)?;
        }
    }
    Ok(())
}

/// Makes a file, a link or a whole directory disappear at once, even if removing what is in it is
/// interrupted: it is renamed first.
pub(crate) fn remove_at_once(path: &Path) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default();
    let doomed = parent(path).join(unique_name(TRASH, name));
    seam::rename(path, &doomed)?;
    // Before anything in it goes, so that no power loss shows half of it under the old name.
    seam::sync_dir(parent(path)).map_err(Error::after_commit)?;
    remove_entry(&doomed)
}

/// Removes an entry and all that is below it, following no link.
pub(crate) fn remove_entry(path: &Path) -> Result<(), Error> {
    let gone = |res: Result<(), Error>| match res {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        res => res,
    };
    match seam::stat(path)? {
        None => Ok(()),
        Some(metadata) if metadata.is_dir() => {
            // Two sweepers may be at it.
            let names = match seam::list(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                names => names?,
            };
            for name in names {
                remove_entry(&path.join(name))?;
            }
            gone(seam::remove_empty_dir(path))
        }
        Some(_) => gone(seam::remove_file(path)),
    }
}

/// The entry's lock if its writer is dead.
fn lock_if_dead(path: &Path, name: &OsStr) -> Result<Option<Option<File>>, Error> {
    let Some(metadata) = seam::stat(path)? else { return Ok(None) };
    if !metadata.is_dir() && !metadata.is_file() {
        return Ok(Some(None));
    }
    let file = match crate::open(path) {
        Ok(file) => file,
        // Gone already, or another user's, who sweeps it.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let owner = Owner::of(name);
    let is_dead = match seam::try_lock(&file, path, FlockOperation::NonBlockingLockExclusive) {
        Ok(false) => false,
        // On a network the lock may be one that only this machine sees.
        Ok(true) => !is_network(&file) || owner.is_none_or(|it| it.is_ours()) || is_old(&metadata),
        Err(e) if seam::has_no_locks(&e) => owner.is_some_and(|it| it.is_dead()),
        Err(e) => return Err(Error::new("lock", path, e)),
    };
    Ok(is_dead.then_some(Some(file)))
}

/// Who made a staging entry, by its name.
struct Owner {
    host: u32,
    pid: i32,
}

impl Owner {
    fn of(name: &OsStr) -> Option<Owner> {
        let (_, id) = name.to_str()?.rsplit_once('.')?;
        let mut parts = id.split('-');
        let host = u32::from_str_radix(parts.next()?, 16).ok()?;
        Some(Owner { host, pid: parts.next()?.parse().ok()? })
    }

    fn is_ours(&self) -> bool {
        self.host == host_number()
    }

    fn is_dead(&self) -> bool {
        self.is_ours() && !is_running(self.pid)
    }
}

/// Whether a process of this number runs on this machine.
pub(crate) fn is_running(pid: i32) -> bool {
    match Pid::from_raw(pid) {
        Some(pid) if pid.as_raw_nonzero().get() > 0 => {
            rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
        }
        _ => false,
    }
}

pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A short stand-in for the host's name in a file's name (FNV-1a).
fn host_number() -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    host_name().bytes().fold(0x811c_9dc5, step)
}

/// A day is longer than any save.
fn is_old(metadata: &std::fs::Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|it| SystemTime::now().duration_since(it).ok());
    age.is_some_and(|it| it > Duration::from_secs(24 * 60 * 60))
}

#[cfg(target_os = "linux")]
fn is_network(file: &File) -> bool {
    // NFS, SMB, SMB2, CIFS, FUSE, 9P, Ceph, Lustre, AFS, GPFS, BeeGFS.
    const MAGIC: [u32; 11] = [
        0x6969,
        0x517b,
        0xfe53_4d42,
        0xff53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x00c3_6400,
        0x0bd0_0bd0,
        0x5346_414f,
        0x4750_4653,
        0x1983_0326,
    ];
    rustix::fs::fstatfs(file).is_ok_and(|it| MAGIC.contains(&(it.f_type as u32)))
}

#[cfg(not(target_os = "linux"))]
fn is_network(_: &File) -> bool {
    false
}

/// A staging name for something that will be named `name`.
pub(crate) fn staged_name(name: &OsStr) -> OsString {
    unique_name(STAGED, name)
}

fn unique_name(prefix: &str, name: &OsStr) -> OsString {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut res = OsString::from(prefix);
    res.push(OsString::from_vec(shortened(name).to_vec()));
    res.push(format!(".{:08x}-{}-{n}", host_number(), std::process::id()));
    res
}

/// A name's first bytes: with what is put around it, it must not be longer than a name may be.
fn shortened(name: &OsStr) -> &[u8] {
    let bytes = name.as_bytes();
    &bytes[..bytes.len().min(160)]
}

fn is_ours(name: &OsStr, prefix: &str) -> bool {
    name.as_bytes().starts_with(prefix.as_bytes())
}

/// Where what is staged at a path will be: people are told of that, not of names of ours.
pub(crate) fn destination(path: &Path) -> PathBuf {
    let named = |part: &OsStr| {
        let rest = part.as_bytes().strip_prefix(STAGED.as_bytes())?;
        let end = rest.iter().rposition(|byte| *byte == b'.')?;
        Some(OsString::from_vec(rest[..end].to_vec()))
    };
    let mut destination = PathBuf::new();
    for part in path.iter() {
        match named(part) {
            // A set is staged in the directory that it is for.
            Some(name) if name == SET => (),
            Some(name) => destination.push(name),
            None => destination.push(part),
        }
    }
    destination
}

/// Whether a path is below a staging directory.
pub(crate) fn is_staged(path: &Path) -> bool {
    path.iter().any(|it| is_ours(it, STAGED))
}

/// Whether a name is one that this crate gives.
pub(crate) fn is_reserved(name: &OsStr) -> bool {
    name.as_bytes().starts_with(RESERVED.as_bytes())
}

const RESERVED: &str = ".pretrained-";
const STAGED: &str = ".pretrained-staged-";
/// What a set is called while it is staged; no file or directory can have this name.
pub(crate) const SET: &str = "";
const TRASH: &str = ".pretrained-trash-";
