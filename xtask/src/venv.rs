//! The Python environment in `.torch/venv`: it holds libtorch, and what the tests compare against.
//!
//! Invariant: an environment in which an installation was interrupted is thrown away and made again.
//! (pip takes a half-copied package for an installed one.)

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{libtorch, pip, process, workspace};

/// The environment's directory, locked against another `cargo xtask` until dropped.
pub(crate) struct Venv {
    dir: PathBuf,
    _lock: File,
}

/// What the tests compare against, relative to the root.
pub(crate) const REQUIREMENTS: &str = "tests/python/requirements.txt";

impl Venv {
    /// Waits for its turn, and clears away what an interrupted installation left.
    pub(crate) fn open() -> Result<Venv> {
        let dir = workspace::torch_dir().join("venv");
        let lock = lock(&workspace::torch_dir())?;
        if dir.join(INSTALLING).exists() || (dir.exists() && !python_of(&dir).exists()) {
            eprintln!(
                "an earlier installation into {} was interrupted; starting again",
                dir.display()
            );
            fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
        }
        Ok(Venv { dir, _lock: lock })
    }

    /// Its interpreter.
    pub(crate) fn python(&self) -> PathBuf {
        python_of(&self.dir)
    }

    /// True if the installation `name` was finished with exactly these pins.
    pub(crate) fn has(&self, name: &str, pins: &str) -> bool {
        fs::read_to_string(self.marker(name)).is_ok_and(|written| written == pins)
    }

    /// Runs one installation, and notes that it is finished only when it is.
    pub(crate) fn install(
        &self,
        name: &str,
        pins: &str,
        work: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        if !self.python().exists() {
            self.create()?;
        }
        let installing = self.dir.join(INSTALLING);
        fs::write(&installing, name).with_context(|| format!("write {}", installing.display()))?;
        work(&self.python())?;
        let marker = self.marker(name);
        fs::write(&marker, pins).with_context(|| format!("write {}", marker.display()))?;
        fs::remove_file(&installing).with_context(|| format!("remove {}", installing.display()))
    }

    /// Where its packages are, e.g. `.torch/venv/lib/python3.11/site-packages`.
    pub(crate) fn site_packages(&self) -> Result<PathBuf> {
        let mut ask = Command::new(self.python());
        ask.args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]);
        Ok(PathBuf::from(process::output(&mut ask)?.trim()))
    }

    fn create(&self) -> Result<()> {
        let python = find_python()?;
        fs::create_dir_all(&self.dir).with_context(|| format!("create {}", self.dir.display()))?;
        let installing = self.dir.join(INSTALLING);
        fs::write(&installing, "venv")
            .with_context(|| format!("write {}", installing.display()))?;
        process::run(Command::new(&python).args(["-m", "venv"]).arg(&self.dir)).context(
            "make the Python environment (is the disk full, or python3-venv not installed?)",
        )
    }

    fn marker(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.done"))
    }
}

/// Makes the environment that the tests compare against, if it isn't there. Its interpreter.
pub(crate) fn parity() -> Result<PathBuf> {
    let venv = Venv::open()?;
    let pins = workspace::read(REQUIREMENTS)? + &workspace::read(libtorch::PINS)?;
    if !venv.has("parity", &pins) {
        eprintln!(
            "installing what the tests compare against: Python's transformers and torch (once; 2 GB)"
        );
        let requirements = workspace::root().join(REQUIREMENTS);
        let requirements = requirements.to_string_lossy().into_owned();
        venv.install("parity", &pins, |python| {
            if minor_version(python)? < 11 {
                bail!(
                    "transformers 5.23 needs Python 3.11 or newer, and {} is older; install a newer python3, \
                     remove .torch/venv and run this again",
                    python.display()
                );
            }
            pip::install(python, ["-r", &requirements])
        })?;
    }
    Ok(venv.python())
}

/// Only one installation at a time; the operating system lets go of the lock when its holder ends, however it ends.
fn lock(dir: &Path) -> Result<File> {
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another `cargo xtask` to finish installing into {}", dir.display());
        file.lock().with_context(|| format!("lock {}", path.display()))?;
    }
    Ok(file)
}

/// The newest-first choice among the interpreters that torch has builds for; plain `python3` goes before all.
fn find_python() -> Result<PathBuf> {
    let names = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"];
    let found: Vec<PathBuf> = names.iter().filter_map(|name| process::find_program(name)).collect();
    if found.is_empty() {
        bail!("Python 3 is not installed; install it, e.g. `apt install python3 python3-venv`");
    }
    let supported: Vec<&PathBuf> = found
        .iter()
        .filter(|python| minor_version(python).is_ok_and(|minor| (10..=14).contains(&minor)))
        .collect();
    if supported.is_empty() {
        bail!(
            "{} is no Python 3.10 to 3.14, for which torch 2.11.0 is built; install one of them",
            found[0].display()
        );
    }
    let with_venv = |python: &&&PathBuf| {
        process::output(Command::new(python).args(["-c", "import venv, ensurepip"])).is_ok()
    };
    match supported.iter().find(with_venv) {
        Some(python) => Ok(python.to_path_buf()),
        None => bail!(
            "{} has no `venv` module; install it, e.g. `apt install python3-venv`",
            supported[0].display()
        ),
    }
}

/// The `11` of Python 3.11.
fn minor_version(python: &Path) -> Result<u32> {
    let question = "import sys; print(sys.version_info[1] if sys.version_info[0] == 3 else 0)";
    let answer = process::output(Command::new(python).args(["-c", question]))?;
    answer.trim().parse().with_context(|| format!("version of {}", python.display()))
}

fn python_of(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// Exists while pip is at work.
const INSTALLING: &str = "installing";
