//! Parameters that training leaves as they are.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::Path};

use pretrained_train::{Progress, Saved, Task, TrainingArguments};

use super::{GPT2, LLAMA, arguments, examples, model};
use crate::{AutoModelForCausalLM, CausalLmTask, Device, Error};

const FULL: fn() -> Saved = || Saved::Full(Progress::default());

/// Every file of a directory.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("a directory").map(|it| it.expect("an entry").path());
    let named = |path: std::path::PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, fs::read(path).expect("a file"))
    };
    entries.map(named).collect()
}

/// Files of both directories that are one file.
fn shared(a: &Path, b: &Path) -> Vec<String> {
    let inode = |dir: &Path, name: &str| fs::metadata(dir.join(name)).expect("a file").ino();
    files(a).into_keys().filter(|it| inode(a, it) == inode(b, it)).collect()
}

#[test]
fn what_is_frozen_stays_and_is_written_once() {
    let scratch = tempfile::tempdir().expect("a directory");
    let dir = |name: &str| {
        let dir = scratch.path().join(name);
        fs::create_dir(&dir).expect("a directory");
        dir
    };
    let (mut model, data, args) = (model(GPT2), examples(), arguments());
    model.freeze(|name| name.starts_with("transformer.h.0") || name.contains("wte"));
    assert_eq!(model.frozen_parts(), ["transformer.wte", "transformer.h.0"]);
    let values = || model.params().iter().map(|(name, it)| (name.clone(), it.copy()));
    let before: BTreeMap<_, _> = values().collect();

    let mut task = CausalLmTask::new(&model, None, &args, &data, None).expect("a task");
    let (first, second, third, fourth) = (dir("1"), dir("2"), dir("3"), dir("4"));
    task.save(&first, FULL()).expect("a checkpoint");
    task.step(0, 1e-2).expect("a step");
    for (name, after) in values() {
        assert_eq!(after == before[&name], model.frozen().contains(&name), "{name}");
    }
    // Behind the steps, and in line.
    task.snapshot(FULL()).expect("a snapshot").expect("it is supported")(&second)
        .expect("a checkpoint");
    task.save(&third, FULL()).expect("a checkpoint");
    let names: Vec<String> = files(&first).into_keys().collect();
    let unchanged: Vec<String> = names
        .iter()
        .filter(|it| !it.contains("00002-of") && !it.starts_with("opt"))
        .cloned()
        .collect();
    assert!(unchanged.len() == 4 && names.len() == 6, "{names:?}");
    // What one of them loses, the next still has.
    assert_eq!(shared(&first, &second), Vec::<String>::new());
    assert_eq!(shared(&second, &third), Vec::<String>::new());
    assert_eq!(shared(&first, &third), unchanged);
    let loaded = AutoModelForCausalLM::from_pretrained(&second, Device::Cpu).expect("a model");
    assert!(values().all(|(name, it)| loaded.params()[&name] == it));

    // Weights that are loaded are others, for all that is known.
    task.restore(&third).expect("restored");
    task.save(&fourth, FULL()).expect("a checkpoint");
    assert_eq!(shared(&second, &fourth), Vec::<String>::new());
    assert!(files(&third) == files(&fourth));

    // So are those that somebody changes: before a snapshot, and not after it.
    let change = || {
        let _guard = tch::no_grad_guard();
        let _ = model.params()["transformer.wte.weight"].shallow_clone().g_add_scalar_(1.0);
    };
    let (before, after) = (dir("5"), dir("6"));
    change();
    let snapshot = task.snapshot(FULL()).expect("a snapshot").expect("it is supported");
    change();
    snapshot(&before).expect("a checkpoint");
    task.save(&after, FULL()).expect("a checkpoint");
    drop(task);
    let wte = |dir: &Path| {
        let loaded = AutoModelForCausalLM::from_pretrained(dir, Device::Cpu).expect("a model");
        loaded.params()["transformer.wte.weight"].shallow_clone()
    };
    assert_eq!(wte(&before), wte(&third) + 1.0);
    assert_eq!(wte(&after), wte(&third) + 1.0 + 1.0);
    assert!(!model.params().values().any(|it| it.requires_grad()));
}

/// The last of six steps, all files of it, resumed after `killed`.
fn train(
    json: &str,
    args: &TrainingArguments,
    frozen: &[&str],
    killed: Option<u64>,
) -> (f64, BTreeMap<String, Vec<u8>>) {
    let scratch = tempfile::tempdir().expect("a directory");
    let (between, end) = (scratch.path().join("between"), scratch.path().join("end"));
    let start = scratch.path().join("start");
    model(json).save_pretrained(&start).expect("a saved model");
    let data = examples();
    let run = |from: &Path, steps: std::ops::Range<u64>, to: &Path| {
        let mut model = AutoModelForCausalLM::from_pretrained(from, Device::Cpu).expect("a model");
        model.freeze(|name| frozen.iter().any(|it| name.starts_with(it)));
        let mut task = CausalLmTask::new(&model, None, args, &data, None).expect("a task");
        if from == between {
            task.restore(from).expect("a restored state");
        }
        let mut loss = 0.0;
        for step in steps {
            loss = task.step(step, 1e-2).expect("a step").loss;
        }
        fs::create_dir(to).expect("a directory");
        task.save(to, FULL()).expect("a checkpoint");
        loss
    };
    let loss = match killed {
        Some(step) => {
            run(&start, 0..step, &between);
            run(&between, step..6, &end)
        }
        None => run(&start, 0..6, &end),
    };
    (loss, files(&end))
}

/// The beginning, the middle, the end, and all but the head.
const PARTS: [&[&str]; 4] = [
    &["model.embed_tokens", "model.layers.0."],
    &["model.layers.0.mlp", "model.norm"],
    &["lm_head"],
    &["model."],
];

#[test]
fn killed_and_resumed_equals_unbroken() {
    for frozen in PARTS {
        let args = arguments();
        assert!(
            train(LLAMA, &args, frozen, Some(3)) == train(LLAMA, &args, frozen, None),
            "{frozen:?}"
        );
    }
}

#[test]
fn layers_that_are_run_again_have_the_same_gradients() {
    // Where something is dropped, it is something else.
    let json = LLAMA.replace("\"attention_dropout\": 0.1", "\"attention_dropout\": 0.0");
    for frozen in PARTS {
        let again = TrainingArguments { activation_checkpointing: true, ..arguments() };
        let (ours, theirs) =
            (train(&json, &again, frozen, None).0, train(&json, &arguments(), frozen, None).0);
        assert!((ours - theirs).abs() < 1e-5 * theirs, "{frozen:?}: {ours}, {theirs}");
    }
}

#[test]
fn something_has_to_be_trained() {
    let (mut model, data) = (model(GPT2), examples());
    model.freeze(|_| true);
    let task = CausalLmTask::new(&model, None, &arguments(), &data, None);
    assert!(matches!(task.err(), Some(Error::AllFrozen)));
    assert_eq!(model.frozen().len(), model.param_names().len());
}
