//! `cargo xtask consumer`: the programs of the README and of the book as a reader would make them. Each becomes a package
//! outside of the workspace, which depends by path on the crates that it names and on nothing else, and is built and run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::fences::fences;
use crate::process::{self, cargo};
use crate::{libtorch, workspace};

/// A program of the book.
struct Program {
    /// Its document, relative to the root.
    document: &'static str,
    /// Which of the document's programs it is.
    at: usize,
    /// Where it is run: what it speaks of is there, and what the programs before it there have left.
    place: &'static str,
    /// A part of what it prints.
    says: &'static str,
}

/// Those that need no libtorch.
pub(crate) fn plain() -> Result<()> {
    all_are_listed()?;
    let dir = dir();
    let scratch = dir.join("run");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
    }
    write_workspace()?;
    // Apart, so that no other package decides on the features of what it depends on.
    process::run(&mut build(&[MODEL.to_owned()]))?;
    process::run(&mut build(&names(&PLAIN)))?;
    run(&PLAIN)
}

/// Those that need it. `plain` goes before.
pub(crate) fn torch() -> Result<()> {
    let libtorch = libtorch::ensure()?;
    write_workspace()?;
    process::run(build(&names(&TORCH)).env("LIBTORCH", libtorch))?;
    run(&TORCH)
}

fn names(programs: &[Program]) -> Vec<String> {
    programs.iter().map(Program::name).collect()
}

/// Where the packages are, because cargo's settings for our workspace are not a reader's.
fn build(packages: &[String]) -> Command {
    let mut build = cargo(["build", "--quiet", "--target-dir"]);
    build.arg(workspace::target_dir()).args(packages.iter().flat_map(|it| ["-p", it]));
    build.current_dir(dir());
    build
}

/// Runs each in its place.
fn run(programs: &[Program]) -> Result<()> {
    for program in programs {
        let place = dir().join("run").join(program.place);
        prepare(&place)?;
        let (name, expected) = (program.name(), program.says);
        let said = process::output(&mut command(&name, &place))?;
        ensure!(said.contains(expected), "{name} said {said:?}, and not {expected:?}");
    }
    eprintln!("consumer: {} programs of the book did what they say", programs.len());
    Ok(())
}

/// Puts into a directory what the programs speak of.
fn prepare(place: &Path) -> Result<()> {
    if place.exists() {
        return Ok(());
    }
    fs::create_dir_all(place).with_context(|| format!("create {}", place.display()))?;
    process::output(&mut command(MODEL, place))?;
    let (pickled, name) = (workspace::root().join(PICKLED), "pytorch_model.bin");
    fs::copy(&pickled, place.join(name)).with_context(|| format!("copy {}", pickled.display()))?;
    Ok(())
}

/// A program that was built, to be run as it will be: not through cargo, and with no variable that leads to libtorch.
fn command(name: &str, place: &Path) -> Command {
    let mut command = Command::new(workspace::target_dir().join("debug").join(name));
    command.current_dir(place).env_remove("LD_LIBRARY_PATH").env_remove("LIBTORCH");
    command
}

/// Writes the packages. What has not changed is left, so that it is not built again.
fn write_workspace() -> Result<()> {
    let model = workspace::read("tests/consumer/model.rs")?;
    let mut packages = BTreeMap::from([(MODEL.to_owned(), plain_package(MODEL, &model)?)]);
    for program in &PLAIN {
        packages.insert(program.name(), plain_package(&program.name(), &program.text()?)?);
    }
    for program in &TORCH {
        packages.insert(program.name(), torch_package(&program.name(), &program.text()?)?);
    }
    let members: Vec<&String> = packages.keys().collect();
    // Little of what the workspace builds has the same features, so that nothing is lost by building faster.
    let profile = "[profile.dev]\ndebug = false\nincremental = false\n";
    let workspace = format!("[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\n{profile}");
    write(&dir().join("Cargo.toml"), &workspace)?;
    // The versions that the workspace is tested with.
    write(&dir().join("Cargo.lock"), &workspace::read("Cargo.lock")?)?;
    for (name, files) in packages {
        for (path, text) in files {
            write(&dir().join(&name).join(path), &text)?;
        }
    }
    Ok(())
}

/// A package's files: where they are in it, and their text.
type Files = Vec<(&'static str, String)>;

/// A package that depends on those of our crates that the program names.
fn plain_package(name: &str, program: &str) -> Result<Files> {
    let is_part = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let words = program.split(|it| !is_part(it)).map(|it| it.replace('_', "-"));
    let crates: BTreeSet<String> = words
        .filter(|it| {
            it.starts_with("pretrained") && workspace::root().join("crates").join(it).is_dir()
        })
        .collect();
    let lines = crates.iter().map(|it| format!("{it} = {{ path = \"CHECKOUT/crates/{it}\" }}\n"));
    let dependencies = format!("[dependencies]\n{}", lines.collect::<String>());
    Ok(vec![manifest(name, &dependencies), ("src/main.rs", program.to_owned())])
}

/// A package as docs/getting-started.md has it: its dependency, and its build script.
fn torch_package(name: &str, program: &str) -> Result<Files> {
    let chapter = workspace::read(GETTING_STARTED)?;
    let dependencies = fences(&chapter).into_iter().find(|it| it.0 == "toml");
    let dependencies = dependencies.context("the chapter shows the dependency")?.1;
    let script = programs_of(&chapter).into_iter().find(|it| it.contains("DEP_"));
    let script = script.context("the chapter shows the build script")?;
    Ok(vec![
        manifest(name, &dependencies),
        ("build.rs", script),
        ("src/main.rs", program.to_owned()),
    ])
}

fn manifest(name: &str, dependencies: &str) -> (&'static str, String) {
    let root = workspace::root().display().to_string();
    let package = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n");
    ("Cargo.toml", format!("{package}\n{}", dependencies.replace("CHECKOUT", &root)))
}

impl Program {
    fn name(&self) -> String {
        let stem = Path::new(self.document).file_stem().unwrap_or_default().to_string_lossy();
        format!("book-{}-{}", stem.to_lowercase(), self.at)
    }

    fn text(&self) -> Result<String> {
        let document = workspace::read(self.document)?;
        let text = programs_of(&document).into_iter().nth(self.at);
        text.with_context(|| format!("{} has no program {}", self.document, self.at))
    }
}

/// A document's programs.
fn programs_of(document: &str) -> Vec<String> {
    fences(document).into_iter().filter(|it| it.0 == "rust").map(|it| it.1).collect()
}

/// Every program of every document is run, but the build script, which is a part of others.
fn all_are_listed() -> Result<()> {
    for path in workspace::files()?.iter().filter(|it| it.extension().is_some_and(|it| it == "md"))
    {
        let found = programs_of(&workspace::read(path)?);
        let found = found.iter().filter(|it| !it.contains("DEP_")).count();
        let listed = PLAIN.iter().chain(&TORCH).filter(|it| Path::new(it.document) == path).count();
        ensure!(found == listed, "{} has {found} programs, and {listed} are run", path.display());
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|it| it == text) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    }
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

fn dir() -> PathBuf {
    workspace::target_dir().join("consumer")
}

const fn program(
    document: &'static str,
    at: usize,
    place: &'static str,
    says: &'static str,
) -> Program {
    Program { document, at, place, says }
}

/// The package that makes what the programs speak of.
const MODEL: &str = "book-model";

/// Weights as PyTorch pickled them.
const PICKLED: &str = "crates/pretrained-artifact/src/tests/layouts/pickled/pytorch_model.bin";

const GETTING_STARTED: &str = "docs/getting-started.md";
const ONE_CRATE: &str = "docs/one-crate.md";

const PLAIN: [Program; 11] = [
    program(ONE_CRATE, 0, "one-crate", "export/b"),
    program(ONE_CRATE, 1, "one-crate", "weight F32 [2, 3]"),
    program(ONE_CRATE, 2, "one-crate", "Str(\"model.norm.weight\") F32 [8]"),
    program(ONE_CRATE, 3, "one-crate", "2 layers, heads of 8"),
    program(ONE_CRATE, 4, "one-crate", "The quick brown fox\n"),
    program(ONE_CRATE, 5, "one-crate", "1 rows"),
    program(ONE_CRATE, 6, "one-crate", "whole: true"),
    program(ONE_CRATE, 7, "one-crate", "the state after step 1000"),
    program(ONE_CRATE, 8, "one-crate", "Completed at "),
    program(ONE_CRATE, 9, "one-crate", "21 43"),
    program("docs/model-directory.md", 0, "model-directory", "64 bytes, little-endian"),
];

const TORCH: [Program; 5] = [
    program(GETTING_STARTED, 0, "getting-started", "own"),
    program("README.md", 0, "readme", ""),
    program("docs/fine-tune.md", 0, "fine-tune", "mean loss"),
    program("docs/checkpoints.md", 0, "fine-tune", "checkpoint-"),
    program("docs/from-python.md", 0, "from-python", "[1, 1"),
];
