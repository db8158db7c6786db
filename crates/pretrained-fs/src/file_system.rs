use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Error;

/// The file system that a path is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Its kind, such as `ext4`; `None` where the system does not tell.
    pub kind: Option<String>,
    /// Bytes that can still be written by this user.
    pub free: u64,
    /// Bytes that it has in all.
    pub total: u64,
    /// What becomes of what is saved there.
    pub durability: Durability,
}

/// What becomes of a save when the power fails; see `docs/durability.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// What is saved stays, and a save that is cut short leaves what was there before.
    Durable,
    /// As the server's own file system has it.
    Network,
    /// As the layer below has it that is written to.
    Layered,
    /// It is in memory, and gone with it.
    Volatile,
    /// A rename may be found half done.
    NotAtomic,
    /// There is no telling.
    Unknown,
}

impl FileSystem {
    /// Looks at the file system that an existing path is on.
    ///
    /// # Errors
    ///
    /// `path` leads to nothing, or the system refuses to tell of where it leads. A kind that is not
    /// known here is no error, but [`Durability::Unknown`].
    pub fn of(path: &Path) -> Result<FileSystem, Error> {
        let look = |e| Error::new("look at the file system of", path, e);
        let real = fs::canonicalize(path).map_err(look)?;
        let found = rustix::fs::statvfs(&real).map_err(|e| look(e.into()))?;
        let mounts = fs::read_to_string(MOUNTS).unwrap_or_default();
        let kind = kind_in(&mounts, &real);
        let durability = kind.map_or(Durability::Unknown, Durability::of);
        Ok(FileSystem {
            kind: kind.map(str::to_owned),
            free: found.f_bavail.saturating_mul(found.f_frsize),
            total: found.f_blocks.saturating_mul(found.f_frsize),
            durability,
        })
    }
}

impl Durability {
    /// That of file systems of this kind, as Linux calls them.
    pub fn of(kind: &str) -> Durability {
        match kind {
            "ext3" | "ext4" | "xfs" | "btrfs" | "f2fs" | "zfs" => Durability::Durable,
            "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "ceph" | "lustre" | "afs" | "gpfs"
            | "beegfs" | "virtiofs" => Durability::Network,
            "overlay" => Durability::Layered,
            "tmpfs" | "ramfs" => Durability::Volatile,
            "ext2" | "vfat" | "msdos" | "exfat" => Durability::NotAtomic,
            _ => Durability::Unknown,
        }
    }
}

/// The kind of file system that an absolute path without links is on: that of the longest mount
/// point above it, and of two there the one that was mounted later.
fn kind_in<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mut found: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(point), Some(kind)) = (fields.next(), fields.next()) else { continue };
        let point = PathBuf::from(unescaped(point));
        let depth = point.components().count();
        if path.starts_with(&point) && found.is_none_or(|(deepest, _)| deepest <= depth) {
            found = Some((depth, kind));
        }
    }
    found.map(|(_, kind)| kind)
}

/// White space and backslashes are written in octal.
fn unescaped(text: &str) -> String {
    [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", r"\")]
        .iter()
        .fold(text.to_owned(), |text, (code, character)| text.replace(code, character))
}

/// What is mounted where, as this process sees it.
const MOUNTS: &str = "/proc/self/mounts";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_latest_mount_counts() {
        let mounts = r"/dev/a / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/x /home/u/my\040data nfs4 rw 0 0
/dev/b /home xfs rw 0 0
/dev/c /tmp btrfs rw 0 0
";
        for (path, kind) in [
            ("/", "ext4"),
            ("/tmpfile", "ext4"),
            ("/tmp", "btrfs"),
            ("/tmp/a/b", "btrfs"),
            ("/home/u", "xfs"),
            ("/home/u/my data/m", "nfs4"),
        ] {
            assert_eq!(kind_in(mounts, Path::new(path)), Some(kind), "{path}");
        }
        assert_eq!(kind_in("", Path::new("/")), None);
    }

    #[test]
    fn a_directory_is_on_some_file_system() {
        let found = FileSystem::of(&std::env::temp_dir()).expect("there is one");
        assert!(found.free <= found.total, "{found:?}");
        let error = FileSystem::of(Path::new("/nowhere")).expect_err("there is none");
        assert!(error.to_string().starts_with("look at the file system of /nowhere"), "{error}");
    }
}
