use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Component, Path},
};

use pretrained_fs::{KeptFile, Reader};
use serde::{Deserialize, Serialize};

use crate::{Error, MANIFEST, hash::hash};

/// What a checkpoint holds, file by file. Written last, as `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format.
    pub format: u32,
    /// The checkpoint's step, so that a renamed directory is noticed.
    pub step: u64,
    /// Every file but the manifest, by its path within the checkpoint.
    #[serde(deserialize_with = "files")]
    pub files: BTreeMap<String, FileRecord>,
}

/// A file as it was when the checkpoint was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its length in bytes.
    pub size: u64,
    /// The BLAKE3 hash of its content, in hexadecimal.
    pub blake3: String,
}

impl Manifest {
    /// Describes what is in `dir` now. What was hashed before, and is there again, is not read again: if it
    /// has gone bad meanwhile, it must not be certified as it is.
    pub(crate) fn of(dir: &Path, step: u64, hashed: &mut Hashed) -> Result<Manifest, Error> {
        let mut files = BTreeMap::new();
        for name in file_names(dir)? {
            let path = dir.join(&name);
            let file = KeptFile::at(&path)?;
            let record = match file.as_ref().and_then(|it| hashed.records.get(it)) {
                Some((record, _)) => record.clone(),
                None => {
                    let (size, blake3) = hash(&path).map_err(|e| Error::io("hash", &path, e))?;
                    FileRecord { size, blake3 }
                }
            };
            if let Some(file) = file {
                hashed.records.insert(file, (record.clone(), hashed.n_saves));
            }
            files.insert(name, record);
        }
        hashed.n_saves += 1;
        let oldest = hashed.n_saves.saturating_sub(REMEMBERED);
        hashed.records.retain(|_, (_, used)| *used >= oldest);
        Ok(Manifest { format: FORMAT, step, files })
    }

    /// Reads a checkpoint's manifest; `Ok(None)` if it has none.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Unreadable`] if it is there and cannot be read, is over 64 MiB or not
    /// UTF-8; otherwise as [`parse`](Manifest::parse).
    pub fn read(checkpoint: &Path) -> Result<Option<Manifest>, ManifestError> {
        let path = checkpoint.join(MANIFEST);
        let text = match read_limited(&path, MAX_MANIFEST) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(ManifestError::Unreadable(e.to_string())),
        };
        Manifest::parse(&text).map(Some)
    }

    /// Parses and checks a manifest.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Malformed`] if it is no JSON of this form or names a file twice;
    /// [`ManifestError::Format`] if it is of another version; [`ManifestError::Name`] if a name
    /// leads out of the checkpoint.
    pub fn parse(text: &str) -> Result<Manifest, ManifestError> {
        let parsed: Result<Manifest, _> = serde_json::from_str(text);
        let manifest = parsed.map_err(|e| ManifestError::Malformed(e.to_string()))?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Format(manifest.format));
        }
        // Whoever made this checkpoint must not make us read outside of it.
        match manifest.files.keys().find(|it| !is_inside(it)) {
            Some(name) => Err(ManifestError::Name(name.clone())),
            None => Ok(manifest),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self);
        json.expect("maps of strings to plain structs have a JSON form") + "\n"
    }
}

/// Files as they were when they were written, of the last saves of a process.
#[derive(Debug, Default)]
pub(crate) struct Hashed {
    /// With the save that had the file last.
    records: BTreeMap<KeptFile, (FileRecord, u64)>,
    n_saves: u64,
}

/// A manifest that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("{MANIFEST} cannot be read: {0}")]
    Unreadable(String),
    /// It is no JSON, or not of this form.
    #[error("{MANIFEST} is damaged: {0}")]
    Malformed(String),
    /// It is of another version.
    #[error("{MANIFEST} has format {0}, this version reads {FORMAT}")]
    Format(u32),
    /// A name leads out of the checkpoint.
    #[error("{MANIFEST} names {0:?}, which is not a file inside the checkpoint")]
    Name(String),
}

/// The files below `dir` but the manifest, with `/` between the parts, sorted.
pub(crate) fn file_names(dir: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let mut open = vec![String::new()];
    while let Some(prefix) = open.pop() {
        let path = dir.join(&prefix);
        for name in pretrained_fs::list(&path)? {
            let Ok(name) = name.clone().into_string() else {
                let error = io::Error::new(io::ErrorKind::InvalidData, "the name is not UTF-8");
                return Err(Error::io("list", &path.join(name), error));
            };
            let is_dir = is_dir(&path.join(&name))?;
            let name = format!("{prefix}{name}");
            if is_dir {
                open.push(name + "/");
            } else if name != MANIFEST && name != pretrained_fs::INCOMPLETE {
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a path is a directory, and no link to one.
fn is_dir(path: &Path) -> Result<bool, Error> {
    Ok(!path.is_symlink() && pretrained_fs::metadata(path)?.is_some_and(|it| it.is_dir()))
}

/// Reads a text of at most `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    Reader::new(open_regular(path)?, path).take(limit + 1).read_to_end(&mut bytes)?;
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    if limit < bytes.len() as u64 {
        return Err(invalid("too long"));
    }
    String::from_utf8(bytes).map_err(|_| invalid("not UTF-8"))
}

/// Opens a file, and nothing that could make us wait.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file = pretrained_fs::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    Ok(file)
}

fn is_inside(name: &str) -> bool {
    let is_normal = |it: Component<'_>| matches!(it, Component::Normal(_));
    !name.is_empty()
        && !name.contains('\0')
        && name != MANIFEST
        && Path::new(name).components().all(is_normal)
        // `components` forgives `a//b` and `a/./b`, which would be second names of a file.
        && name.split('/').all(|it| !it.is_empty() && it != ".")
}

/// A map that names no file twice.
fn files<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, FileRecord>, D::Error> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = BTreeMap<String, FileRecord>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a map of file names to sizes and hashes")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut files = BTreeMap::new();
            while let Some((name, record)) = map.next_entry::<String, FileRecord>()? {
                if files.contains_key(&name) {
                    return Err(serde::de::Error::custom(format!("{name:?} is named twice")));
                }
                files.insert(name, record);
            }
            Ok(files)
        }
    }
    deserializer.deserialize_map(Visitor)
}

/// Saves after which a file that was in none of them is forgotten.
const REMEMBERED: u64 = 4;
pub(crate) const FORMAT: u32 = 1;
const MAX_MANIFEST: u64 = 64 << 20;
