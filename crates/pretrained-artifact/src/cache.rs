use std::{
    env,
    ffi::OsString,
    io::Read,
    path::{Path, PathBuf},
};

use pretrained_fs::{REPOSITORY_PREFIX, Reader, SNAPSHOTS};
use pretrained_safetensors::is_plain_name;

use crate::{Error, Missing, dir::io_error};

/// The directory that a user means by a path or by a name on the hub.
///
/// An existing path is taken as it is. Otherwise `org/name`, or `org/name@revision`, is looked up
/// in the Hugging Face cache of this machine (`HF_HUB_CACHE`, `HF_HOME`), at revision `main`
/// unless another is named. Nothing is ever downloaded.
///
/// # Errors
///
/// [`Error::Missing`] if there is nothing at the path, and it is no name or one that is not in the
/// cache at this revision; [`Error::Io`] if the cache has the revision's name and it cannot be
/// read.
pub fn resolve(path: &Path) -> Result<PathBuf, Error> {
    if path.exists() {
        return Ok(path.to_owned());
    }
    let missing = |missing| Error::Missing { path: path.to_owned(), missing };
    let text = path.to_str().unwrap_or_default();
    let (name, revision) = text.split_once('@').unwrap_or((text, MAIN));
    // What a file is called, or a link to nothing, is not meant as a name on the hub.
    let is_local = path.is_symlink() || FILES.iter().any(|it| text.ends_with(it));
    let Some(cache) = (!is_local && is_repository(name)).then(cache_dir).flatten() else {
        return Err(missing(Missing::Directory));
    };
    if let Some(snapshot) = find_snapshot(&cache, name, revision)? {
        return Ok(snapshot);
    }
    let there = revisions(&cache, name);
    Err(missing(match there.is_empty() {
        true => Missing::Cached { looked_in: cache },
        false => Missing::Revision { revision: revision.to_owned(), there },
    }))
}

/// The revisions of a repository that are in the cache: names, and commits without one.
fn revisions(cache: &Path, name: &str) -> Vec<String> {
    let repository = repository(cache, name);
    let list = |dir: &str| pretrained_fs::list(&repository.join(dir)).unwrap_or_default();
    let names = |dir: &str| list(dir).into_iter().filter_map(|it| it.into_string().ok());
    let is_there = |it: &String| find_snapshot(cache, name, it).is_ok_and(|it| it.is_some());
    let mut there: Vec<String> = names(REFS).filter(is_there).collect();
    there.extend(names(SNAPSHOTS).filter(is_there));
    there.truncate(MAX_LISTED);
    there
}

fn repository(cache: &Path, name: &str) -> PathBuf {
    cache.join(format!("{REPOSITORY_PREFIX}{}", name.replace('/', "--")))
}

/// Looks a repository's revision up: a commit, or a name that `refs` translates into one.
pub(crate) fn find_snapshot(
    cache: &Path,
    name: &str,
    revision: &str,
) -> Result<Option<PathBuf>, Error> {
    let repository = repository(cache, name);
    let is_commit = revision.len() == 40 && revision.bytes().all(|it| it.is_ascii_hexdigit());
    let commit = match is_commit {
        true => revision.to_owned(),
        false => {
            // A branch may have slashes in its name; it may not leave `refs`.
            if !revision.split('/').all(is_plain_segment) {
                return Ok(None);
            }
            let path = repository.join(REFS).join(revision);
            match pretrained_fs::metadata(&path)? {
                Some(metadata) if metadata.is_file() => (),
                // A directory is the first half of a branch's name.
                _ => return Ok(None),
            }
            let mut commit = String::new();
            let mut file = Reader::new(pretrained_fs::open(&path)?, &path).take(MAX_REF);
            file.read_to_string(&mut commit).map_err(|e| io_error("read", &path, e))?;
            commit.trim().to_owned()
        }
    };
    let snapshot = repository.join(SNAPSHOTS).join(&commit);
    Ok((is_plain_segment(&commit) && snapshot.is_dir()).then_some(snapshot))
}

/// Where `huggingface_hub` keeps what it downloaded, on this machine and for this user.
pub fn cache_dir() -> Option<PathBuf> {
    cache_dir_of(|name| env::var_os(name))
}

/// The same where the environment's variables are these.
pub(crate) fn cache_dir_of(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let raw = var;
    let var = |name: &str| raw(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let user = var("HOME");
    let expand = |path: PathBuf| {
        let path = match (path.strip_prefix("~"), &user) {
            (Ok(rest), Some(user)) => user.join(rest),
            _ => path,
        };
        path.to_str().map(|it| PathBuf::from(with_variables(it, &raw))).unwrap_or(path)
    };
    let cache = || var("XDG_CACHE_HOME").or_else(|| Some(user.as_ref()?.join(".cache")));
    let home = || var("HF_HOME").or_else(|| Some(cache()?.join(HUGGINGFACE))).map(expand);
    let hub = var("HF_HUB_CACHE").or_else(|| var("HUGGINGFACE_HUB_CACHE")).map(expand);
    hub.or_else(|| Some(home()?.join(HUB)))
}

/// A path with `$NAME` and `${NAME}` replaced where they are set, as Python's `expandvars` does.
fn with_variables(path: &str, var: &impl Fn(&str) -> Option<OsString>) -> String {
    let mut parts = path.split('$');
    let mut expanded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_letter = |it: char| it.is_ascii_alphanumeric() || it == '_';
        let (name, rest) = match part.strip_prefix('{').and_then(|it| it.split_once('}')) {
            Some(braced) => braced,
            None => part.split_at(part.find(|it| !is_letter(it)).unwrap_or(part.len())),
        };
        match var(name).and_then(|it| it.into_string().ok()) {
            Some(value) => expanded += &(value + rest),
            None => expanded += &format!("${part}"),
        }
    }
    expanded
}

/// `name` or `org/name`, in the letters the hub allows.
fn is_repository(name: &str) -> bool {
    let is_allowed = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    let is_segment = |it: &str| is_plain_segment(it) && it.chars().all(is_allowed);
    name.len() <= 96 && name.split('/').count() <= 2 && name.split('/').all(is_segment)
}

fn is_plain_segment(segment: &str) -> bool {
    !segment.starts_with('.') && is_plain_name(segment)
}

/// How names of files end that weights are in.
const FILES: [&str; 8] =
    [".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".json", ".model", ".txt"];
/// How many revisions an error names.
const MAX_LISTED: usize = 8;
/// Many times as long as a commit.
const MAX_REF: u64 = 4096;
const MAIN: &str = "main";
const REFS: &str = "refs";
const HUB: &str = "hub";
const HUGGINGFACE: &str = "huggingface";
