//! Replacing a set by exchanging its directory with another one: the second way of [`StagedSet`].
//!
//! [`StagedSet`]: crate::StagedSet

use std::{ffi::OsString, fs, io, os::unix::fs::MetadataExt, path::Path};

use crate::{
    Error,
    dir_lock::DirLock,
    name_of, parent, seam,
    staged_set::{Belongs, Replacement},
    staging,
};

pub(crate) enum Exchanged {
    Yes,
    No(Replacement),
}

impl Replacement {
    /// The second way. Hands `self` back, with nothing changed, where it is not possible.
    pub(crate) fn exchange(self, names: &[String], lock: &DirLock) -> Result<Exchanged, Error> {
        let Some(foreign) = self.exchangeable(names, lock)? else {
            return Ok(Exchanged::No(self));
        };
        let beside = parent(&self.dir).join(staging::staged_name(&name_of(&self.dir)?));
        let inside = self.staging.path.clone();
        if seam::rename(&inside, &beside).is_err() {
            return Ok(Exchanged::No(self));
        }
        let mut this = self;
        this.staging.path = beside.clone();
        // The exchange must not reach the disk before this move has: a directory that a crash leaves
        // in two places would be emptied by the sweep of one of them.
        seam::sync_dir(parent(&this.dir))?;

        let back_out = |mut this: Replacement, linked: &[&OsString]| {
            for name in linked {
                seam::remove_file(&beside.join(name))?;
            }
            seam::rename(&beside, &inside)?;
            this.staging.path = inside.clone();
            Ok(Exchanged::No(this))
        };
        let mut linked = Vec::new();
        for name in &foreign {
            match seam::link(&this.dir.join(name), &beside.join(name)) {
                Ok(()) => linked.push(name),
                // Another user's file, a full table of links, a file system without links.
                Err(_) => return back_out(this, &linked),
            }
        }
        let mode = seam::stat(&this.dir)?.map(|it| it.permissions());
        if let Some(mode) = mode {
            seam::set_mode(&beside, mode)?;
        }
        seam::sync_dir(&beside)?;
        match seam::exchange(&beside, &this.dir) {
            Ok(()) => (),
            Err(e) if e.is_refusal() || e.kind() == io::ErrorKind::ResourceBusy => {
                return back_out(this, &linked);
            }
            Err(e) => return Err(e),
        }

        // What is beside now is the old directory. Until the exchange is durable, it must stay
        // whole: a power loss may still bring it back.
        let dir = this.dir.clone();
        this.staging.disarm();
        seam::sync_dir(parent(&dir)).map_err(Error::after_commit)?;
        rescue(&beside, &dir, &foreign, &this.belongs).map_err(Error::after_commit)?;
        staging::remove_entry(&beside).map_err(Error::after_commit)?;
        Ok(Exchanged::Yes)
    }

    /// The foreign files, if nothing speaks against giving the directory a new identity.
    fn exchangeable(
        &self,
        names: &[String],
        lock: &DirLock,
    ) -> Result<Option<Vec<OsString>>, Error> {
        let dir = &self.dir;
        let old = lock.metadata(dir)?;
        let beside = seam::metadata(parent(dir))?.map(|it| it.dev());
        let new = seam::stat(&self.staging.path)?;
        let is_alike = new.is_some_and(|it| (it.uid(), it.gid()) == (old.uid(), old.gid()));
        // A mount point cannot be renamed; a directory that we or our shell stand in should not be.
        let is_root = dir.parent().is_none() || Some(old.dev()) != beside;
        let here = fs::metadata(".").ok();
        let is_here = here.is_some_and(|it| (it.dev(), it.ino()) == (old.dev(), old.ino()));
        if !is_alike || is_root || is_here || has_attributes(dir) {
            return Ok(None);
        }

        let mut foreign = Vec::new();
        for name in seam::list(dir)? {
            let path = dir.join(&name);
            if path == self.staging.path {
                continue;
            }
            match seam::stat(&path)? {
                Some(metadata)
                    if metadata.is_dir()
                        && name.to_str().is_some_and(|it| self.belongs.has_dir(it)) =>
                {
                    continue;
                }
                // Hard links to directories do not exist, and another's staging is in use.
                Some(metadata) if metadata.is_dir() => return Ok(None),
                Some(_) if staging::is_reserved(&name) => return Ok(None),
                Some(_) => (),
                None => continue,
            }
            let is_member =
                |it: &str| self.belongs.has_file(it) || names.iter().any(|name| name == it);
            if !name.to_str().is_some_and(is_member) {
                foreign.push(name);
            }
        }
        Ok(Some(foreign))
    }
}

/// Repeats what others did to foreign files between our linking and the exchange.
fn rescue(old: &Path, new: &Path, linked: &[OsString], belongs: &Belongs) -> Result<(), Error> {
    let id = |path: &Path| {
        seam::stat(path).map(|it| it.map(|metadata| (metadata.dev(), metadata.ino())))
    };
    let there = seam::list(old)?;
    let mut is_changed = false;
    for name in there.iter().filter(|it| !belongs.has(it)) {
        if id(&old.join(name))? != id(&new.join(name))? {
            seam::rename(&old.join(name), &new.join(name))?;
            is_changed = true;
        }
    }
    for name in linked.iter().filter(|it| !there.contains(it)) {
        seam::remove_file(&new.join(name))?;
        is_changed = true;
    }
    if is_changed { seam::sync_dir(new) } else { Ok(()) }
}

/// Access lists and labels, which a new directory would not have.
fn has_attributes(dir: &Path) -> bool {
    // Every file has SELinux's label where that runs, and a new one gets its own.
    let mut names = vec![0; 4096];
    match rustix::fs::listxattr(dir, &mut names[..]) {
        Ok(len) => names[..len].split(|it| *it == 0).any(|it| !it.is_empty() && it != SELINUX),
        Err(e) => e != rustix::io::Errno::OPNOTSUPP,
    }
}

const SELINUX: &[u8] = b"security.selinux";
