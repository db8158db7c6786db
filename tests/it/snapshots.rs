//! What the command prints, word for word, beside files in `snapshots/`. `UPDATE_SNAPSHOTS=1` writes them anew.
//!
//! Models and runs are written here rather than trained, so that every number is the same on every machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pretrained::safetensors::{Dtype, Layout, Metadata, TensorSpec, cast};
use serde_json::json;

use crate::command::{pretrained, succeeds};
use crate::python::root;

/// Compares a text with the file of that name. Paths below `dir` are shown as `DIR/…`.
#[track_caller]
fn check(name: &str, text: &str, dir: &Path) {
    let dir = dir.to_str().expect("UTF-8");
    let text = text.replace(dir, "DIR");
    check_file(&root().join("tests/it/snapshots").join(format!("{name}.txt")), &text);
}

#[track_caller]
fn check_file(path: &Path, text: &str) {
    if env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(path, text).expect("a snapshot is written");
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    let (mut theirs, mut ours) = (expected.lines(), text.lines());
    for line in 1.. {
        let (expected, found) = (theirs.next(), ours.next());
        assert_eq!(
            found,
            expected,
            "{}, line {line} (left: what is printed). If it is meant to be so, run this with UPDATE_SNAPSHOTS=1; all \
             of it:\n{text}",
            path.display()
        );
        if expected.is_none() {
            break;
        }
    }
}

/// What a command writes to stdout and stderr, and how it ends.
fn said(command: &mut Command) -> String {
    let output = command.output().expect("the command starts");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let code = output.status.code().expect("no signal");
    format!("{out}--- standard error\n{err}--- exit code {code}\n")
}

/// The reference in the book, which is what `--help` says.
#[test]
fn help() {
    let all = pages();
    assert!(all.len() > 15, "{all:?}");
    let mut book =
        "# The command\n\nWhat `--help` says of each subcommand; a test keeps this page so.\n"
            .to_owned();
    for words in all {
        let text = succeeds(pretrained(&words).arg("--help"));
        let title = ["pretrained"].into_iter().chain(words.iter().map(String::as_str));
        let title: Vec<&str> = title.collect();
        book += &format!("\n## {}\n\n```text\n{}\n```\n", title.join(" "), text.trim_end());
    }
    check_file(&root().join("docs/cli.md"), &book);
}

/// The words of every subcommand, as the names of the manual pages have them.
fn pages() -> Vec<Vec<String>> {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    succeeds(pretrained(["man"]).arg(scratch.path()));
    let mut all: Vec<Vec<String>> = Vec::new();
    for entry in fs::read_dir(scratch.path()).expect("pages") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let name = name.strip_suffix(".1").expect("a page").to_owned();
        let name = name.strip_prefix("pretrained").expect("of this command").to_owned();
        let words = match name.strip_prefix("-checkpoints-") {
            Some(nested) => vec!["checkpoints".to_owned(), nested.to_owned()],
            None => name.strip_prefix('-').map(str::to_owned).into_iter().collect(),
        };
        all.push(words);
    }
    all.sort();
    all
}

#[test]
fn inspect() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let (model, run) = (scratch.path().join("model"), scratch.path().join("run"));
    write_model(&model, &Model::default());
    write_run(&run);
    let inspect = |path: &Path| said(pretrained(["inspect"]).arg(path));
    check("inspect-model", &inspect(&model), scratch.path());
    check("inspect-run", &inspect(&run), scratch.path());
    check("inspect-file", &inspect(&model.join("model.safetensors")), scratch.path());
    let json = said(pretrained(["inspect", "--json"]).arg(&model));
    check("inspect-model-json", &json, scratch.path());
}

#[test]
fn diff() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let [a, b] = ["a", "b"].map(|it| scratch.path().join(it));
    write_model(&a, &Model::default());
    write_model(&b, &Model::changed());
    let diff =
        |flags: &[&str], a: &Path, b: &Path| said(pretrained(["diff"]).args(flags).args([a, b]));
    check("diff", &diff(&[], &a, &b), scratch.path());
    check("diff-json", &diff(&["--json"], &a, &b), scratch.path());
    check("diff-same", &diff(&[], &a, &a), scratch.path());
    let dtypes = ["f32", "bf16"].map(|it| scratch.path().join(it));
    dtypes.iter().zip(Model::of_two_dtypes()).for_each(|(dir, it)| write_model(dir, &it));
    check("diff-dtypes", &diff(&[], &dtypes[0], &dtypes[1]), scratch.path());
    check("diff-dtypes-json", &diff(&["--json"], &dtypes[0], &dtypes[1]), scratch.path());
    let (file, nothing) = (b.join("model.safetensors"), scratch.path().join("nothing"));
    check("diff-file", &diff(&[], &a, &file), scratch.path());
    // Which cache is looked in is another machine's matter.
    let mut command = pretrained(["diff", "-v"]);
    command.args([&a, &nothing]).env("HF_HUB_CACHE", scratch.path().join("hub"));
    check("diff-nothing", &said(&mut command), scratch.path());
    let run = scratch.path().join("run");
    write_run(&run);
    check("diff-run", &diff(&[], &run, &run.join("checkpoint-20")), scratch.path());
}

#[test]
fn checkpoints() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let (run, empty) = (scratch.path().join("run"), scratch.path().join("empty"));
    write_run(&run);
    fs::create_dir(&empty).expect("a directory is made");
    for words in [&["list"][..], &["list", "--json"], &["best"], &["best", "-q"]] {
        let text = said(pretrained(["checkpoints"]).args(words).arg(&run));
        let name = words.join("-").replace("--", "-");
        check(&format!("checkpoints-{}", name.replace("--", "-")), &text, scratch.path());
    }
    let text = said(pretrained(["checkpoints", "list"]).arg(&empty));
    check("checkpoints-list-empty", &text, scratch.path());
}

/// What a model of ours is made of.
struct Model {
    hidden_size: u64,
    more: serde_json::Value,
    tokenizer: &'static str,
    tensors: Vec<(&'static str, Dtype, Vec<f32>)>,
}

impl Default for Model {
    fn default() -> Model {
        Model {
            hidden_size: 4,
            more: json!({"rope_scaling": {"factor": 2.0, "rope_type": "linear"}, "old": true}),
            tokenizer: "{}",
            tensors: vec![
                ("model.embed_tokens.weight", Dtype::F32, vec![0.5; 8]),
                ("model.layers.2.mlp.up_proj.weight", Dtype::F32, vec![1.0; 4]),
                ("model.layers.10.mlp.up_proj.weight", Dtype::F32, vec![1.0; 4]),
                ("model.norm.weight", Dtype::F32, vec![1.0, 1.0]),
                ("lm_head.weight", Dtype::F32, vec![0.25; 8]),
                ("only.here", Dtype::F32, vec![0.0]),
            ],
        }
    }
}

impl Model {
    /// Two models of one shape: values that are converted, that need not be, and that are others.
    fn of_two_dtypes() -> [Model; 2] {
        let third = 1.0 / 3.0;
        let tensors = [
            ("model.embed_tokens.weight", Dtype::BF16, vec![third; 8], vec![third; 8]),
            ("model.layers.2.mlp.up_proj.weight", Dtype::F64, vec![third; 4], vec![third; 4]),
            ("model.norm.weight", Dtype::BF16, vec![1.0, third], vec![3.0, third]),
            ("lm_head.weight", Dtype::F16, vec![0.25; 8], vec![0.25; 6]),
            ("only.here", Dtype::F32, vec![0.0], vec![0.0]),
        ];
        let a = tensors.iter().map(|(name, _, values, _)| (*name, Dtype::F32, values.clone()));
        let b = tensors.iter().map(|(name, dtype, _, values)| (*name, *dtype, values.clone()));
        [a.collect(), b.collect()].map(|tensors| Model { tensors, ..Model::default() })
    }

    fn changed() -> Model {
        Model {
            hidden_size: 8,
            more: json!({"rope_scaling": {"factor": 4.0, "rope_type": "linear"}, "new": [1, 2]}),
            tokenizer: "{ }",
            tensors: vec![
                ("model.embed_tokens.weight", Dtype::F32, vec![0.5; 8]),
                ("model.layers.2.mlp.up_proj.weight", Dtype::F32, vec![1.0, 1.0, 1.0, 1.5]),
                ("model.layers.10.mlp.up_proj.weight", Dtype::F32, vec![1.0, 3.0, 0.0, 1.0]),
                ("model.norm.weight", Dtype::F32, vec![f32::NAN, 1.0]),
                ("lm_head.weight", Dtype::F32, vec![0.25; 6]),
                ("only.there", Dtype::F32, vec![0.0]),
            ],
        }
    }
}

fn write_model(dir: &Path, model: &Model) {
    fs::create_dir_all(dir).expect("a directory is made");
    let mut config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "float32",
        "hidden_size": model.hidden_size,
    });
    let config_fields = config.as_object_mut().expect("an object");
    config_fields.extend(model.more.as_object().expect("an object").clone());
    fs::write(dir.join("config.json"), config.to_string()).expect("written");
    fs::write(dir.join("tokenizer.json"), model.tokenizer).expect("written");
    let specs = model.tensors.iter().map(|(name, dtype, values)| TensorSpec {
        name: (*name).to_owned(),
        dtype: *dtype,
        shape: vec![values.len()],
    });
    let layout = Layout::new(specs.collect(), &Metadata::new()).expect("a layout");
    let values = |name: &str| {
        let tensor = model.tensors.iter().find(|it| it.0 == name).expect("one of these");
        let bytes: Vec<u8> = tensor.2.iter().flat_map(|it| it.to_le_bytes()).collect();
        cast(&bytes, Dtype::F32, tensor.1).expect("a float")
    };
    let mut file = Vec::new();
    layout.write_to(&mut file, |spec| Ok(values(&spec.name))).expect("written to memory");
    fs::write(dir.join("model.safetensors"), file).expect("written");
}

/// Three checkpoints, of which the last has no trainer state.
fn write_run(run: &Path) {
    for (step, eval_loss) in [(10, Some(2.5)), (20, Some(2.25)), (30, None)] {
        let dir: PathBuf = run.join(format!("checkpoint-{step}"));
        write_model(&dir, &Model::default());
        let Some(eval_loss) = eval_loss else { continue };
        let state = json!({
            "best_global_step": null, "best_metric": null, "best_model_checkpoint": null,
            "epoch": f64::from(step) / 20.0, "global_step": step,
            "log_history": [
                {"epoch": f64::from(step) / 20.0, "loss": 3.0 - f64::from(step) / 100.0, "step": step},
                {"epoch": f64::from(step) / 20.0, "eval_loss": eval_loss, "step": step},
            ],
        });
        fs::write(dir.join("trainer_state.json"), state.to_string()).expect("written");
    }
}
