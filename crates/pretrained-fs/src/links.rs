//! Replacing files of a directory so that even a reader who knows nothing of it sees the old ones or
//! the new ones at every instant, whatever dies.
//!
//! While it happens, each of the files is a symbolic link through one more, [`SET`], which leads to
//! the old files or to the new ones. Turning that one over is the commit point. Putting a link in
//! the place of a file that is the same, or the file in the place of the link, changes nothing that
//! anybody sees, so these steps need no order among themselves, and no plan is kept: whoever comes
//! after a crash puts the files that the links lead to in their places.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    copy::is_link_limit,
    journal::{Plan, SET},
    seam,
    staging::{self, Staging},
};

/// Puts the staged files in place and removes the old ones. Hands `staging` back, with nothing
/// changed, where the file system or the files do not allow it. The caller holds the directory's lock.
pub(crate) fn replace(dir: &Path, staging: Staging, plan: &Plan) -> Result<Option<Staging>, Error> {
    let names: Vec<&String> = plan.place.iter().chain(&plan.remove).collect();
    if !keep_old(dir, &names)? {
        return Ok(Some(staging));
    }
    let replaced = turn_over(dir, staging, &names);
    match &replaced {
        // A sync is not tried again. The next one who opens the directory tidies up, and until then
        // the links do.
        Err(e) if !e.is_of_sync() => drop(settle(dir)),
        _ => (),
    }
    replaced.map(|()| None)
}

/// Gives the old files second names, and [`SET`] leads there. Says whether that is possible.
fn keep_old(dir: &Path, names: &[&String]) -> Result<bool, Error> {
    let mut present = Vec::new();
    for name in names {
        match seam::stat(&dir.join(name))? {
            Some(metadata) if metadata.is_file() => present.push(*name),
            // A link of the user's own means something else in another directory.
            Some(_) => return Ok(false),
            None => (),
        }
    }
    let old = dir.join(OLD);
    let link_all = || {
        seam::create_dir(&old)?;
        for name in present {
            seam::link(&dir.join(name), &old.join(name))?;
        }
        seam::sync_dir(&old)?;
        seam::symlink(Path::new(OLD), &dir.join(SET))
    };
    match link_all() {
        Ok(()) => Ok(true),
        Err(e) => {
            let is_refusal = e.is_refusal() || is_link_limit(&e);
            let removed = staging::remove_entry(&old);
            if is_refusal { removed.map(|()| false) } else { Err(e) }
        }
    }
}

fn turn_over(dir: &Path, staging: Staging, names: &[&String]) -> Result<(), Error> {
    let (old, new, set) = (dir.join(OLD), dir.join(NEW), dir.join(SET));
    seam::rename(&staging.path, &new).map_err(staging::advise_rename)?;
    staging.disarm();
    // What the links will lead to is there before the first of them.
    seam::sync_dir(dir)?;
    let put_link = |target: &Path, at: &Path| {
        let made = old.join(LINK);
        seam::symlink(target, &made)?;
        seam::rename(&made, at)
    };
    for name in names {
        put_link(&Path::new(SET).join(name), &dir.join(name))?;
    }
    // All of them are there before they change their meaning...
    seam::sync_dir(dir)?;
    put_link(Path::new(NEW), &set)?;
    // ...which is certain before the first is replaced by the file that it now means.
    seam::sync_dir(dir).map_err(Error::after_commit)?;
    settle(dir).map_err(Error::after_commit)
}

/// Puts the files that the links through [`SET`] lead to in the places of the links, be they the new
/// ones or the old ones. The caller holds the directory's lock.
pub(crate) fn settle(dir: &Path) -> Result<(), Error> {
    let set = dir.join(SET);
    let Some(target) = link_at(&set)? else { return Ok(()) };
    let from = dir.join(&target);
    let is_ours = [OLD, NEW].iter().any(|it| target == Path::new(it));
    // A link in its place would lead further; nothing is there if a power loss took it.
    if !is_ours || seam::stat(&from)?.is_some_and(|it| !it.is_dir()) {
        // Whoever made this directory must not make us reach out of it.
        let source = io::Error::new(io::ErrorKind::InvalidData, "the link leads elsewhere");
        return Err(Error::new("follow", &set, source).with_advice("it is not ours; remove it"));
    }
    for name in seam::list(dir)? {
        let place = dir.join(&name);
        if staging::is_reserved(&name) || link_at(&place)? != Some(Path::new(SET).join(&name)) {
            continue;
        }
        match seam::stat(&from.join(&name))? {
            Some(metadata) if metadata.is_file() => seam::rename(&from.join(&name), &place)?,
            // A file that the old set did not have, or the new one has not.
            _ => seam::remove_file(&place)?,
        }
    }
    seam::sync_dir(dir)?;
    seam::remove_file(&set)?;
    // Gone for certain, or it would be followed into what is removed next.
    seam::sync_dir(dir)?;
    sweep(dir)
}

/// Removes what a crash left behind once [`SET`] is gone, or before it came. The caller holds the
/// directory's lock.
pub(crate) fn sweep(dir: &Path) -> Result<(), Error> {
    [OLD, NEW].iter().try_for_each(|name| staging::remove_entry(&dir.join(name)))
}

/// What a symbolic link says, or `None` if there is no link.
fn link_at(path: &Path) -> Result<Option<PathBuf>, Error> {
    match seam::stat(path)? {
        Some(metadata) if metadata.is_symlink() => seam::read_link(path).map(Some),
        _ => Ok(None),
    }
}

const OLD: &str = ".pretrained-old";
const NEW: &str = ".pretrained-new";
/// A link on its way to its place.
const LINK: &str = ".pretrained-link";
