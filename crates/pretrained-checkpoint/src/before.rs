use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use pretrained_fs::StagedDir;

use crate::{
    Error,
    manifest::{FileRecord, Manifest},
};

/// What a checkpoint may have in common with the next.
pub(crate) struct Before {
    pub(crate) dir: PathBuf,
    pub(crate) files: BTreeMap<String, FileRecord>,
    /// Whether every byte of it was right, and nothing has happened to it since.
    pub(crate) is_verified: bool,
}

impl Before {
    /// Whether a file here is the one of the same name in another directory.
    fn is_one(&self, name: &str, dir: &Path) -> bool {
        let identity = |dir: &Path| {
            let it = pretrained_fs::metadata(&dir.join(name)).ok()??;
            Some((it.dev(), it.ino()))
        };
        identity(&self.dir).is_some_and(|it| Some(it) == identity(dir))
    }

    /// What a file in another directory is known to be, as it is one of these.
    pub(crate) fn known(&self, name: &str, dir: &Path) -> Option<FileRecord> {
        let record = self.files.get(name).filter(|_| self.is_verified)?;
        self.is_one(name, dir).then(|| record.clone())
    }

    /// Lets staged files that are as they are here be the same files.
    pub(crate) fn share(&self, staged: &StagedDir, manifest: &Manifest) -> Result<(), Error> {
        for (name, record) in &manifest.files {
            if self.files.get(name) == Some(record) && !self.is_one(name, staged.path()) {
                staged.share(name, &self.dir.join(name))?;
            }
        }
        Ok(())
    }
}
