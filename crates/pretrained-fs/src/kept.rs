use std::{
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{Error, copy::is_link_limit, parent, seam};

/// A file that has been written and is not to change: it is found again in the directories to come, which
/// can have it, too, without its being written again.
///
/// It is not held open. What is open cannot be removed everywhere: NFS gives it another name, and the
/// directory cannot go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptFile {
    dev: u64,
    ino: u64,
    len: u64,
    /// When it was last written to, in seconds and nanoseconds.
    modified: (i64, i64),
}

impl KeptFile {
    /// The file at a path, by what it looks like without reading it; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be looked at.
    pub fn at(path: &Path) -> Result<Option<KeptFile>, Error> {
        Ok(seam::stat(path)?.filter(Metadata::is_file).map(|it| KeptFile::new(&it)))
    }

    pub(crate) fn new(it: &Metadata) -> KeptFile {
        let modified = (it.mtime(), it.mtime_nsec());
        KeptFile { dev: it.dev(), ino: it.ino(), len: it.size(), modified }
    }

    /// Gives `dir` the file, too, under the name `name` that it has in one of the directories beside. Says
    /// whether it has: not if it is in none of them, if somebody wrote to it since, or if the file system
    /// refuses. Then it is to be written again.
    ///
    /// # Errors
    ///
    /// If the directories cannot be listed, or linking fails for a reason of its own: something of that name
    /// is in `dir`, say, or the disk is full.
    pub fn link_into(&self, dir: &Path, name: &str) -> Result<bool, Error> {
        let Some(from) = self.find(parent(dir), name)? else { return Ok(false) };
        match seam::link(&from, &dir.join(name)) {
            Ok(()) => Ok(true),
            // It may have gone meanwhile.
            Err(e)
                if e.is_refusal() || is_link_limit(&e) || e.kind() == io::ErrorKind::NotFound =>
            {
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }

    /// Where it is, in one of the directories in `root`.
    fn find(&self, root: &Path, name: &str) -> Result<Option<PathBuf>, Error> {
        for entry in seam::list(root)? {
            let path = root.join(entry).join(name);
            // What cannot be looked at is not it.
            if KeptFile::at(&path).ok().flatten().is_some_and(|it| it == *self) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{FileExt, symlink},
    };

    use super::*;
    use crate::{NewFile, StagedDir};

    fn ino(path: &Path) -> u64 {
        fs::metadata(path).expect("a file").ino()
    }

    /// A published directory with one file, which is kept.
    fn published(dir: &Path) -> KeptFile {
        let staged = StagedDir::create(dir).expect("staged");
        let file = NewFile::create(&staged.path().join("weights")).expect("created");
        file.write_all_at(b"numbers", 0).expect("written");
        let kept = file.keep().expect("kept");
        staged.publish().expect("published");
        kept
    }

    #[test]
    fn a_kept_file_is_found_wherever_it_went() {
        let scratch = tempfile::tempdir().expect("temp dir");
        let at = |name: &str| scratch.path().join(name);
        let kept = published(&at("1"));
        for name in ["a", "b"] {
            fs::create_dir(at(name)).expect("created");
        }
        assert!(kept.link_into(&at("a"), "weights").expect("links"));
        assert_eq!(ino(&at("a/weights")), ino(&at("1/weights")));

        fs::remove_dir_all(at("1")).expect("removed");
        fs::rename(at("a"), at("2")).expect("renamed");
        // Neither a file nor a link to nothing is in the way.
        fs::write(at("file"), b"").expect("written");
        symlink("nowhere", at("link")).expect("linked");
        assert!(kept.link_into(&at("b"), "weights").expect("links"));
        assert_eq!(ino(&at("b/weights")), ino(&at("2/weights")));
        let error = kept.link_into(&at("b"), "weights").expect_err("something is there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn what_is_gone_or_not_as_it_was_is_to_be_written_again() {
        let scratch = tempfile::tempdir().expect("temp dir");
        let at = |name: &str| scratch.path().join(name);
        fs::create_dir(at("a")).expect("created");
        let kept = published(&at("1"));
        fs::remove_dir_all(at("1")).expect("removed");
        fs::create_dir(at("1")).expect("created");
        fs::write(at("1/weights"), b"another").expect("written");
        assert!(!kept.link_into(&at("a"), "weights").expect("no error"));

        let kept = published(&at("2"));
        let file = fs::OpenOptions::new().write(true).open(at("2/weights")).expect("opened");
        file.write_all_at(b"NUMBERS", 0).expect("written");
        assert!(!kept.link_into(&at("a"), "weights").expect("no error"));
        assert!(!at("a/weights").exists());
    }
}
