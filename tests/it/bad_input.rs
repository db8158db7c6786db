//! Bad input through the command: one line that names the path and what to do, exit code 1, nothing written or lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::command::{fails, pretrained};
use crate::tiny::Tiny;

/// Spoils a copy of a good model directory, and expects `generate` to say each of `words` about it.
#[track_caller]
fn check_model(spoil: impl FnOnce(&Path), words: &[&str]) {
    let (_scratch, model) = copy_of_model();
    spoil(&model);
    let before = everything(&model);
    let error = fails(pretrained(["generate"]).arg(&model).args(["--prompt", "a"]));
    says(&error, &model, words);
    assert_eq!(everything(&model), before, "the directory is as it was");

    let out = model.with_extension("out");
    let error = fails(pretrained(["convert"]).arg(&model).arg(&out));
    says(&error, &model, &[]);
    assert!(!out.exists(), "nothing is written");
}

#[test]
fn no_config() {
    check_model(
        |model| fs::remove_file(model.join("config.json")).expect("removed"),
        &["config.json"],
    );
}

#[test]
fn config_is_broken_json() {
    check_model(
        |model| write(model.join("config.json"), "{\"model_type\": \"lla"),
        &["config.json", "line 1"],
    );
}

#[test]
fn no_weights() {
    check_model(
        |model| fs::remove_file(model.join("model.safetensors")).expect("removed"),
        &["model.safetensors"],
    );
}

#[test]
fn truncated_weights() {
    check_model(
        |model| {
            let path = model.join("model.safetensors");
            let mut bytes = fs::read(&path).expect("read");
            bytes.truncate(bytes.len() / 2);
            fs::write(path, bytes).expect("written");
        },
        &["model.safetensors"],
    );
}

#[test]
fn weights_are_empty() {
    check_model(|model| write(model.join("model.safetensors"), ""), &["model.safetensors"]);
}

#[test]
fn unknown_model_type() {
    let (_scratch, model) = copy_of_model();
    replace(
        &model.join("config.json"),
        "\"model_type\": \"llama\"",
        "\"model_type\": \"llamantha\"",
    );
    let error = fails(pretrained(["generate"]).arg(&model).args(["--prompt", "a"]));
    says(&error, &model, &["llamantha"]);
}

#[test]
fn a_shape_that_does_not_fit() {
    let (_scratch, model) = copy_of_model();
    replace(&model.join("config.json"), "\"intermediate_size\": 48", "\"intermediate_size\": 64");
    let error = fails(pretrained(["generate"]).arg(&model).args(["--prompt", "a"]));
    says(&error, &model, &["mlp", "48", "64"]);
}

#[test]
fn a_config_with_a_hostile_number_is_refused_before_memory_is_asked_for() {
    let (_scratch, model) = copy_of_model();
    replace(&model.join("config.json"), "\"vocab_size\": 300", "\"vocab_size\": 4000000000000");
    let error = fails(pretrained(["generate"]).arg(&model).args(["--prompt", "a"]));
    says(&error, &model, &[]);
}

#[test]
fn a_model_directory_that_is_not_there() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let model = scratch.path().join("nowhere");
    let error = fails(pretrained(["generate"]).arg(&model).args(["--prompt", "a"]));
    says(&error, &model, &[]);
}

#[test]
fn a_directory_that_is_no_model() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path().to_owned();
    for words in [&["generate", "--prompt", "a"][..], &["chat"], &["embed", "a"], &["verify"]] {
        let output =
            pretrained([words[0]]).arg(&dir).args(&words[1..]).output().expect("it starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("there is no config.json in this directory"), "{words:?}: {said}");
    }
    let file = dir.join("file");
    write(file.clone(), "");
    let nowhere = dir.join("nowhere");
    for words in [&["list"][..], &["best"], &["prune", "--keep-last", "1"]] {
        let checkpoints = |path: &Path| {
            let mut command = pretrained(["checkpoints", words[0]]);
            fails(command.arg(path).args(&words[1..]))
        };
        says(&checkpoints(&file), &file, &["this is a file; name the directory of a run"]);
        says(&checkpoints(&nowhere), &nowhere, &["there is no such directory"]);
    }
}

#[test]
fn a_model_for_another_subcommand() {
    let (_scratch, model) = copy_of_model();
    let error = fails(pretrained(["embed"]).arg(&model).arg("a"));
    says(&error, &model, &["`llama` models predict the next token", "`pretrained generate`"]);
    replace(&model.join("config.json"), "\"model_type\": \"llama\"", "\"model_type\": \"bert\"");
    let error = fails(pretrained(["logits", "--ids", "1", "--out", "x"]).arg(&model));
    says(&error, &model, &["`bert` models do not predict", "`pretrained embed`"]);
}

#[test]
fn an_empty_text_file() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let (text, run) = (scratch.path().join("empty.txt"), scratch.path().join("run"));
    write(text.clone(), "");
    let tiny = Tiny::get();
    let mut command = pretrained(["train", "--output-dir"]);
    command.arg(&run).arg("--config").arg(tiny.config()).arg("--tokenizer").arg(tiny.tokenizer());
    let error = fails(command.arg("--text").arg(&text));
    says(&error, &text, &[]);
    assert!(!run.exists(), "nothing is written");
}

#[test]
fn a_text_file_that_is_not_there() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let (text, run) = (scratch.path().join("missing.txt"), scratch.path().join("run"));
    let mut command = pretrained(["train", "--output-dir"]);
    command.arg(&run).arg("--model").arg(Tiny::get().model());
    let error = fails(command.arg("--text").arg(&text));
    says(&error, &text, &[]);
    assert!(!run.exists(), "nothing is written");
}

#[test]
fn an_output_directory_that_is_a_file() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let run = scratch.path().join("run");
    write(run.clone(), "mine");
    let error = fails(&mut Tiny::get().train(&run, 2, 1));
    says(&error, &run, &["file"]);
    assert_eq!(fs::read_to_string(&run).expect("still a file"), "mine");

    let error = fails(pretrained(["convert"]).arg(Tiny::get().model()).arg(&run));
    says(&error, &run, &["file"]);
    assert_eq!(fs::read_to_string(&run).expect("still a file"), "mine");
}

#[test]
fn a_run_that_has_checkpoints_is_not_begun_again() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let run = scratch.path().join("run");
    crate::command::succeeds(&mut Tiny::get().train(&run, 2, 1));
    let before = everything(&run);
    let error = fails(&mut Tiny::get().train(&run, 4, 1));
    says(&error, &run, &["resume"]);
    assert_eq!(everything(&run), before, "the run is as it was");
}

#[test]
fn a_checkpoint_that_newer_ones_follow_is_not_gone_on_from_there() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let (run, other) = (scratch.path().join("run"), scratch.path().join("other"));
    crate::command::succeeds(&mut Tiny::get().train(&run, 2, 1));
    let before = everything(&run);
    let older = run.join("checkpoint-1");
    let error = fails(Tiny::get().train(&run, 4, 1).arg("--resume").arg(&older));
    says(
        &error,
        &older,
        &["is older than checkpoint-2 in", "name no checkpoint", "another output directory"],
    );
    assert_eq!(everything(&run), before, "the run is as it was");
    // Both ways out lead out.
    crate::command::succeeds(Tiny::get().train(&other, 4, 1).arg("--resume").arg(&older));
    crate::command::succeeds(Tiny::get().train(&run, 4, 1).arg("--resume"));
}

#[test]
fn what_is_no_checkpoint_is_not_gone_on_from() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let [run, new, empty] = ["run", "new", "empty"].map(|it| scratch.path().join(it));
    crate::command::succeeds(&mut Tiny::get().train(&run, 2, 1));
    fs::create_dir(&empty).expect("made");
    let error = fails(Tiny::get().train(&new, 4, 1).arg("--resume").arg(&run));
    says(&error, &run, &["is a run, name one of its checkpoints:", "checkpoint-2"]);
    let error = fails(Tiny::get().train(&new, 4, 1).arg("--resume").arg(&empty));
    says(&error, &empty, &["is no checkpoint: it has no trainer_state.json"]);
    assert!(!new.exists(), "nothing is written");
}

#[test]
fn a_new_model_in_another_type_is_refused_before_text_is_read() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let run = scratch.path().join("run");
    let mut command = Tiny::get().train(&run, 2, 1);
    let output = command.args(["--dtype", "bfloat16", "-v"]).output().expect("the command starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("error: --dtype bfloat16 needs --model"), "{said}");
    assert!(!said.contains("text.txt") && !run.exists(), "{said}");
}

#[test]
fn a_second_trainer_on_the_same_run() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let run = scratch.path().join("run");
    let mut first = Killed::start(
        Tiny::get().train(&run, 1_000_000, 5).stdout(Stdio::null()).stderr(Stdio::null()),
    );
    while !run.join("checkpoint-5").exists() {
        assert!(
            first.0.try_wait().expect("a child can be asked").is_none(),
            "the first trainer is at work"
        );
        thread::sleep(Duration::from_millis(20));
    }
    let error = fails(Tiny::get().train(&run, 1_000_000, 5).arg("--resume"));
    says(&error, &run, &[&first.0.id().to_string()]);
    assert!(
        first.0.try_wait().expect("a child can be asked").is_none(),
        "the first trainer goes on"
    );
}

/// The error names the path and says each of the words, and nobody panicked.
#[track_caller]
fn says(error: &str, path: &Path, words: &[&str]) {
    assert!(error.contains(&*path.to_string_lossy()), "names {}: {error}", path.display());
    for word in words {
        assert!(error.contains(word), "says `{word}`: {error}");
    }
    assert!(!error.contains("panicked"), "{error}");
}

/// A child that ends with the test.
struct Killed(Child);

impl Killed {
    fn start(command: &mut std::process::Command) -> Killed {
        Killed(command.spawn().expect("the command starts"))
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // Ended already is as good as killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn copy_of_model() -> (TempDir, PathBuf) {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let model = scratch.path().join("model");
    fs::create_dir(&model).expect("created");
    for entry in fs::read_dir(Tiny::get().model()).expect("the model is there").flatten() {
        fs::copy(entry.path(), model.join(entry.file_name())).expect("copied");
    }
    (scratch, model)
}

/// Every file below a directory with its bytes.
fn everything(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("the directory is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(everything(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).expect("a file"));
        }
    }
    files
}

fn write(path: PathBuf, text: &str) {
    fs::write(path, text).expect("written");
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("read");
    assert!(text.contains(from), "{} has {from}: {text}", path.display());
    fs::write(path, text.replace(from, to)).expect("written");
}
