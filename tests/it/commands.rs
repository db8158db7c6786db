//! The `pretrained` command, subcommand by subcommand: what it prints is what transformers says, and what it leaves opens.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::command::{pretrained, succeeds};
use crate::python;
use crate::tiny::Tiny;

const TEXT: &str = "Once upon a time there was a checkpoint, naïve but whole 🙂";

#[test]
fn tokenize_generate_eval_and_logits_agree_with_transformers() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let model = scratch.path().join("model");
    python::call(
        "models.make",
        json!({"out": model, "model_type": "llama", "tied": true, "dtype": "float32"}),
    );
    let their_logits = scratch.path().join("theirs.safetensors");
    let expected = python::call(
        "models.describe",
        json!({
            "model": model, "ids": [[1, 2, 3], [4, 5, 6]], "texts": [TEXT], "prompt": "Once upon",
            "max_new_tokens": 10, "logits_out": their_logits,
        }),
    );

    let ids = succeeds(pretrained(["tokenize"]).arg(&model).arg(TEXT));
    assert_eq!(ids.trim(), comma_separated(&expected["encoded"][0]));
    let text = succeeds(pretrained(["tokenize", "--decode"]).arg(&model).arg(ids.trim()));
    assert_eq!(text, format!("{TEXT}\n"));

    let mut generate = pretrained(["generate"]);
    generate.arg(&model).args(["--prompt", "Once upon", "--max-new-tokens", "10", "--json"]);
    let generated = parsed(&succeeds(&mut generate));
    assert_eq!(generated["ids"], expected["new_ids"]);
    assert_eq!(generated["text"], expected["new_text"]);

    let ours = scratch.path().join("ours.safetensors");
    succeeds(pretrained(["logits"]).arg(&model).args(["--ids", "1,2,3;4,5,6", "--out"]).arg(&ours));
    let (ours, theirs) = (logits(&ours), logits(&their_logits));
    assert_eq!(ours.len(), theirs.len());
    let difference = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference <= 1e-5, "the largest difference of a logit is {difference:e}");

    let (text, file) = (whole_blocks(&model, 16), scratch.path().join("text.txt"));
    fs::write(&file, &text).expect("the text is written");
    let mut eval = pretrained(["eval"]);
    let evaluated = parsed(&succeeds(eval.arg(&model).arg("--text").arg(&file).args([
        "--block-size",
        "16",
        "--json",
    ])));
    let theirs =
        python::call("models.loss", json!({"model": model, "text": text, "block_size": 16}));
    let (ours, theirs) =
        (evaluated["loss"].as_f64().expect("a loss"), theirs.as_f64().expect("a loss"));
    assert!((ours - theirs).abs() < 1e-5, "loss {ours}, transformers {theirs}");
}

#[test]
fn a_trained_run_is_listed_verified_converted_and_pruned() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let (run, model) = (scratch.path().join("run"), scratch.path().join("model"));
    succeeds(&mut Tiny::get().train(&run, 6, 2));
    let listed = parsed(&succeeds(pretrained(["checkpoints", "list", "--json"]).arg(&run)));
    assert!(listed.to_string().contains("checkpoint-6"), "{listed}");
    assert!(!listed.to_string().contains("checkpoint-2\""), "only the last two are kept: {listed}");
    succeeds(pretrained(["verify"]).arg(&run));
    succeeds(pretrained(["inspect"]).arg(&run));

    let checkpoint = run.join("checkpoint-6");
    let mut convert = pretrained(["convert", "--dtype", "bf16", "--max-shard-size", "20KB"]);
    succeeds(convert.arg(&checkpoint).arg(&model));
    succeeds(pretrained(["verify"]).arg(&model));
    let inspected = parsed(&succeeds(pretrained(["inspect", "--json"]).arg(&model)));
    assert!(inspected.to_string().contains("BF16"), "{inspected}");
    assert!(model.join("model.safetensors.index.json").exists(), "20 KB a shard");
    succeeds(pretrained(["generate"]).arg(&model).args([
        "--prompt",
        "The",
        "--max-new-tokens",
        "3",
    ]));

    // One bit, in the middle of the weights.
    let weights = checkpoint.join("model.safetensors");
    let mut bytes = fs::read(&weights).expect("weights");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&weights, bytes).expect("written");
    let output = pretrained(["verify"]).arg(&checkpoint).output().expect("the command starts");
    assert_eq!(output.status.code(), Some(1), "damaged");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("model.safetensors"), "what is damaged is named: {said}");
}

/// Text of a whole number of blocks, so that nobody has a shorter last one to treat in his own way.
fn whole_blocks(model: &Path, block_size: usize) -> String {
    let mut text = TEXT.repeat(4);
    loop {
        let ids = succeeds(pretrained(["tokenize"]).arg(model).arg(&text));
        if ids.split(',').count().is_multiple_of(block_size) {
            return text;
        }
        text.push('!');
    }
}

fn logits(path: &Path) -> Vec<f32> {
    let file = pretrained::safetensors::TensorFile::open(path).expect("logits open");
    let bytes = file.read_tensor("logits").expect("they read").expect("they are called so");
    let (values, _) = bytes.as_chunks::<4>();
    values.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

fn comma_separated(ids: &Value) -> String {
    let ids = ids.as_array().expect("a list of ids");
    ids.iter().map(Value::to_string).collect::<Vec<_>>().join(",")
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}
