//! What `pretrained train` makes of its files: kept for the next run, cut, packed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{fails, pretrained};
use crate::tiny::Tiny;

/// A run of one step in a directory of its own.
struct Scratch {
    dir: TempDir,
    runs: usize,
}

impl Scratch {
    fn new() -> Scratch {
        Scratch { dir: tempfile::tempdir().expect("a scratch directory"), runs: 0 }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    fn run(&self) -> PathBuf {
        self.dir.path().join(format!("run-{}", self.runs))
    }

    /// `pretrained train` with 16 tokens in an example, into a new directory.
    fn train(&mut self, arguments: &[&str]) -> Command {
        self.runs += 1;
        let mut command = pretrained(["train", "--max-steps", "1", "--block-size", "16"]);
        command.arg("--output-dir").arg(self.run()).args(arguments);
        command.arg("--config").arg(Tiny::get().config());
        if !arguments.contains(&"--tokenizer") {
            command.arg("--tokenizer").arg(Tiny::get().tokenizer());
        }
        command.env("XDG_CACHE_HOME", self.dir.path());
        command
    }

    /// The kept files, by name, with what tells one that is written again.
    fn kept(&self) -> Vec<(String, std::time::SystemTime)> {
        let Ok(entries) = fs::read_dir(self.dir.path().join("pretrained")) else { return vec![] };
        let entries = entries.map(|it| it.expect("an entry").path().join("index.json"));
        let mut kept: Vec<_> = entries
            .map(|it| {
                let modified = fs::metadata(&it).and_then(|it| it.modified());
                (it.display().to_string(), modified.expect("a whole entry"))
            })
            .collect();
        kept.sort();
        kept
    }
}

/// Runs it to a good end. What it said on stderr.
#[track_caller]
fn says(command: &mut Command) -> String {
    let output = command.output().expect("the command starts");
    let stderr = String::from_utf8(output.stderr).expect("stderr is text");
    assert!(output.status.success(), "{command:?} ended with {}:\n{stderr}", output.status);
    stderr
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn tokenized_files_are_kept_until_they_or_the_tokenizer_change() {
    let mut scratch = Scratch::new();
    let story = fs::read_to_string(Tiny::get().text()).expect("a text");
    let train = scratch.write("train.txt", &story);
    let line = "{\"text\": \"Once upon a time\"}\n";
    let eval = scratch.write("eval.jsonl", line);
    let files = ["--text", text(&train), "--eval-data", text(&eval), "--eval-strategy", "epoch"];

    let stderr = says(&mut scratch.train(&files));
    assert!(!stderr.contains("warning"), "{stderr}");
    let first = scratch.kept();
    assert_eq!(first.len(), 2, "training and evaluation data: {first:?}");
    let n_steps = |run: &Path| fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let losses = |run: &Path| -> Vec<Value> {
        let lines = n_steps(run);
        let lines = lines.lines().map(|it| serde_json::from_str::<Value>(it).expect("JSON"));
        lines.map(|it| it["eval_loss"].clone()).collect()
    };
    let learned = losses(&scratch.run());
    assert!(learned.iter().any(Value::is_number), "evaluated: {learned:?}");

    says(&mut scratch.train(&files));
    assert_eq!(scratch.kept(), first, "nothing is tokenized again");
    assert_eq!(losses(&scratch.run()), learned, "the same data");

    // Damaged, it is not believed, and made again.
    let tokens = |index: &str| Path::new(index).with_file_name("input_ids.u32");
    let damaged = first.iter().map(|it| tokens(&it.0)).find(|it| {
        let mut bytes = fs::read(it).expect("tokens");
        bytes[0] ^= 1;
        fs::write(it, bytes).is_ok()
    });
    says(&mut scratch.train(&files));
    assert_ne!(scratch.kept(), first, "{damaged:?} is made again");
    assert_eq!(losses(&scratch.run()), learned, "the same data");

    scratch.write("train.txt", &format!("{story}More."));
    says(&mut scratch.train(&files));
    assert_eq!(scratch.kept().len(), 3, "the text has changed");

    let tokenizer = scratch.dir.path().join("tokenizer");
    let mut other = pretrained(["train-tokenizer", "--vocab-size", "290", "--text"]);
    says(other.arg(&train).arg("--out").arg(&tokenizer));
    let with_other = [&files[..], &["--tokenizer", text(&tokenizer)]].concat();
    says(&mut scratch.train(&with_other));
    assert_eq!(scratch.kept().len(), 5, "both are tokenized otherwise");

    let here = scratch.dir.path().join("here");
    let elsewhere = [&files[..], &["--data-cache-dir", text(&here)]].concat();
    says(&mut scratch.train(&elsewhere));
    assert_eq!(fs::read_dir(&here).expect("it is there").count(), 2);
    assert_eq!(scratch.kept().len(), 5);
}

#[test]
fn where_nothing_can_be_kept_it_is_said_once() {
    let mut scratch = Scratch::new();
    let train = Tiny::get().text();
    let cache = train.join("cache");
    let stderr = says(&mut scratch.train(&[
        "--text",
        text(&train),
        "--eval-text",
        text(&train),
        "--data-cache-dir",
        text(&cache),
    ]));
    let warnings: Vec<&str> = stderr.lines().filter(|it| it.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 1, "{stderr}");
    let expected = "warning: tokenized in memory, and again by the next run: ";
    assert!(warnings[0].starts_with(expected) && warnings[0].contains(text(&train)), "{stderr}");
}

#[test]
fn what_is_cut_away_is_said_in_one_line() {
    let mut scratch = Scratch::new();
    let ids = |n| (1..=n).map(|it| it.to_string()).collect::<Vec<_>>().join(", ");
    let line = |n, labels: String| format!("{{\"input_ids\": [{}]{labels}}}\n", ids(n));
    let late = |n: usize| format!(", \"labels\": [{}7]", "-100, ".repeat(n - 1));
    let lines = line(16, String::new()) + &line(17, String::new()) + &line(20, late(20));
    let data = scratch.write("data.jsonl", &lines);
    let cut = "data.jsonl: 2 of 3 examples were longer than 16 tokens and are cut; \
               1 has nothing left to predict";
    // From the cache, too.
    for _ in 0..2 {
        let stderr = says(&mut scratch.train(&["--data", text(&data)]));
        assert_eq!(stderr.matches("warning: ").count(), 1, "{stderr}");
        assert!(stderr.contains(cut), "{stderr}");
    }

    let data = scratch.write("nothing.jsonl", &line(20, late(20)));
    let error = fails(&mut scratch.train(&["--data", text(&data)]));
    let expected = "nothing.jsonl: 1 of 1 examples was longer than 16 tokens and is cut; \
                    1 has nothing left to predict: raise block_size";
    assert!(error.ends_with(expected), "{error}");
    assert!(!scratch.run().exists(), "nothing is written");
}

#[test]
fn packed_examples_fill_rows() {
    let mut scratch = Scratch::new();
    let lines: String = (0..64).map(|i| format!("{{\"input_ids\": [{i}, 5, 6, 7]}}\n")).collect();
    let data = scratch.write("data.jsonl", &lines);
    let files = ["--data", text(&data), "--per-device-train-batch-size", "4"];
    let epochs = |run: &Path| -> f64 {
        let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
        let last = metrics.lines().last().expect("a line");
        let last: Value = serde_json::from_str(last).expect("JSON");
        last["epoch"].as_f64().expect("an epoch")
    };
    says(&mut scratch.train(&files));
    assert_eq!(epochs(&scratch.run()), 4.0 / 64.0);
    says(&mut scratch.train(&[&files[..], &["--packing"]].concat()));
    assert_eq!(epochs(&scratch.run()), 4.0 / 16.0, "four examples in a row of 16 tokens");

    let error = fails(&mut scratch.train(&["--text", text(&Tiny::get().text()), "--packing"]));
    assert_eq!(error, "error: --packing is for --data: text is cut into full blocks as it is");
}

/// Nothing was learned yet that could be saved, so that there is nothing to wait for.
#[test]
fn a_signal_does_not_wait_for_the_end_of_tokenizing() {
    let mut scratch = Scratch::new();
    let once = fs::read_to_string(Tiny::get().text()).expect("read");
    let long = scratch.write("long.txt", &once.repeat((40 << 20) / once.len()));
    let cache = scratch.dir.path().join("pretrained");
    let n_entries = || fs::read_dir(&cache).map_or(0, Iterator::count);

    let mut command = scratch.train(&["--text", text(&long)]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the command starts");
    while n_entries() == 0 {
        assert!(child.try_wait().expect("a child can be asked").is_none(), "it ended by itself");
        thread::sleep(Duration::from_millis(5));
    }
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.expect("kill starts").success());
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8(output.stderr).expect("stderr is text");
    assert_eq!(output.status.code(), Some(143), "{stderr}");
    assert!(stderr.ends_with("interrupted before the first step\n"), "{stderr}");
    assert_eq!(n_entries(), 0, "half a file of tokens is none");
    assert!(!scratch.run().join("model.safetensors").exists());
}

#[test]
fn a_switch_needs_no_value() {
    let mut scratch = Scratch::new();
    let train = Tiny::get().text();
    let options = ["--bf16", "--activation-checkpointing", "--save-steps", "1", "--text"];
    says(&mut scratch.train(&[&options[..], &[text(&train)]].concat()));
    let args = fs::read_to_string(scratch.run().join("checkpoint-1/training_args.json"));
    let args: Value = serde_json::from_str(&args.expect("arguments")).expect("JSON");
    assert_eq!((&args["bf16"], &args["activation_checkpointing"]), (&true.into(), &true.into()));
}
