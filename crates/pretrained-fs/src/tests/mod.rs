//! One scenario for each thing this crate can do, and suites that run all of them: every operation
//! failed, a crash after every operation, a real `SIGKILL`.

mod basics;
mod crashes;
mod failures;
mod kill;
mod locks;
mod races;
mod reads;
mod refusals;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    Error, StagedDir, StagedFile, StagedSet,
    faults::{Answer, watch},
    recover, remove_dir, sweep, write_new,
};

/// What lies in a directory: every file's content by its path, sub-directories with a slash.
type State = BTreeMap<String, String>;

/// Something to do in a directory, and what is there before and after.
struct Scenario {
    name: &'static str,
    old: &'static [(&'static str, &'static str)],
    act: fn(&Path) -> Result<(), Error>,
    new: &'static [(&'static str, &'static str)],
}

impl Scenario {
    /// Lays out the old state in `dir`.
    fn prepare(&self, dir: &Path) {
        lay_out(dir, self.old);
    }

    /// Asserts that `dir` holds the old or the new state whole, and that the next writer leaves the
    /// new one and nothing else. `seen` are the states allowed.
    #[track_caller]
    fn check(&self, dir: &Path, seen: &[Seen], why: &str) {
        self.check_with(dir, seen, self.name.ends_with("by the journal"), why);
    }

    /// The same where a plain reader may find that the gate is missing.
    #[track_caller]
    fn check_with(&self, dir: &Path, seen: &[Seen], may_be_gated: bool, why: &str) {
        let _fast = watch(dir, |_| Answer::Pretend);
        let name = self.name;
        let is_seen = |plain: &State| {
            seen.iter().any(|it| match it {
                Seen::Old => *plain == state_of(self.old),
                Seen::New => *plain == state_of(self.new),
            })
        };
        let plain = read(dir);
        let is_gated = may_be_gated && !plain.contains_key("model/config.json");
        assert!(
            is_gated || plain == state_of(self.old) || plain == state_of(self.new),
            "{name}, {why}: a plain reader sees {plain:?}"
        );
        drop(recover(&dir.join("model")).expect("recover"));
        let recovered = read(dir);
        assert!(is_seen(&recovered), "{name}, {why}: {seen:?} expected, found {recovered:?}");

        let _ = (self.act)(dir);
        sweep(dir).expect("sweep");
        assert_eq!(read(dir), state_of(self.new), "{name}, {why}: after the next writer");
        assert_eq!(leftovers(dir), Vec::<PathBuf>::new(), "{name}, {why}: leftovers");
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Seen {
    Old,
    New,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a new file",
        old: &[("other", "1")],
        act: |dir| stage_file(&dir.join("file")),
        new: &[("other", "1"), ("file", "new content")],
    },
    Scenario {
        name: "a file over another",
        old: &[("file", "old")],
        act: |dir| stage_file(&dir.join("file")),
        new: &[("file", "new content")],
    },
    Scenario {
        name: "a new directory",
        old: &[("other", "1")],
        act: |dir| match dir.join("sub/model").exists() {
            true => Ok(()),
            false => {
                let staged = StagedDir::create(&dir.join("sub/model"))?;
                write_new(&staged.path().join("a"), b"1")?;
                crate::create_dir_all(&staged.path().join("inner"))?;
                write_new(&staged.path().join("inner/b"), b"2")?;
                staged.link_or_copy(&dir.join("other"), "c")?;
                staged.publish()
            }
        },
        new: &[
            ("other", "1"),
            ("sub/", ""),
            ("sub/model/", ""),
            ("sub/model/a", "1"),
            ("sub/model/c", "1"),
            ("sub/model/inner/", ""),
            ("sub/model/inner/b", "2"),
        ],
    },
    Scenario {
        name: "a new directory with a file that comes last",
        old: &[("other", "1")],
        act: |dir| match dir.join("model").exists() {
            true => Ok(()),
            false => {
                let staged = StagedDir::create(&dir.join("model"))?;
                for name in ["a", "manifest"] {
                    write_new(&staged.path().join(name), b"1")?;
                }
                staged.publish_with_last("manifest")
            }
        },
        new: &[("other", "1"), ("model/", ""), ("model/a", "1"), ("model/manifest", "1")],
    },
    Scenario {
        name: "a set where nothing was",
        old: &[("other", "1")],
        act: |dir| stage_set(dir, &[("config.json", "new"), ("weights-1", "n1")]),
        new: &[
            ("other", "1"),
            ("model/", ""),
            ("model/config.json", "new"),
            ("model/weights-1", "n1"),
        ],
    },
    Scenario {
        name: "a set of which one file differs",
        old: &[("model/config.json", "same"), ("model/weights-1", "old"), ("model/notes", "mine")],
        act: |dir| stage_set(dir, &[("config.json", "same"), ("weights-1", "new")]),
        new: &[
            ("model/", ""),
            ("model/config.json", "same"),
            ("model/weights-1", "new"),
            ("model/notes", "mine"),
        ],
    },
    Scenario {
        name: "a set by exchange",
        old: &[
            ("model/config.json", "old"),
            ("model/weights-1", "o1"),
            ("model/weights-2", "o2"),
            ("model/notes", "mine"),
        ],
        act: |dir| stage_set(dir, &[("config.json", "new"), ("weights-1", "n1")]),
        new: &[
            ("model/", ""),
            ("model/config.json", "new"),
            ("model/weights-1", "n1"),
            ("model/notes", "mine"),
        ],
    },
    Scenario {
        name: "a set by links",
        old: &[
            ("model/config.json", "old"),
            ("model/weights-1", "o1"),
            ("model/weights-2", "o2"),
            ("model/notes", "mine"),
            ("model/runs/x", "log"),
        ],
        act: |dir| {
            stage_set(dir, &[("config.json", "new"), ("weights-1", "n1"), ("weights-3", "n3")])
        },
        new: &[
            ("model/", ""),
            ("model/config.json", "new"),
            ("model/weights-1", "n1"),
            ("model/weights-3", "n3"),
            ("model/notes", "mine"),
            ("model/runs/", ""),
            ("model/runs/x", "log"),
        ],
    },
    Scenario {
        name: "a set with a directory",
        old: &[
            ("model/config.json", "old"),
            ("model/templates/a", "o1"),
            ("model/templates/b", "o2"),
            ("model/templates/notes", "mine"),
            ("model/notes", "mine"),
        ],
        act: |dir| stage_set(dir, &[("config.json", "new"), ("templates/a", "n1")]),
        new: &[
            ("model/config.json", "new"),
            ("model/templates/a", "n1"),
            ("model/templates/notes", "mine"),
            ("model/notes", "mine"),
        ],
    },
    Scenario {
        name: "a set that gets a directory",
        old: &[("model/config.json", "same"), ("model/weights-1", "1")],
        act: |dir| {
            let files = [("config.json", "same"), ("weights-1", "1"), ("templates/a", "1")];
            stage_set(dir, &files)
        },
        new: &[("model/config.json", "same"), ("model/weights-1", "1"), ("model/templates/a", "1")],
    },
    Scenario {
        name: "a set that loses a directory",
        old: &[("model/config.json", "same"), ("model/templates/a", "1")],
        act: |dir| stage_set(dir, &[("config.json", "same")]),
        new: &[("model/config.json", "same")],
    },
    Scenario {
        name: "a set with a directory, by the journal",
        old: &[
            ("model/config.json", "old"),
            ("model/templates/a", "o1"),
            ("model/templates/b", "o2"),
            ("model/runs/x", "log"),
        ],
        act: |dir| stage_set(dir, &[("config.json", "new"), ("templates/a", "n1")]),
        new: &[("model/config.json", "new"), ("model/templates/a", "n1"), ("model/runs/x", "log")],
    },
    Scenario {
        name: "a set that only loses a file",
        old: &[("model/config.json", "same"), ("model/weights-1", "1"), ("model/weights-2", "2")],
        act: |dir| stage_set(dir, &[("config.json", "same"), ("weights-1", "1")]),
        new: &[("model/config.json", "same"), ("model/weights-1", "1")],
    },
    Scenario {
        name: "a file removed",
        old: &[("file", "1"), ("other", "1")],
        act: |dir| match dir.join("file").exists() {
            true => crate::remove_file(&dir.join("file")),
            false => Ok(()),
        },
        new: &[("other", "1")],
    },
    Scenario {
        name: "a directory renamed",
        old: &[("model/a", "1"), ("model/inner/b", "2")],
        act: |dir| match dir.join("model").exists() {
            true => crate::rename_dir(&dir.join("model"), &dir.join("other")),
            false => Ok(()),
        },
        new: &[("other/a", "1"), ("other/inner/b", "2")],
    },
    Scenario {
        name: "a directory removed",
        old: &[("model/a", "1"), ("model/inner/b", "2"), ("other", "1")],
        act: |dir| match dir.join("model").exists() {
            true => remove_dir(&dir.join("model")),
            false => Ok(()),
        },
        new: &[("other", "1")],
    },
];

fn scenario(name: &str) -> &'static Scenario {
    SCENARIOS.iter().find(|it| it.name == name).expect("a scenario of this name")
}

fn stage_file(dest: &Path) -> Result<(), Error> {
    use std::io::Write;
    let write = |staged: &mut StagedFile| {
        staged.write_all(b"new ")?;
        staged.flush()?;
        staged.write_all(b"content")
    };
    let mut staged = StagedFile::create(dest)?;
    write(&mut staged).map_err(|e| Error::new("write", dest, e))?;
    staged.publish()
}

fn is_model_file(name: &str) -> bool {
    let is_template = matches!(name, "templates/a" | "templates/b");
    name == "config.json" || name.starts_with("weights-") || is_template
}

fn stage_set(dir: &Path, files: &[(&str, &str)]) -> Result<(), Error> {
    let staged = StagedSet::create(&dir.join("model"), is_model_file)?;
    let staged = staged.with_dir("templates").gate("config.json");
    for (name, content) in files {
        let path = staged.path().join(name);
        if name.contains('/') {
            crate::create_dir_all(crate::parent(&path))?;
        }
        write_new(&path, content.as_bytes())?;
    }
    staged.publish()
}

fn lay_out(dir: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("has a parent")).expect("create");
        fs::write(path, content).expect("write");
    }
}

fn state_of(files: &[(&str, &str)]) -> State {
    let mut state = State::new();
    for (name, content) in files {
        let parents = name.match_indices('/').map(|(i, _)| &name[..=i]);
        state.extend(parents.map(|it| (it.to_owned(), String::new())));
        state.insert((*name).to_owned(), (*content).to_owned());
    }
    state
}

/// What a reader sees that knows nothing of this crate's own names.
fn read(dir: &Path) -> State {
    let mut state = State::new();
    walk(dir, &mut |path, is_dir| {
        let name = path.strip_prefix(dir).expect("below").to_string_lossy().into_owned();
        if name.contains(".pretrained-") {
            return;
        }
        match is_dir {
            true => state.insert(name + "/", String::new()),
            false => match fs::read(path) {
                Ok(bytes) => state.insert(name, String::from_utf8_lossy(&bytes).into_owned()),
                // A link to nothing is nothing to whoever opens files.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && path.is_symlink() => None,
                Err(e) => panic!("{}: {e}", path.display()),
            },
        };
    });
    // A parent that was made for a directory which then did not come is no loss.
    if !state.keys().any(|it| it.starts_with("sub/") && it != "sub/") {
        state.remove("sub/");
    }
    state
}

/// What carries one of this crate's own names.
fn leftovers(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(dir, &mut |path, _| {
        if path.to_string_lossy().contains(".pretrained-") {
            found.push(path.to_owned());
        }
    });
    found
}

fn walk(dir: &Path, visit: &mut impl FnMut(&Path, bool)) {
    for entry in fs::read_dir(dir).expect("list") {
        let entry = entry.expect("list");
        let is_dir = entry.file_type().expect("type").is_dir();
        visit(&entry.path(), is_dir);
        if is_dir {
            walk(&entry.path(), visit);
        }
    }
}

/// A scratch directory: where `TMPDIR` says, to try a file system, else in memory if there is such a
/// place, since these suites make many.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() && std::env::var_os("TMPDIR").is_none() {
        true => tempfile::tempdir_in(memory).expect("temp dir"),
        false => tempfile::tempdir().expect("temp dir"),
    }
}
