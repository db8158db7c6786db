use std::{
    ffi::OsStr,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Error, StagedDir, absolute, copy,
    dir_lock::DirLock,
    exchange::Exchanged,
    journal, links, parent, seam,
    staged_dir::sync_tree,
    staging::{self, Staging},
};

/// New files for an existing directory, which replace the old ones all together or not at all.
///
/// Which files of the directory belong to the set is the caller's to say; all others stay as they
/// are. So do sub-directories, but for those that belong to the set [as a whole](StagedSet::with_dir).
/// If the directory does not exist, this is a [`StagedDir`].
///
/// Publishing takes the first of four ways that is possible (`docs/durability.md` has the steps):
///
/// 1. If one file differs, it is renamed over the old one.
/// 2. If the directory has no foreign sub-directories, the new files and hard links to the foreign
///    ones make up a second directory, and the two are exchanged in one step.
/// 3. If no sub-directory changes and the file system has links, symbolic ones stand in for the files
///    while one of them is turned over from the old files to the new.
/// 4. Otherwise the new files are renamed one after the other, under a journal that
///    [`recover`](crate::recover) finishes after a crash.
///
/// A plain reader sees the old set or the new one at every instant of the first three ways. In the
/// fourth it finds the [`gate`](StagedSet::gate) missing while there would be a mixture.
#[derive(Debug)]
#[must_use = "a staged set that is not published is removed"]
pub struct StagedSet(Inner);

#[derive(Debug)]
enum Inner {
    New(StagedDir),
    Replacement(Replacement),
}

#[derive(Debug)]
pub(crate) struct Replacement {
    pub(crate) dir: PathBuf,
    pub(crate) staging: Staging,
    pub(crate) belongs: Belongs,
    gate: Option<String>,
}

/// Which names are the set's.
pub(crate) struct Belongs {
    files: Box<dyn Fn(&str) -> bool + Send + Sync>,
    dirs: Vec<String>,
}

impl Belongs {
    pub(crate) fn has_file(&self, name: &str) -> bool {
        (self.files)(name)
    }

    pub(crate) fn has_dir(&self, name: &str) -> bool {
        self.dirs.iter().any(|it| it == name)
    }

    /// Whether the file or directory of this name is the set's.
    pub(crate) fn has(&self, name: &OsStr) -> bool {
        name.to_str().is_some_and(|it| self.has_file(it) || self.has_dir(it))
    }
}

impl fmt::Debug for Belongs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Belongs")
    }
}

impl StagedSet {
    /// Starts a replacement for those files of `dir` whose names satisfy `belongs`.
    ///
    /// # Errors
    ///
    /// `dir` is a file ([`NotADirectory`](std::io::ErrorKind::NotADirectory)) or a symbolic link to
    /// nothing, or may not be written to; another process has been saving into it for a minute
    /// ([`TimedOut`](std::io::ErrorKind::TimedOut)).
    pub fn create(
        dir: &Path,
        belongs: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Result<StagedSet, Error> {
        let belongs = Belongs { files: Box::new(belongs), dirs: Vec::new() };
        let dir = absolute(dir)?;
        let Some(metadata) = seam::stat(&dir)? else {
            return Ok(StagedSet(Inner::New(StagedDir::create(&dir)?)));
        };
        let dir = if metadata.is_symlink() {
            let advice = "it is a symbolic link to nothing; remove it or choose another path";
            fs::canonicalize(&dir)
                .map_err(|e| Error::new("resolve", &dir, e).with_advice(advice))?
        } else {
            dir
        };
        if !seam::metadata(&dir)?.is_some_and(|it| it.is_dir()) {
            let error = Error::new("save into", &dir, io::ErrorKind::NotADirectory.into());
            return Err(error.with_advice("a file is there; choose another path"));
        }
        staging::sweep(&dir)?;
        sweep_beside(&dir)?;
        // Under the lock, so that whoever exchanges the directory either sees what is staged in it
        // or is done.
        let lock = DirLock::shared(&dir)?;
        let staging = Staging::create_dir(&dir, OsStr::new(staging::SET))?;
        drop(lock);
        Ok(StagedSet(Inner::Replacement(Replacement { dir, staging, belongs, gate: None })))
    }

    /// Takes a sub-directory into the set as a whole. `belongs` is asked of its files by
    /// `sub-directory/file`; the foreign ones move with it.
    pub fn with_dir(mut self, name: &str) -> StagedSet {
        if let Inner::Replacement(it) = &mut self.0 {
            it.belongs.dirs.push(name.to_owned());
        }
        self
    }

    /// Names the file without which no reader opens the directory, such as `config.json`.
    pub fn gate(mut self, name: &str) -> StagedSet {
        if let Inner::Replacement(it) = &mut self.0 {
            it.gate = Some(name.to_owned());
        }
        self
    }

    /// Where to write the new files, until they are published. Their names must satisfy `belongs`.
    pub fn path(&self) -> &Path {
        match &self.0 {
            Inner::New(dir) => dir.path(),
            Inner::Replacement(it) => &it.staging.path,
        }
    }

    /// Makes the new files durable, puts them in place and removes the old ones.
    ///
    /// # Errors
    ///
    /// A staged file has a name that is not the set's, or is not a regular one
    /// ([`InvalidInput`](std::io::ErrorKind::InvalidInput)); a directory is in a sub-directory of
    /// the set ([`IsADirectory`](std::io::ErrorKind::IsADirectory)); another process has been
    /// saving for a minute ([`TimedOut`](std::io::ErrorKind::TimedOut)); or the disk fails. Even
    /// then whoever [recovers](crate::recover) the directory finds the old files or the new ones:
    /// with [`Error::is_in_place`] the new ones.
    pub fn publish(self) -> Result<(), Error> {
        match self.0 {
            Inner::New(dir) => dir.publish(),
            Inner::Replacement(it) => it.publish(),
        }
    }
}

impl Replacement {
    fn publish(self) -> Result<(), Error> {
        self.adopt_foreign()?;
        let names = self.staged_names()?;
        for name in &names {
            self.keep_mode(name)?;
        }
        sync_tree(&self.staging.path)?;

        let lock = DirLock::exclusive(&self.dir)?;
        journal::finish(&self.dir)?;
        links::sweep(&self.dir)?;
        let plan = self.plan(&names)?;
        let is_dir = |name: &String| {
            let [old, new] = [&self.dir, &self.staging.path].map(|it| seam::stat(&it.join(name)));
            Ok::<_, Error>([old?, new?].iter().flatten().any(|it| it.is_dir()))
        };
        let mut has_dirs = false;
        for name in plan.place.iter().chain(&plan.remove) {
            has_dirs |= is_dir(name)?;
        }
        match (plan.place.as_slice(), plan.remove.as_slice()) {
            ([], []) => Ok(()),
            ([name], []) if !has_dirs => {
                let (from, to) = (self.staging.path.join(name), self.dir.join(name));
                seam::rename(&from, &to).map_err(staging::advise_rename)?;
                seam::sync_dir(&self.dir).map_err(Error::after_commit)
            }
            ([], [name]) if !has_dirs => {
                seam::remove_file(&self.dir.join(name))?;
                seam::sync_dir(&self.dir).map_err(Error::after_commit)
            }
            _ => match self.exchange(&names, &lock)? {
                Exchanged::Yes => Ok(()),
                Exchanged::No(this) => {
                    let staging = match has_dirs {
                        true => Some(this.staging),
                        false => links::replace(&this.dir, this.staging, &plan)?,
                    };
                    let Some(staging) = staging else { return Ok(()) };
                    let gate =
                        this.gate.filter(|it| names.contains(it) || plan.remove.contains(it));
                    let mut plan = plan;
                    // Gated even if it does not change, so that it can be taken away.
                    if let Some(gate) = gate.as_ref().filter(|it| names.contains(it)) {
                        plan.place.retain(|it| it != gate);
                        plan.place.push(gate.clone());
                    }
                    journal::commit(&this.dir, staging, &journal::Plan { gate, ..plan })
                }
            },
        }
    }

    /// The names of the new files, each of which must be one of the set's.
    fn staged_names(&self) -> Result<Vec<String>, Error> {
        let invalid = |path: &Path, why: &str| {
            Error::new("publish", path, io::Error::new(io::ErrorKind::InvalidInput, why))
        };
        let is_file =
            |path: &Path| Ok::<_, Error>(seam::stat(path)?.is_some_and(|it| it.is_file()));
        let mut names = Vec::new();
        for name in seam::list(&self.staging.path)? {
            let path = self.staging.path.join(&name);
            let is_dir = seam::stat(&path)?.is_some_and(|it| it.is_dir());
            let members = if is_dir { files_in(&path)? } else { vec![path.clone()] };
            for member in &members {
                if !is_file(member)? {
                    return Err(invalid(member, "a set holds regular files only"));
                }
            }
            let belongs = |it: &str| {
                if is_dir { self.belongs.has_dir(it) } else { self.belongs.has_file(it) }
            };
            match name.into_string() {
                Ok(name) if belongs(&name) && !name.contains('\n') => names.push(name),
                _ => return Err(invalid(&path, "the name is not one of the set's")),
            }
        }
        Ok(names)
    }

    /// Brings what is not the set's in its sub-directories along.
    fn adopt_foreign(&self) -> Result<(), Error> {
        for name in self.member_dirs()? {
            for path in files_in(&self.dir.join(&name))? {
                let Some(file) = path.file_name() else { continue };
                if file.to_str().is_some_and(|it| self.belongs.has_file(&format!("{name}/{it}"))) {
                    continue;
                }
                let (dir, metadata) = (self.staging.path.join(&name), seam::stat(&path)?);
                if metadata.is_some_and(|it| it.is_dir()) {
                    let error = Error::new("replace", &path, io::ErrorKind::IsADirectory.into());
                    return Err(error.with_advice("no directory is expected here; move it away"));
                }
                if seam::stat(&dir)?.is_none() {
                    seam::create_dir(&dir)?;
                }
                copy::link_or_copy(&path, &dir.join(file))?;
            }
        }
        Ok(())
    }

    /// The sub-directories that are the set's.
    fn member_dirs(&self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for name in seam::list(&self.dir)? {
            let is_dir = seam::stat(&self.dir.join(&name))?.is_some_and(|it| it.is_dir());
            let Ok(name) = name.into_string() else { continue };
            if is_dir && self.belongs.has_dir(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// What replaces another keeps its mode.
    fn keep_mode(&self, name: &str) -> Result<(), Error> {
        match seam::stat(&self.dir.join(name))? {
            Some(old) if old.is_file() || old.is_dir() => {
                seam::set_mode(&self.staging.path.join(name), old.permissions())
            }
            _ => Ok(()),
        }
    }

    fn plan(&self, names: &[String]) -> Result<journal::Plan, Error> {
        let mut plan = journal::Plan::default();
        for name in names {
            let (new, old) = (self.staging.path.join(name), self.dir.join(name));
            match seam::stat(&old)? {
                Some(metadata) if metadata.is_dir() => {
                    if !seam::stat(&new)?.is_some_and(|it| it.is_dir()) {
                        return Err(Error::new(
                            "replace",
                            &old,
                            io::ErrorKind::IsADirectory.into(),
                        ));
                    }
                    if !are_same(&files_in(&new)?, &files_in(&old)?)? {
                        plan.place.push(name.clone());
                    }
                }
                Some(metadata) if metadata.is_file() => {
                    let len = seam::stat(&new)?.map(|it| it.len());
                    if len != Some(metadata.len()) || !copy::is_same(&new, &old)? {
                        plan.place.push(name.clone());
                    }
                }
                _ => plan.place.push(name.clone()),
            }
        }
        for name in seam::list(&self.dir)? {
            let is_dir = seam::stat(&self.dir.join(&name))?.is_none_or(|it| it.is_dir());
            let Ok(name) = name.into_string() else { continue };
            if !is_dir
                && self.belongs.has_file(&name)
                && !names.contains(&name)
                && !name.contains('\n')
            {
                plan.remove.push(name);
            }
        }
        plan.remove.extend(self.member_dirs()?.into_iter().filter(|it| !names.contains(it)));
        Ok(plan)
    }
}

/// What is in a directory, sorted.
fn files_in(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(seam::list(dir)?.iter().map(|it| dir.join(it)).collect())
}

/// Whether two directories have the same files.
fn are_same(a: &[PathBuf], b: &[PathBuf]) -> Result<bool, Error> {
    for (a, b) in a.iter().zip(b) {
        if a.file_name() != b.file_name() || !copy::is_same(a, b)? {
            return Ok(false);
        }
    }
    Ok(a.len() == b.len())
}

/// Sweeps what a crash in the middle of an exchange leaves beside the directory.
fn sweep_beside(dir: &Path) -> Result<(), Error> {
    match dir.file_name() {
        Some(name) => match staging::sweep_for(parent(dir), name) {
            // A parent that we may not read is one that we cannot have written to.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            res => res,
        },
        None => Ok(()),
    }
}
