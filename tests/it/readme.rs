//! The README's `pretrained` commands, as they stand, one after the other, where a reader would run them: in a directory
//! that has the model and the text it speaks of. (`cargo xtask readme` runs its cargo commands.)

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::command::{program, succeeds};
use crate::python::{self, root};

#[test]
fn commands_run_as_they_stand() {
    let readme = fs::read_to_string(root().join("README.md")).expect("the README is there");
    let commands: Vec<&str> =
        shell_lines(&readme).filter(|line| line.starts_with("pretrained ")).collect();
    assert!(commands.len() >= 5, "the README shows the command: {commands:?}");

    let scratch = tempfile::tempdir().expect("a scratch directory");
    prepare(scratch.path());
    let search = env::var("PATH").expect("a PATH");
    let search =
        format!("{}:{search}", program().parent().expect("a program is in a directory").display());
    for command in commands {
        let mut shell = Command::new("sh");
        succeeds(
            shell
                .args(["-c", command])
                .current_dir(scratch.path())
                .env("PATH", &search)
                .env("OMP_NUM_THREADS", "1"),
        );
    }
}

/// What the commands speak of: a small model under that name, its pickled weights, and some text.
fn prepare(dir: &Path) {
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
    fs::write(dir.join("notes.txt"), line.repeat(2000)).expect("the text is written");
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
