//! Training against Hugging Face's Trainer: the same network, examples and arguments, compared step by step.

use std::path::Path;

use pretrained::{
    AutoModelForCausalLM, Device, TrainingArguments,
    checkpoint::Checkpoints,
    data::{Example, InMemory},
    torch::CausalLmTask,
    train::{Dims, Event, LogEntry, Resume, train},
};
use serde_json::{Value, json};

use crate::python;

/// Texts of different lengths, of which the last micro-batch of a pass is not full.
fn examples(n: usize) -> Vec<Vec<u32>> {
    let text =
        |i: usize| (0..5 + i * 7 % 13).map(move |t| ((i * 31 + t * 17 + t * t) % 58 + 3) as u32);
    (0..n).map(|i| text(i).collect()).collect()
}

fn dataset(n: usize) -> InMemory {
    let example = |ids: Vec<u32>| Example { input_ids: ids.into(), labels: None };
    InMemory(examples(n).into_iter().map(example).collect())
}

const TRAIN: usize = 45;
const EVAL: usize = 7;

/// Our log of a run.
fn ours(model: &Path, arguments: &Value, run: &Path) -> Vec<LogEntry> {
    let mut arguments = arguments.clone();
    arguments["output_dir"] = json!(run);
    let args = TrainingArguments::from_json(&arguments.to_string()).expect("arguments");
    let model = AutoModelForCausalLM::from_pretrained(model, Device::Cpu).expect("a model");
    let (examples, eval) = (dataset(TRAIN), dataset(EVAL));
    let mut task = CausalLmTask::new(&model, None, &args, &examples, Some(&eval)).expect("a task");
    let checkpoints = Checkpoints::open(run).expect("a run's directory");
    let dims = Dims { examples: TRAIN, eval_examples: Some(EVAL), identity: Default::default() };
    let mut log = Vec::new();
    train(&mut task, &args, &dims, &checkpoints, Resume::No, |event: &Event<'_>| {
        if let Event::Logged(entry) = event {
            log.push((*entry).clone());
        }
    })
    .expect("a whole run");
    log
}

/// Every number of every entry, but those that are times.
#[track_caller]
fn same_log(what: &str, ours: &[LogEntry], theirs: &[Value], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}: entries");
    for (ours, theirs) in ours.iter().zip(theirs) {
        for (name, theirs) in theirs.as_object().expect("an entry") {
            if ["runtime", "per_second", "total_flos"].iter().any(|it| name.ends_with(it)) {
                continue;
            }
            let at = format!("{what}: {name} in step {}", ours.step());
            let ours = ours.get(name).unwrap_or_else(|| panic!("{at} is there"));
            let theirs = theirs.as_f64().expect("a number");
            let off = (ours - theirs).abs() / theirs.abs().max(1e-8);
            assert!(off <= tolerance, "{at} is {ours}, theirs {theirs}");
        }
    }
}

#[track_caller]
fn check(case: &str, more: Value) {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let model = scratch.path().join("model");
    python::call("families.make", json!({"name": case, "out": model}));
    let mut arguments = json!({
        "max_steps": 200, "logging_steps": 1, "per_device_train_batch_size": 4, "save_strategy": "no",
        "gradient_accumulation_steps": 2, "warmup_steps": 20, "learning_rate": 2e-4, "weight_decay": 0.1,
        "max_grad_norm": 0.7, "eval_strategy": "steps", "eval_steps": 50, "per_device_eval_batch_size": 3,
    });
    for (name, value) in more.as_object().expect("arguments by name") {
        arguments[name] = value.clone();
    }
    let given = json!({
        "model": model, "arguments": arguments,
        "examples": examples(TRAIN).iter().map(|it| json!({"input_ids": it})).collect::<Vec<Value>>(),
        "eval_examples": examples(EVAL).iter().map(|it| json!({"input_ids": it})).collect::<Vec<Value>>(),
    });
    let theirs: Vec<Value> =
        serde_json::from_value(python::call("training.train", given)).expect("a log");
    let ours = ours(&model, &arguments, &scratch.path().join("run"));
    same_log(&format!("{case}, {more}"), &ours, &theirs, 1e-5);
}

#[test]
fn every_step_of_llama_is_equal() {
    check("llama", json!({}));
}

#[test]
fn every_step_of_gpt2_is_equal() {
    check("gpt2", json!({}));
}

#[test]
fn every_step_of_qwen3_is_equal() {
    check("qwen3", json!({}));
}

#[test]
fn every_step_of_gemma2_is_equal() {
    check("gemma2", json!({}));
}

#[test]
fn every_step_is_equal_with_every_scheduler() {
    for more in [
        json!({"lr_scheduler_type": "cosine"}),
        json!({"lr_scheduler_type": "constant"}),
        json!({"lr_scheduler_type": "constant_with_warmup"}),
        json!({"lr_scheduler_type": "inverse_sqrt"}),
        json!({"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"power": 2.0}}),
        json!({"lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs": {"num_cycles": 2}}),
        json!({"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.1}}),
        json!({"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 50}}),
    ] {
        check("llama_tied", more);
    }
}

#[test]
fn every_step_is_equal_with_every_optimizer_and_loss() {
    for more in [
        json!({"optim": "adamw_torch"}),
        json!({"optim": "sgd", "learning_rate": 0.05}),
        json!({"label_smoothing_factor": 0.1}),
        json!({"train_sampling_strategy": "sequential", "dataloader_drop_last": true}),
        json!({"num_train_epochs": 5, "max_steps": -1, "gradient_accumulation_steps": 3}),
    ] {
        check("gpt2", more);
    }
    // The bias of GPT-2's keys has no gradient but rounding, which Adafactor makes as large as the others.
    check("llama", json!({"optim": "adafactor"}));
}
