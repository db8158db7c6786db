use std::{io, path::Path};

use pretrained_fs::with_causes;
use serde::Deserialize;

use crate::{
    Error, MANIFEST,
    hash::hash,
    manifest::{self, FileRecord, Manifest, ManifestError},
};

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Files that were looked at.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Whether there was a manifest to hold them against. Without one only the structure is.
    pub has_manifest: bool,
    /// What is wrong, none if the checkpoint is whole.
    pub damage: Vec<Damage>,
    /// Files that the manifest does not know. They do no harm.
    pub unlisted: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}

/// One thing that is wrong with a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A file of the manifest is not there.
    #[error("{file} is missing")]
    Missing {
        /// Its name.
        file: String,
    },
    /// A file has another length than when it was saved.
    #[error("{file} has {found} bytes, {expected} were saved")]
    Size {
        /// Its name.
        file: String,
        /// Its length in the manifest.
        expected: u64,
        /// Its length now.
        found: u64,
    },
    /// A file has another content than when it was saved.
    #[error("{file} has changed since it was saved: its hash differs")]
    Content {
        /// Its name.
        file: String,
    },
    /// A file cannot be read.
    #[error("{file} cannot be read: {reason}")]
    Unreadable {
        /// Its name.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// The manifest itself.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The directory's name says one step, what is in it another.
    #[error("it is named as step {named}, but was saved at step {saved}")]
    Step {
        /// By the directory's name.
        named: u64,
        /// By its content.
        saved: u64,
    },
    /// There is no manifest, and what there is instead is not a finished checkpoint.
    #[error("it was not finished: {reason}")]
    Unfinished {
        /// What shows it.
        reason: String,
    },
}

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Names and sizes.
    Sizes,
    /// Also every byte.
    Content,
}

/// Holds a checkpoint, or any directory with a manifest, against its manifest.
///
/// Without a manifest it is taken as Hugging Face's Trainer would have left it: that writes
/// `trainer_state.json` last and not atomically. So the checkpoint is whole when this file parses
/// and names the directory's step, no file is empty, and no marker of an unfinished save is there.
/// Whether the weights can be read is for the caller to check.
///
/// # Errors
///
/// [`Error::Io`] if the directory itself cannot be listed, or has a name that is not UTF-8. All else is
/// damage.
pub fn verify(checkpoint: &Path) -> Result<Report, Error> {
    look(checkpoint, Depth::Content)
}

pub(crate) fn look(checkpoint: &Path, depth: Depth) -> Result<Report, Error> {
    let names = manifest::file_names(checkpoint)?;
    match Manifest::read(checkpoint) {
        Ok(Some(manifest)) => Ok(compare(checkpoint, &names, &manifest, depth)),
        Ok(None) => Ok(structure(checkpoint, &names)),
        Err(e) => Ok(Report { has_manifest: true, damage: vec![e.into()], ..Report::default() }),
    }
}

fn compare(checkpoint: &Path, names: &[String], manifest: &Manifest, depth: Depth) -> Report {
    let mut report = Report { has_manifest: true, ..Report::default() };
    if let Some(named) = step_of(checkpoint).filter(|it| *it != manifest.step) {
        report.damage.push(Damage::Step { named, saved: manifest.step });
    }
    for (file, record) in &manifest.files {
        report.files += 1;
        report.bytes = report.bytes.saturating_add(record.size);
        report.damage.extend(damage_of(checkpoint, file, record, depth));
    }
    let is_unlisted = |it: &&String| !manifest.files.contains_key(*it);
    report.unlisted = names.iter().filter(is_unlisted).cloned().collect();
    report
}

fn damage_of(checkpoint: &Path, file: &str, record: &FileRecord, depth: Depth) -> Option<Damage> {
    let path = checkpoint.join(file);
    let file = file.to_owned();
    let unreadable = |file: String, reason: String| Some(Damage::Unreadable { file, reason });
    match pretrained_fs::metadata(&path) {
        Err(e) => return unreadable(file, with_causes(&e)),
        Ok(None) => return Some(Damage::Missing { file }),
        Ok(Some(metadata)) if metadata.len() != record.size => {
            let (expected, found) = (record.size, metadata.len());
            return Some(Damage::Size { file, expected, found });
        }
        Ok(Some(_)) if depth == Depth::Sizes => return None,
        Ok(Some(_)) => (),
    }
    match hash(&path) {
        Ok((_, hash)) if hash == record.blake3 => None,
        Ok(_) => Some(Damage::Content { file }),
        Err(e) => unreadable(file, e.to_string()),
    }
}

fn structure(checkpoint: &Path, names: &[String]) -> Report {
    let mut report = Report { files: names.len(), ..Report::default() };
    let unfinished = |reason: String| Damage::Unfinished { reason };
    for marker in [pretrained_fs::INCOMPLETE, HF_INCOMPLETE] {
        if checkpoint.join(marker).exists() {
            report.damage.push(unfinished(format!("it holds {marker}")));
        }
    }
    for name in names {
        let unreadable = |reason| Damage::Unreadable { file: name.clone(), reason };
        match pretrained_fs::metadata(&checkpoint.join(name)) {
            Ok(Some(metadata)) if metadata.len() == 0 => {
                report.damage.push(unfinished(format!("{name} is empty")));
            }
            Ok(Some(metadata)) => report.bytes = report.bytes.saturating_add(metadata.len()),
            Ok(None) => report.damage.push(unreadable("it is a link to nothing".to_owned())),
            Err(e) => report.damage.push(unreadable(with_causes(&e))),
        }
    }
    match trainer_step(&checkpoint.join(TRAINER_STATE)) {
        Ok(saved) => {
            if let Some(named) = step_of(checkpoint).filter(|it| *it != saved) {
                report.damage.push(Damage::Step { named, saved });
            }
        }
        Err(reason) => {
            let reason = format!("it has no {MANIFEST}, and {TRAINER_STATE} {reason}");
            report.damage.push(unfinished(reason));
        }
    }
    report
}

/// The step in a `trainer_state.json`, or what is wrong with it.
fn trainer_step(path: &Path) -> Result<u64, String> {
    #[derive(Deserialize)]
    struct State {
        global_step: u64,
    }
    match manifest::read_limited(path, MAX_STATE) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err("is missing".to_owned()),
        Err(e) => Err(format!("cannot be read: {e}")),
        Ok(text) => {
            let state: Result<State, _> = serde_json::from_str(&text);
            state.map(|it| it.global_step).map_err(|e| format!("is damaged: {e}"))
        }
    }
}

/// The step that a directory's name says, if it is a checkpoint's.
///
/// `checkpoint-10` and no other spelling: `checkpoint-10-backup`, `checkpoint-010` and
/// `checkpoint-+10` are somebody else's.
pub(crate) fn step_of(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_prefix(crate::PREFIX)?;
    let is_canonical = digits == "0" || !digits.starts_with('0');
    if !is_canonical || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// What Hugging Face's Trainer writes last.
const TRAINER_STATE: &str = "trainer_state.json";
/// What it leaves while it saves on SIGTERM.
const HF_INCOMPLETE: &str = "checkpoint-is-incomplete.txt";
/// A log of a million steps is far below this.
const MAX_STATE: u64 = 1 << 30;
