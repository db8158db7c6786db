use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Error, copy::is_link_limit, seam, staging};

/// A file that has been written and is not to change, to be found again in whichever directory it is by
/// now: more directories can have it without its being written again.
///
/// It is held open as long as this lives.
#[derive(Debug)]
pub struct KeptFile {
    file: Arc<File>,
    stamp: Stamp,
}

/// What a file looks like without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    len: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl KeptFile {
    pub(crate) fn new(file: &Arc<File>, path: &Path) -> Result<KeptFile, Error> {
        let stamp = Stamp::of(file).map_err(|e| Error::new("look at", path, e))?;
        Ok(KeptFile { file: Arc::clone(file), stamp })
    }

    /// Gives the file one more name. Says whether it has: not if somebody wrote to it since, if it has no
    /// name left, or if the file system refuses. Then it is to be written again.
    ///
    /// # Errors
    ///
    /// If the link fails for another reason: something is at `to`, say, or the disk is full.
    pub fn link_to(&self, to: &Path) -> Result<bool, Error> {
        if !Stamp::of(&self.file).is_ok_and(|it| it == self.stamp) {
            return Ok(false);
        }
        let Some(path) = path_of(&self.file) else { return Ok(false) };
        match seam::link(&path, to) {
            Ok(()) if staging::is_at(&self.file, to)? => Ok(true),
            Ok(()) => {
                // It went, and another took its name.
                seam::remove_file(to)?;
                Ok(false)
            }
            Err(e)
                if e.is_refusal() || is_link_limit(&e) || e.kind() == io::ErrorKind::NotFound =>
            {
                Ok(false)
            }
            Err(e) => Err(e),
        }
    }
}

impl Stamp {
    fn of(file: &File) -> io::Result<Stamp> {
        let it = file.metadata()?;
        Ok(Stamp { len: it.size(), seconds: it.mtime(), nanoseconds: it.mtime_nsec() })
    }
}

/// Where an open file is now, on systems that tell.
fn path_of(file: &File) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

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
    #[cfg(target_os = "linux")]
    fn a_kept_file_follows_its_directory() {
        let scratch = tempfile::tempdir().expect("temp dir");
        let at = |name: &str| scratch.path().join(name);
        let kept = published(&at("1"));
        assert!(kept.link_to(&at("a")).expect("links"));
        assert_eq!(ino(&at("a")), ino(&at("1").join("weights")));

        fs::rename(at("1"), at("2")).expect("renamed");
        assert!(kept.link_to(&at("b")).expect("links"));
        assert_eq!(
            (ino(&at("b")), fs::read(at("b")).expect("read")),
            (ino(&at("a")), b"numbers".to_vec())
        );
        let error = kept.link_to(&at("b")).expect_err("something is there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn what_is_gone_or_not_as_it_was_is_to_be_written_again() {
        let scratch = tempfile::tempdir().expect("temp dir");
        let at = |name: &str| scratch.path().join(name);
        let kept = published(&at("1"));
        fs::remove_dir_all(at("1")).expect("removed");
        fs::create_dir(at("1")).expect("created");
        fs::write(at("1").join("weights"), b"another").expect("written");
        assert!(!kept.link_to(&at("a")).expect("no error"));
        assert!(!at("a").exists());

        let kept = published(&at("2"));
        let file = fs::OpenOptions::new().write(true).open(at("2").join("weights"));
        file.expect("opened").write_all_at(b"longer than it was", 0).expect("written");
        assert!(!kept.link_to(&at("a")).expect("no error"));
        assert!(!at("a").exists());
    }
}
