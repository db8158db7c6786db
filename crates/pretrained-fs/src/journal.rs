//! Replacing the files of a directory one after the other, so that a crash in the middle can be
//! finished: the way for file systems without links. [`finish`] and [`recover`] are for both.
//!
//! The commit point is the renaming of the staged directory, which holds the new files and the
//! plan, to [`SET`]. From then on only forward: the steps can be repeated any number of times.

use std::{
    ffi::OsStr,
    io::{self, Read},
    path::Path,
};

use crate::{
    Error,
    dir_lock::DirLock,
    links,
    reads::Reader,
    seam, staging,
    staging::{Staging, remove_at_once},
};

/// What a replacement does to a directory.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Staged files to rename into place.
    pub(crate) place: Vec<String>,
    /// Old files to remove.
    pub(crate) remove: Vec<String>,
    /// The one that goes first and comes last.
    pub(crate) gate: Option<String>,
}

/// Held while a directory's files are opened, so that none is replaced meanwhile.
#[derive(Debug)]
pub struct Recovered {
    _lock: Option<DirLock>,
}

/// Finishes the replacement of a directory's files that a crashed writer had committed.
///
/// Every opener of a model directory calls this first. It costs an `open`, a `flock` and three `stat`s
/// when there is nothing to do. Nobody replaces the directory's files until the answer is dropped:
/// keep it until the files are open, and no longer, for you cannot save there yourself either.
///
/// # Errors
///
/// Another process has been replacing the files for a minute
/// ([`TimedOut`](std::io::ErrorKind::TimedOut)); a committed set is there that this user may not
/// put in place; or what goes by the name of one is not this crate's
/// ([`InvalidData`](std::io::ErrorKind::InvalidData)). A directory that is not there, or may not be
/// listed, has nothing to finish.
pub fn recover(dir: &Path) -> Result<Recovered, Error> {
    if !seam::metadata(dir)?.is_some_and(|it| it.is_dir()) {
        return Ok(Recovered { _lock: None });
    }
    let lock = match DirLock::shared(dir) {
        Ok(lock) => lock,
        // One may be allowed to open files by name and not to list them.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            return Ok(Recovered { _lock: None });
        }
        Err(e) => return Err(e),
    };
    if seam::stat(&dir.join(SET))?.is_none() {
        return Ok(Recovered { _lock: Some(lock) });
    }
    drop(lock);
    let exclusive = DirLock::exclusive(dir)?;
    match finish(dir) {
        // The links lead to whole files as well as the files themselves would.
        Err(e) if is_denied(&e) && !is_journal(dir)? => (),
        Err(e) if is_denied(&e) => return Err(e.with_advice(ADVICE)),
        res => res?,
    }
    drop(exclusive);
    Ok(Recovered { _lock: Some(DirLock::shared(dir)?) })
}

/// Commits the staged files and puts them in place. The caller holds the directory's lock.
pub(crate) fn commit(dir: &Path, staging: Staging, plan: &Plan) -> Result<(), Error> {
    let path = staging.path.join(PLAN);
    let mut file = crate::NewFile::create(&path)?;
    let written = io::Write::write_all(&mut file, plan.to_text().as_bytes());
    written.map_err(|e| Error::new("write", &path, e))?;
    file.sync()?;
    seam::sync_dir(&staging.path)?;
    seam::rename(&staging.path, &dir.join(SET)).map_err(staging::advise_rename)?;
    staging.disarm();
    seam::sync_dir(dir).map_err(Error::after_commit)?;
    finish(dir).map_err(Error::after_commit)
}

/// Rolls a committed set forward, if there is one, and one that was not committed back. The caller holds the directory's lock.
pub(crate) fn finish(dir: &Path) -> Result<(), Error> {
    let set = dir.join(SET);
    if !is_journal(dir)? {
        return links::settle(dir);
    }
    let plan = Plan::read(&set.join(PLAN))?;

    // 1. No reader opens the directory from here on...
    if let Some(gate) = &plan.gate {
        let is_waiting = seam::stat(&set.join(gate))?.is_some();
        if (is_waiting || plan.remove.contains(gate)) && remove_if_there(&dir.join(gate))? {
            seam::sync_dir(dir)?;
        }
    }
    // 2. ...while the files change...
    let is_gate = |name: &String| plan.gate.as_ref() == Some(name);
    for name in plan.place.iter().filter(|it| !is_gate(it)) {
        place(&set.join(name), &dir.join(name))?;
    }
    for name in plan.remove.iter().filter(|it| !is_gate(it)) {
        remove_if_there(&dir.join(name))?;
    }
    seam::sync_dir(dir)?;
    // 3. ...until all of them have.
    for name in plan.place.iter().filter(|it| is_gate(it)) {
        place(&set.join(name), &dir.join(name))?;
        seam::sync_dir(dir)?;
    }
    // 4. Durably gone, or it would be repeated on top of a later save.
    remove_at_once(&set)
}

fn is_journal(dir: &Path) -> Result<bool, Error> {
    Ok(seam::stat(&dir.join(SET))?.is_some_and(|it| it.is_dir()))
}

fn is_denied(error: &Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn place(from: &Path, to: &Path) -> Result<(), Error> {
    match seam::stat(from)? {
        Some(metadata) if metadata.is_file() => seam::rename(from, to),
        Some(metadata) if metadata.is_dir() => {
            // One can be renamed over nothing only.
            remove_if_there(to)?;
            seam::rename(from, to)
        }
        // Placed before the crash.
        _ => Ok(()),
    }
}

fn remove_if_there(path: &Path) -> Result<bool, Error> {
    match seam::stat(path)? {
        // A set's are flat, whatever someone else's plan says.
        Some(metadata) if metadata.is_dir() => {
            for name in seam::list(path)? {
                seam::remove_file(&path.join(name))?;
            }
            seam::remove_empty_dir(path).map(|()| true)
        }
        Some(_) => seam::remove_file(path).map(|()| true),
        None => Ok(false),
    }
}

impl Plan {
    fn to_text(&self) -> String {
        let mut text = format!("{FORMAT}\n");
        let mut push = |verb: &str, name: &String| text.push_str(&format!("{verb} {name}\n"));
        self.gate.iter().for_each(|it| push("gate", it));
        self.place.iter().for_each(|it| push("place", it));
        self.remove.iter().for_each(|it| push("remove", it));
        text.push_str("end\n");
        text
    }

    fn read(path: &Path) -> Result<Plan, Error> {
        let invalid = |why: &str| {
            let source = io::Error::new(io::ErrorKind::InvalidData, why);
            Error::new("read", path, source).with_advice("it is not ours; remove its directory")
        };
        if !seam::stat(path)?.is_some_and(|it| it.is_file()) {
            return Err(invalid("not a regular file"));
        }
        let mut bytes = Vec::new();
        let mut file = Reader::new(crate::open(path)?, path).take(MAX_PLAN + 1);
        file.read_to_end(&mut bytes).map_err(|e| Error::new("read", path, e))?;
        if MAX_PLAN < bytes.len() as u64 {
            return Err(invalid("too long"));
        }
        let text = String::from_utf8(bytes).map_err(|_| invalid("not UTF-8"))?;
        Plan::parse(&text).ok_or_else(|| invalid("not a plan of this version"))
    }

    pub(crate) fn parse(text: &str) -> Option<Plan> {
        let body = text.strip_prefix(FORMAT)?.strip_prefix('\n')?.strip_suffix("end\n")?;
        let mut plan = Plan::default();
        for line in body.lines() {
            let (verb, name) = line.split_once(' ')?;
            // Whoever made this directory must not reach out of it.
            let is_plain = Path::new(name).file_name() == Some(OsStr::new(name));
            if !is_plain || staging::is_reserved(OsStr::new(name)) {
                return None;
            }
            let name = name.to_owned();
            match verb {
                "gate" if plan.gate.is_none() => plan.gate = Some(name),
                "place" => plan.place.push(name),
                "remove" => plan.remove.push(name),
                _ => return None,
            }
        }
        Some(plan)
    }
}

/// A committed set; or a link to the old files or to the new ones, while they are replaced.
pub(crate) const SET: &str = ".pretrained-set";
const ADVICE: &str = "a save into this directory was interrupted after its commit; open it once as a \
                      user who may write there";
const PLAN: &str = ".pretrained-plan";
const FORMAT: &str = "pretrained-set 1";
const MAX_PLAN: u64 = 1 << 24;
