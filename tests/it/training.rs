//! Training against Hugging Face's Trainer: the same network, examples and arguments, compared step by step.

use std::path::Path;

use pretrained::{
    AutoModelForCausalLM, Device, TrainingArguments,
    checkpoint::Checkpoints,
    data::{Example, InMemory},
    torch::CausalLmTask,
    train::{Action, Dims, Event, LogEntry, Resume, TrainerState, train},
};
use serde_json::{Value, json};

use crate::{fields::with, python};

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

/// Training arguments, and the beginnings of names of what is frozen, which are none of them.
fn split(arguments: &Value) -> (Value, Vec<String>) {
    let mut arguments = arguments.clone();
    let freeze = arguments.as_object_mut().and_then(|it| it.remove("freeze"));
    (arguments, freeze.map_or_else(Vec::new, |it| serde_json::from_value(it).expect("names")))
}

/// Our log of a run, or of a part of it: from a checkpoint, to a step.
fn ours(
    model: &Path,
    arguments: &Value,
    run: &Path,
    resume: Resume,
    stop: Option<u64>,
) -> Vec<LogEntry> {
    let (arguments, freeze) = split(arguments);
    let arguments = with(arguments, &json!({"output_dir": run}));
    let args = TrainingArguments::from_json(&arguments.to_string()).expect("arguments");
    let mut model = AutoModelForCausalLM::from_pretrained(model, Device::Cpu).expect("a model");
    model.freeze(|name| freeze.iter().any(|it| name.starts_with(it)));
    let (examples, eval) = (dataset(TRAIN), dataset(EVAL));
    let mut task = CausalLmTask::new(&model, None, &args, &examples, Some(&eval)).expect("a task");
    let checkpoints = Checkpoints::open(run).expect("a run's directory");
    let dims = Dims { examples: TRAIN, eval_examples: Some(EVAL), ..Dims::default() };
    let mut log = Vec::new();
    train(&mut task, &args, &dims, &checkpoints, resume, |event: &Event<'_>| match event {
        Event::Started(started) => {
            log.extend(started.state.log_history.iter().cloned());
            Action::CONTINUE
        }
        Event::Logged(entry) => {
            log.push((*entry).clone());
            Action::CONTINUE
        }
        Event::Stepped(report) if Some(report.step) == stop => Action::STOP,
        _ => Action::CONTINUE,
    })
    .expect("a run");
    log
}

/// What is trained on, for Python.
fn given(model: &Path, arguments: &Value) -> Value {
    let rows = |n| examples(n).iter().map(|it| json!({"input_ids": it})).collect::<Vec<Value>>();
    let (arguments, freeze) = split(arguments);
    json!({
        "model": model, "arguments": arguments, "examples": rows(TRAIN), "eval_examples": rows(EVAL),
        "freeze": freeze,
    })
}

/// Every number of every entry, but those that are times and, of a run that Hugging Face's Trainer goes on with, the
/// mean loss of the whole: it does not know ours.
#[track_caller]
fn same_log(what: &str, ours: &[LogEntry], theirs: &[Value], is_handed_over: bool) {
    assert_eq!(ours.len(), theirs.len(), "{what}: entries");
    for (ours, theirs) in ours.iter().zip(theirs) {
        for (name, theirs) in theirs.as_object().expect("an entry") {
            if ["runtime", "per_second", "total_flos"].iter().any(|it| name.ends_with(it)) {
                continue;
            }
            if name == "train_loss" && is_handed_over {
                continue;
            }
            let at = format!("{what}: {name} in step {}", ours.step());
            let ours = ours.get(name).unwrap_or_else(|| panic!("{at} is there"));
            let theirs = theirs.as_f64().expect("a number");
            let off = (ours - theirs).abs() / theirs.abs().max(1e-8);
            assert!(off <= 1e-5, "{at} is {ours}, theirs {theirs}");
        }
    }
}

#[track_caller]
fn check(case: &str, more: Value) {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let model = scratch.path().join("model");
    python::call("families.make", json!({"name": case, "out": model}));
    let base = json!({
        "max_steps": 200, "logging_steps": 1, "per_device_train_batch_size": 4, "save_strategy": "no",
        "gradient_accumulation_steps": 2, "warmup_steps": 20, "learning_rate": 2e-4, "weight_decay": 0.1,
        "max_grad_norm": 0.7, "eval_strategy": "steps", "eval_steps": 50, "per_device_eval_batch_size": 3,
    });
    let arguments = with(base, &more);
    let theirs = python::call("training.train", given(&model, &arguments));
    let theirs: Vec<Value> = serde_json::from_value(theirs["log"].clone()).expect("a log");
    let run = scratch.path().join("run");
    let ours = ours(&model, &arguments, &run, Resume::No, None);
    same_log(&format!("{case}, {more}"), &ours, &theirs, false);
}

#[test]
fn every_step_of_llama_is_equal() {
    check("llama", json!({}));
}

/// Layers that are run a second time for their gradients, here and there.
#[test]
fn every_step_is_equal_where_activations_are_not_kept() {
    check("llama", json!({"gradient_checkpointing": true}));
    check("gemma2", json!({"gradient_checkpointing": true, "max_steps": 20}));
}

/// Parameters that are left as they are, at the beginning, in the middle and all but the head.
#[test]
fn every_step_is_equal_where_something_is_frozen() {
    let some = json!({"max_steps": 40, "freeze": ["model.embed_tokens", "model.layers.0.mlp"]});
    check("llama", some);
    check("gpt2", json!({"max_steps": 40, "freeze": ["transformer.h.1", "transformer.wpe"]}));
    check("llama", json!({"max_steps": 20, "freeze": ["model."]}));
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
        json!({
            "lr_scheduler_type": "cosine_warmup_with_min_lr",
            "lr_scheduler_kwargs": {"min_lr_rate": 0.1, "warmup_lr_rate": 0.2},
        }),
        // Evaluations that do not get better, so that it acts.
        json!({
            "lr_scheduler_type": "reduce_lr_on_plateau", "lr_scheduler_kwargs": {"patience": 0, "threshold": 10.0},
            "eval_steps": 20, "metric_for_best_model": "loss", "greater_is_better": false,
        }),
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

/// A run of 24 steps that changes hands after 12, from Hugging Face's Trainer to us or from us to it, against the one
/// that stays with them.
#[track_caller]
fn check_hand_over(case: &str, more: Value) {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let model = scratch.path().join("model");
    python::call("families.make", json!({"name": case, "out": model}));
    let base = json!({
        "max_steps": 24, "logging_steps": 1, "per_device_train_batch_size": 4, "save_strategy": "steps",
        "save_steps": 6, "gradient_accumulation_steps": 2, "warmup_steps": 5, "learning_rate": 1e-3,
        "weight_decay": 0.1, "eval_strategy": "steps", "eval_steps": 6, "per_device_eval_batch_size": 3,
        "metric_for_best_model": "loss", "greater_is_better": false,
    });
    let arguments = with(base, &more);
    let whole = python::call("training.train", given(&model, &arguments));
    let log: Vec<Value> = serde_json::from_value(whole["log"].clone()).expect("a log");
    let (theirs, mine) = (scratch.path().join("theirs"), scratch.path().join("ours"));

    let mut first = given(&model, &arguments);
    first["arguments"]["output_dir"] = json!(theirs);
    first["stop"] = 12.into();
    python::call("training.train", first);
    let resume = Resume::From(theirs.join("checkpoint-12"));
    let run = scratch.path().join("taken over");
    // Their entry about the part before is not in the checkpoint.
    let taken_over = ours(&model, &arguments, &run, resume, None);
    same_log(&format!("{case}, {more}, taken over"), &taken_over, &log, false);
    let state = TrainerState::parse(
        &std::fs::read_to_string(run.join("checkpoint-24/trainer_state.json")).expect("a state"),
    )
    .expect("a state");
    let best = state.best_metric.expect("a best metric");
    let of = whole["best"].as_f64().expect("a best metric");
    assert!((best - of).abs() <= 1e-5 * of, "{case}: {best}, theirs {of}");
    assert_eq!(state.best_global_step, whole["best_step"].as_u64(), "{case}");

    let compatible = with(arguments.clone(), &json!({"hf_trainer_compatible": true}));
    ours(&model, &compatible, &mine, Resume::No, Some(12));
    let mut second = given(&model, &arguments);
    second["arguments"]["output_dir"] = json!(scratch.path().join("handed over"));
    second["resume"] = json!(mine.join("checkpoint-12"));
    let handed_over = python::call("training.train", second);
    let entries: Vec<LogEntry> = handed_over["log"]
        .as_array()
        .expect("a log")
        .iter()
        .map(|it| {
            let mut entry = LogEntry::default();
            for (name, value) in it.as_object().expect("an entry") {
                entry.insert(name, value.as_f64().expect("a number"));
            }
            entry
        })
        .collect();
    same_log(&format!("{case}, {more}, handed over"), &entries, &log, true);
    assert_eq!(handed_over["best_step"], whole["best_step"], "{case}");

    // What was written for them is what we go on from, to the bit.
    let straight = scratch.path().join("straight");
    ours(&model, &compatible, &straight, Resume::No, None);
    ours(&model, &compatible, &mine, Resume::Latest, None);
    let names = std::fs::read_dir(straight.join("checkpoint-24")).expect("a checkpoint");
    let names = names.map(|it| it.expect("an entry").file_name().into_string().expect("UTF-8"));
    let weights: Vec<String> = names.filter(|it| it.ends_with(".safetensors")).collect();
    assert_eq!(weights.len(), if arguments.get("freeze").is_some() { 2 } else { 1 }, "{weights:?}");
    for file in ["optimizer.pt", "scheduler.pt", "trainer_state.json"]
        .into_iter()
        .chain(weights.iter().map(String::as_str))
    {
        let bytes = |run: &Path| std::fs::read(run.join("checkpoint-24").join(file)).expect(file);
        let (resumed, whole) = (bytes(&mine), bytes(&straight));
        let is_state = file == "trainer_state.json";
        // The state has the run's own path to the best checkpoint, and times.
        assert!(is_state || resumed == whole, "{case}: {file}");
    }
}

#[test]
fn runs_change_hands() {
    check_hand_over("llama", json!({}));
    check_hand_over("gpt2", json!({"optim": "adamw_torch", "lr_scheduler_type": "cosine"}));
    check_hand_over("qwen3", json!({"lr_scheduler_type": "constant_with_warmup"}));
    check_hand_over("llama", json!({"freeze": ["model.embed_tokens", "model.layers.0"]}));
}

#[test]
fn what_cannot_be_handed_over_is_refused() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let refused = |case: &str, more: Value, message: &str| {
        let model = scratch.path().join(case);
        python::call("families.make", json!({"name": case, "out": model}));
        let arguments = with(json!({"hf_trainer_compatible": true}), &more);
        let args = TrainingArguments::from_json(&arguments.to_string()).expect("arguments");
        let model = AutoModelForCausalLM::from_pretrained(&model, Device::Cpu).expect("a model");
        let examples = dataset(TRAIN);
        let error = CausalLmTask::new(&model, None, &args, &examples, None).err().expect(message);
        assert!(error.to_string().contains(message), "{error}");
    };
    refused("llama", json!({"optim": "sgd"}), "only AdamW");
    refused("mixtral", json!({}), "experts");
}
