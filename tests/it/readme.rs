//! The `pretrained` commands of the README and of every chapter of the book, as they stand, one after the other, where a
//! reader would run them: in a directory that has the model and the text that they speak of. (`cargo xtask readme` runs
//! the README's cargo commands; programs are compiled as documentation tests of the facade.)

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::command::{program, succeeds};
use crate::python::{self, root};

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

/// Runs the commands of a document in a directory of its own, and says how many there were.
fn run(document: &Path, fixture: &Path) -> usize {
    let text = fs::read_to_string(document).expect("a document");
    let commands = commands(&text);
    let scratch = tempfile::tempdir().expect("a scratch directory");
    succeeds(Command::new("cp").arg("-r").arg(fixture.join(".")).arg(scratch.path()));
    let search = env::var("PATH").expect("a PATH");
    let search =
        format!("{}:{search}", program().parent().expect("a program is in a directory").display());
    for command in &commands {
        let mut shell = Command::new("sh");
        succeeds(
            shell
                .args(["-c", command])
                .current_dir(scratch.path())
                .env("PATH", &search)
                .env("XDG_CACHE_HOME", scratch.path().join("cache"))
                .env("OMP_NUM_THREADS", "1"),
        );
    }
    commands.len()
}

/// The lines of the fenced blocks marked `sh` that begin with our command, joined where they go on.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    shell_lines(&joined).filter(|line| line.starts_with("pretrained ")).map(str::to_owned).collect()
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

/// The lines of the fenced blocks marked `sh`, without comments and empty lines.
fn shell_lines(markdown: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    markdown.lines().filter(move |line| {
        if line.starts_with("```") {
            inside = *line == "```sh";
            return false;
        }
        inside && !line.is_empty() && !line.starts_with('#')
    })
}
