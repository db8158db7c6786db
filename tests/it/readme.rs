//! The `pretrained` commands and the Python of the README and of every chapter of the book, as they stand, one after the
//! other, where a reader would run them: in a directory that has the model and the text that they speak of. (`cargo xtask
//! readme` runs the README's cargo commands, and `cargo xtask consumer` the programs in Rust.)

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use pretrained::Config;
use serde_json::json;

use self::fences::{commands, fences};
use crate::command::{program, succeeds};
use crate::python::{self, root};

#[path = "../../xtask/src/fences.rs"]
mod fences;

#[test]
fn commands_run_as_they_stand() {
    let mut documents = vec![root().join("README.md")];
    let chapters = fs::read_dir(root().join("docs")).expect("the book is there");
    let chapters = chapters.map(|it| it.expect("a chapter").path());
    documents.extend(chapters.filter(|it| it.extension().is_some_and(|it| it == "md")));
    documents.sort();

    let fixture = tempfile::tempdir().expect("a scratch directory");
    prepare(fixture.path(), 2000);
    let n: Vec<usize> = documents.iter().map(|it| run(it, fixture.path())).collect();
    assert!(n.iter().sum::<usize>() >= 30, "the book shows the command: {n:?}");
    assert!(n.iter().filter(|it| **it > 0).count() >= 5, "in several chapters: {n:?}");
}

/// Runs the blocks of a document in a directory of its own, and says how many commands there were.
fn run(document: &Path, fixture: &Path) -> usize {
    let text = fs::read_to_string(document).expect("a document");
    let scratch = tempfile::tempdir().expect("a scratch directory");
    succeeds(Command::new("cp").arg("-r").arg(fixture.join(".")).arg(scratch.path()));
    let mut n = 0;
    for (language, block) in fences(&text) {
        match language {
            "sh" => n += run_commands(&block, scratch.path()),
            "python" => {
                let given =
                    json!({"document": document, "code": block, "directory": scratch.path()});
                python::call("documents.run", given);
            }
            // The book's JSON is a configuration.
            "json" => {
                let config = Config::parse(&block).expect("JSON");
                config.architecture().expect("a model that is supported");
            }
            _ => (),
        }
    }
    n
}

/// Runs the commands of a block that begin with our program, and says how many they were.
fn run_commands(block: &str, dir: &Path) -> usize {
    let search = env::var("PATH").expect("a PATH");
    let search =
        format!("{}:{search}", program().parent().expect("a program is in a directory").display());
    let commands = commands(block).into_iter().filter(|it| it.starts_with("pretrained "));
    let run = |command: String| {
        let mut shell = Command::new("sh");
        succeeds(
            shell
                .args(["-c", &command])
                .current_dir(dir)
                .env("PATH", &search)
                .env("XDG_CACHE_HOME", dir.join("cache"))
                .env("OMP_NUM_THREADS", "1"),
        );
    };
    commands.map(run).count()
}

/// What the commands speak of: a small model under that name, its pickled weights, and so many lines of text.
pub(crate) fn prepare(dir: &Path, n_lines: usize) {
    let model = dir.join("llama-3.2-1b");
    python::call(
        "models.make",
        json!({"out": model, "model_type": "llama", "tied": true, "dtype": "float32"}),
    );
    python::call(
        "models.save_pickle",
        json!({"model": model, "out": dir.join("pytorch_model.bin")}),
    );
    let line = "The quick brown fox jumps over the lazy dog, and the model learns it by heart.\n";
    fs::write(dir.join("notes.txt"), line.repeat(n_lines)).expect("the text is written");
}
