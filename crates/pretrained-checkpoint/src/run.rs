use std::{
    collections::BTreeMap,
    fmt,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use pretrained_fs::{Lock, StagedDir, with_causes};

use crate::{
    Damage, Error, MANIFEST, PREFIX, Report, Retention, SaveError,
    manifest::{self, Hashed, Manifest},
    verify::{Depth, look, step_of, verify},
};

/// The checkpoints of one run.
#[derive(Debug)]
pub struct Checkpoints {
    root: PathBuf,
    /// `None` if opened for reading only.
    lock: Option<Lock>,
    /// Those whose every byte was right, with what their files looked like then.
    verified: Mutex<BTreeMap<u64, Stamp>>,
    hashed: Mutex<Hashed>,
}

/// One published checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Optimizer steps completed when it was taken.
    pub step: u64,
    /// Its directory.
    pub path: PathBuf,
}

/// What [`Checkpoints::save`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The new checkpoint.
    pub checkpoint: Checkpoint,
    /// Where a damaged checkpoint of the same step went, if there was one.
    pub set_aside: Option<PathBuf>,
}

/// The checkpoint to resume from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// The newest whole one, if there is one.
    pub checkpoint: Option<Checkpoint>,
    /// Newer ones, newest first, and why they will not do.
    pub passed_over: Vec<PassedOver>,
}

/// A checkpoint that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Which.
    pub checkpoint: Checkpoint,
    /// Why.
    pub reason: Reason,
}

/// Why a checkpoint is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It is not as it was saved.
    Damaged(Vec<Damage>),
    /// It could not be looked at.
    Unreadable(String),
    /// The caller's own check said no.
    Refused(String),
}

/// What [`Checkpoints::rotate`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rotated {
    /// Removed, oldest first.
    pub removed: Vec<Checkpoint>,
    /// Neither counted nor removed. Not looked for when there is nothing to remove in any case.
    pub damaged: Vec<PassedOver>,
}

impl Checkpoints {
    /// Opens a run's directory for training: creates it if needed, keeps other trainers away until
    /// dropped, and sweeps up after crashed saves.
    ///
    /// # Errors
    ///
    /// [`Error::Lock`] if another process trains in it; [`Error::Io`] if it cannot be made, listed
    /// or swept.
    pub fn open(root: &Path) -> Result<Checkpoints, Error> {
        pretrained_fs::create_dir_all(root)?;
        let lock = Lock::acquire(&root.join(LOCK), "a training run")?;
        pretrained_fs::sweep(root)?;
        let run = Checkpoints { lock: Some(lock), ..Checkpoints::unlocked(root) };
        for checkpoint in run.list()?.into_iter().filter(|it| !it.path.is_symlink()) {
            let is_whole =
                |_: &Path| !matches!(run.fault_of(&checkpoint), Some(Reason::Damaged(_)));
            pretrained_fs::sweep_incomplete(&checkpoint.path, MANIFEST, is_whole)?;
        }
        Ok(run)
    }

    /// Opens a run's directory for reading, beside whoever trains in it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be listed.
    pub fn read(root: &Path) -> Result<Checkpoints, Error> {
        pretrained_fs::list(root)?;
        Ok(Checkpoints::unlocked(root))
    }

    fn unlocked(root: &Path) -> Checkpoints {
        Checkpoints {
            root: root.to_owned(),
            lock: None,
            verified: Mutex::default(),
            hashed: Mutex::default(),
        }
    }

    /// The run's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the checkpoint of a step is or will be.
    pub fn path_of(&self, step: u64) -> PathBuf {
        self.root.join(format!("{PREFIX}{step}"))
    }

    /// Publishes a checkpoint that `write` fills.
    ///
    /// `write` gets an empty directory. If it fails, or the process dies, the run is as before.
    /// When this returns, the checkpoint survives a power loss.
    ///
    /// `write` may link what it wrote for an earlier checkpoint ([`KeptFile`](pretrained_fs::KeptFile)), which
    /// is not read again then.
    ///
    /// A whole checkpoint of the same step is not overwritten. A damaged one, which a resumed run
    /// had to pass over, is renamed to `set-aside-checkpoint-N`.
    ///
    /// # Errors
    ///
    /// [`SaveError::Exists`] if a checkpoint of the step is there that is whole, or cannot be
    /// looked at; [`SaveError::Write`] if `write` fails; [`SaveError::Store`] if the run was opened
    /// for reading, or the directory cannot be made, hashed or published.
    pub fn save<E>(
        &self,
        step: u64,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Saved, SaveError<E>> {
        let store = |source: Error| SaveError::Store { step, source };
        self.check_writable().map_err(store)?;
        let path = self.path_of(step);
        let checkpoint = Checkpoint { step, path: path.clone() };
        // Asked before hours of writing, and once more by what publishes.
        let set_aside = match self.in_the_way(&checkpoint) {
            Some(InTheWay::Whole) => return Err(SaveError::Exists { step, path }),
            Some(InTheWay::Damaged) => Some(self.set_aside(&checkpoint).map_err(store)?),
            None => None,
        };

        let staged = StagedDir::create(&path).map_err(|e| store(e.into()))?;
        write(staged.path()).map_err(|source| SaveError::Write { step, source })?;
        let mut hashed = self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        let manifest = Manifest::of(staged.path(), step, &mut hashed).map_err(store)?;
        drop(hashed);
        let json = manifest.to_json();
        pretrained_fs::write_new(&staged.path().join(MANIFEST), json.as_bytes())
            .map_err(|e| store(e.into()))?;
        staged.publish_with_last(MANIFEST).map_err(|e| store(e.into()))?;
        self.remember(&checkpoint);
        Ok(Saved { checkpoint, set_aside })
    }

    /// All directories named as checkpoints, oldest step first, whether whole or not.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the run's directory cannot be listed, or a checkpoint's not be looked at.
    pub fn list(&self) -> Result<Vec<Checkpoint>, Error> {
        let mut checkpoints = Vec::new();
        for name in pretrained_fs::list(&self.root)? {
            let path = self.root.join(name);
            let Some(step) = step_of(&path) else { continue };
            if pretrained_fs::metadata(&path)?.is_some_and(|it| it.is_dir()) {
                checkpoints.push(Checkpoint { step, path });
            }
        }
        // By step and not by time, which a copy or a clock that jumps would change.
        checkpoints.sort_by_key(|it| it.step);
        Ok(checkpoints)
    }

    /// The newest whole checkpoint, every byte of it checked, and why newer ones will not do.
    ///
    /// # Errors
    ///
    /// As [`list`](Checkpoints::list): a checkpoint that cannot be read is passed over.
    pub fn latest(&self) -> Result<Latest, Error> {
        self.latest_that(|_| Ok(()))
    }

    /// The newest whole checkpoint that `check` accepts. `check` says why not, in a few words.
    ///
    /// # Errors
    ///
    /// As [`latest`](Checkpoints::latest): what `check` says no to is passed over.
    pub fn latest_that(
        &self,
        check: impl Fn(&Checkpoint) -> Result<(), String>,
    ) -> Result<Latest, Error> {
        let mut passed_over = Vec::new();
        for checkpoint in self.list()?.into_iter().rev() {
            let fault = self.fault_of(&checkpoint);
            let fault = fault.or_else(|| check(&checkpoint).err().map(Reason::Refused));
            match fault {
                None => return Ok(Latest { checkpoint: Some(checkpoint), passed_over }),
                Some(reason) => passed_over.push(PassedOver { checkpoint, reason }),
            }
        }
        Ok(Latest { checkpoint: None, passed_over })
    }

    /// Removes what `keep` does not keep, oldest first.
    ///
    /// Only whole checkpoints count and only whole checkpoints are removed. The newest, the best
    /// and the pinned ones stay, whatever `keep` says; so do symbolic links and all directories
    /// that are not named as checkpoints.
    ///
    /// # Errors
    ///
    /// [`Error::ReadOnly`] if the run was opened for reading; [`Error::Io`] if it cannot be listed,
    /// or if one cannot be removed: those before it are gone.
    pub fn rotate(&self, keep: &Retention) -> Result<Rotated, Error> {
        self.check_writable()?;
        let mut rotated = Rotated::default();
        let listed = self.list()?;
        let steps: Vec<u64> = listed.iter().map(|it| it.step).collect();
        if keep.keeps(&steps).iter().all(|it| *it) {
            // The fewer are whole, the more are kept: no need to read them all.
            return Ok(rotated);
        }
        let mut whole = Vec::new();
        for checkpoint in listed {
            match self.fault_of(&checkpoint) {
                None => whole.push(checkpoint),
                Some(reason) => rotated.damaged.push(PassedOver { checkpoint, reason }),
            }
        }
        let steps: Vec<u64> = whole.iter().map(|it| it.step).collect();
        for (checkpoint, keeps) in whole.into_iter().zip(keep.keeps(&steps)) {
            if !keeps && !checkpoint.path.is_symlink() {
                pretrained_fs::remove_dir_with_last(&checkpoint.path, MANIFEST)?;
                self.verified().remove(&checkpoint.step);
                rotated.removed.push(checkpoint);
            }
        }
        Ok(rotated)
    }

    /// Renames a checkpoint so that it does not count any more, and says where it is.
    ///
    /// # Errors
    ///
    /// [`Error::ReadOnly`] if the run was opened for reading; [`Error::Io`] if it cannot be
    /// renamed.
    pub fn set_aside(&self, checkpoint: &Checkpoint) -> Result<PathBuf, Error> {
        self.check_writable()?;
        let mut n = 1;
        loop {
            let suffix = if n == 1 { String::new() } else { format!("-{n}") };
            let name = format!("set-aside-{PREFIX}{}{suffix}", checkpoint.step);
            let path = self.root.join(name);
            if !path.is_symlink() && !path.exists() {
                pretrained_fs::rename_dir(&checkpoint.path, &path)?;
                return Ok(path);
            }
            n += 1;
        }
    }

    fn check_writable(&self) -> Result<(), Error> {
        match self.lock {
            Some(_) => Ok(()),
            None => Err(Error::ReadOnly { path: self.root.clone() }),
        }
    }

    fn in_the_way(&self, checkpoint: &Checkpoint) -> Option<InTheWay> {
        if !checkpoint.path.exists() && !checkpoint.path.is_symlink() {
            return None;
        }
        let is_empty = std::fs::read_dir(&checkpoint.path).is_ok_and(|mut it| it.next().is_none());
        match self.fault_of(checkpoint) {
            Some(Reason::Damaged(_)) if is_empty => None,
            Some(Reason::Damaged(_)) => Some(InTheWay::Damaged),
            // What cannot be looked at may be whole.
            _ => Some(InTheWay::Whole),
        }
    }

    /// Why a checkpoint of this run does not count, if it does not. Each is read once per process,
    /// and again when its files look different.
    pub fn fault_of(&self, checkpoint: &Checkpoint) -> Option<Reason> {
        let stamp = Stamp::of(&checkpoint.path);
        let known = stamp.is_some() && self.verified().get(&checkpoint.step) == stamp.as_ref();
        let report =
            if known { look(&checkpoint.path, Depth::Sizes) } else { verify(&checkpoint.path) };
        match report {
            Ok(Report { damage, .. }) if !damage.is_empty() => Some(Reason::Damaged(damage)),
            Ok(_) => {
                if let Some(stamp) = stamp {
                    self.verified().insert(checkpoint.step, stamp);
                }
                None
            }
            Err(e) => Some(Reason::Unreadable(with_causes(&e))),
        }
    }

    fn remember(&self, checkpoint: &Checkpoint) {
        if let Some(stamp) = Stamp::of(&checkpoint.path) {
            self.verified().insert(checkpoint.step, stamp);
        }
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Stamp>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum InTheWay {
    Whole,
    Damaged,
}

/// What a checkpoint's files look like without reading them: name, inode, size, time of change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp(Vec<(String, u64, u64, i64, i64)>);

impl Stamp {
    fn of(checkpoint: &Path) -> Option<Stamp> {
        let mut names = manifest::file_names(checkpoint).ok()?;
        names.push(MANIFEST.to_owned());
        let stamp = |name: String| {
            let it = pretrained_fs::metadata(&checkpoint.join(&name)).ok()??;
            Some((name, it.ino(), it.size(), it.mtime(), it.mtime_nsec()))
        };
        names.into_iter().map(stamp).collect::<Option<Vec<_>>>().map(Stamp)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Damaged(damage) => {
                let first = damage.first().map(ToString::to_string).unwrap_or_default();
                match damage.len() {
                    0 | 1 => f.write_str(&first),
                    n => write!(f, "{first}, and {} more", n - 1),
                }
            }
            Reason::Unreadable(reason) | Reason::Refused(reason) => f.write_str(reason),
        }
    }
}

const LOCK: &str = ".pretrained-lock";
