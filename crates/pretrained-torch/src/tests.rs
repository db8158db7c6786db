mod frozen;

use std::{fs, path::Path};

use pretrained_artifact::SaveOptions;
use pretrained_config::Config;
use pretrained_data::{Example, InMemory};
use pretrained_train::{Optimizer, Progress, Saved, Task, TrainingArguments};
use tch::{Kind, Tensor};

use crate::{
    AutoModelForCausalLM, CausalLmTask, Device, Error, GenerationOptions, KvCache, LoadOptions,
    Stop, evaluate, generate,
};

const LLAMA: &str = r#"{"model_type": "llama", "vocab_size": 48, "hidden_size": 16,
    "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 32, "attention_dropout": 0.1}"#;

const GPT2: &str = r#"{"model_type": "gpt2", "vocab_size": 48, "n_positions": 32, "n_embd": 16,
    "n_layer": 2, "n_head": 4}"#;

fn model(json: &str) -> AutoModelForCausalLM {
    let config = Config::parse(json).expect("a configuration");
    AutoModelForCausalLM::from_config(config, 7, Device::Cpu).expect("a model")
}

fn prompt(t: i64) -> Tensor {
    (Tensor::arange(t, (Kind::Int64, tch::Device::Cpu)) * 5).remainder(48).view([1, t])
}

fn logits(model: &AutoModelForCausalLM) -> Tensor {
    model.forward(&prompt(9), &mut KvCache::default()).expect("logits")
}

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a file")
}

fn check_round_trip(json: &str, options: &SaveOptions) {
    let dir = tempfile::tempdir().expect("a directory");
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let saved = model(json);
    saved.save_pretrained_with(&a, options).expect("a saved model");
    let loaded = AutoModelForCausalLM::from_pretrained(&a, Device::Cpu).expect("a loaded model");
    assert!(loaded.load_report().is_exact(), "{}", loaded.load_report());
    assert_eq!(logits(&saved), logits(&loaded));

    loaded.save_pretrained_with(&b, options).expect("a saved model");
    for entry in fs::read_dir(&a).expect("a directory") {
        let name = entry.expect("an entry").file_name();
        assert!(bytes(&a.join(&name)) == bytes(&b.join(&name)), "{name:?}");
    }
}

#[test]
fn llama_comes_back_as_it_was_saved() {
    check_round_trip(LLAMA, &SaveOptions::default());
}

#[test]
fn gpt2_comes_back_as_it_was_saved() {
    check_round_trip(GPT2, &SaveOptions::default());
}

#[test]
fn shards_come_back_as_they_were_saved() {
    let options = SaveOptions { max_shard_size: 2000, ..SaveOptions::default() };
    check_round_trip(LLAMA, &options);
    check_round_trip(GPT2, &options);
}

#[test]
fn a_model_can_be_saved_over_the_files_it_is_mapped_from() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = model(LLAMA);
    first.save_pretrained(dir.path()).expect("a saved model");
    let mapped = AutoModelForCausalLM::from_pretrained(dir.path(), Device::Cpu).expect("a model");
    mapped.save_pretrained(dir.path()).expect("a saved model");
    assert_eq!(logits(&first), logits(&mapped));
}

#[test]
fn dtypes_are_converted_when_asked() {
    let dir = tempfile::tempdir().expect("a directory");
    model(LLAMA).save_pretrained(dir.path()).expect("a saved model");
    for kind in [Kind::BFloat16, Kind::Half, Kind::Float] {
        let options = LoadOptions { dtype: Some(kind), ..LoadOptions::default() };
        let loaded = AutoModelForCausalLM::from_pretrained_with(dir.path(), &options);
        let loaded = loaded.expect("a model");
        assert_eq!(loaded.kind(), kind);
        assert_eq!(logits(&loaded).kind(), kind);
    }
}

fn check_step_by_step(json: &str) {
    let model = model(json);
    let whole = logits(&model);
    let mut cache = KvCache::remembering();
    let tokens = prompt(9);
    // Prefill of several, then one at a time, then several at once.
    for (from, n) in [(0, 4), (4, 1), (5, 1), (6, 3)] {
        let part = model.forward(&tokens.narrow(1, from, n), &mut cache).expect("logits");
        let delta = (whole.narrow(1, from, n) - part).abs().max().double_value(&[]);
        assert!(delta < 1e-5, "{from}: {delta}");
    }
    assert_eq!(cache.len(), 9);
}

#[test]
fn step_by_step_equals_all_at_once() {
    check_step_by_step(LLAMA);
    check_step_by_step(GPT2);
}

fn check_left_padding(json: &str) {
    let model = model(json);
    let whole = logits(&model);
    let padded =
        Tensor::cat(&[Tensor::zeros([1, 3], (Kind::Int64, tch::Device::Cpu)), prompt(9)], 1);
    let other = Tensor::ones([1, 12], (Kind::Int64, tch::Device::Cpu));
    let mut cache = KvCache::left_padded(&[3, 0], Device::Cpu);
    let both = model.forward(&Tensor::cat(&[padded, other], 0), &mut cache).expect("logits");
    let delta = (whole - both.narrow(0, 0, 1).narrow(1, 3, 9)).abs().max().double_value(&[]);
    assert!(delta < 1e-5, "{delta}");
}

#[test]
fn left_padding_changes_nothing() {
    check_left_padding(LLAMA);
    check_left_padding(GPT2);
}

#[test]
fn greedy_text_is_the_most_likely_token_each_time() {
    let model = model(LLAMA);
    let options = GenerationOptions { max_new_tokens: Some(6), ..GenerationOptions::default() };
    let generated = generate(&model, &[1, 2, 3], &options).expect("a generation");
    let generated: Vec<u32> = generated.collect::<Result<_, _>>().expect("tokens");

    let mut tokens = vec![1, 2, 3];
    for _ in 0..6 {
        let input = Tensor::from_slice(&tokens).view([1, -1]);
        let logits = model.forward(&input, &mut KvCache::default()).expect("logits");
        tokens.push(logits.select(1, -1).argmax(-1, false).int64_value(&[0]));
    }
    assert_eq!(generated, tokens[3..].iter().map(|&it| it as u32).collect::<Vec<u32>>());
}

#[test]
fn the_same_seed_draws_the_same_text() {
    let model = model(GPT2);
    let draw = |seed| {
        let max_new_tokens = Some(12);
        let options =
            GenerationOptions { do_sample: true, max_new_tokens, seed, ..Default::default() };
        let generation = generate(&model, &[5], &options).expect("a generation");
        generation.collect::<Result<Vec<u32>, _>>().expect("tokens")
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn generation_stops_where_the_positions_end() {
    let model = model(GPT2);
    let options = GenerationOptions { max_new_tokens: Some(100), ..Default::default() };
    let mut generation = generate(&model, &[1; 30], &options).expect("a generation");
    assert_eq!(generation.by_ref().count(), 3);
    assert_eq!(generation.stop(), Some(Stop::Positions));
}

fn check_refused(prompt: &[u32], message: &str) {
    let model = model(GPT2);
    let error = generate(&model, prompt, &GenerationOptions::default()).expect_err("an error");
    assert_eq!(error.to_string(), message);
    assert_eq!(logits(&model).size(), [1, 9, 48], "the model can be used again");
}

#[test]
fn prompts_that_cannot_be_continued_are_errors() {
    check_refused(&[], "the prompt is empty: give at least one token");
    check_refused(&[1, 48], "token id 48 at position 1 is outside the vocabulary of 48");
    check_refused(&[1; 33], "33 tokens do not fit into the model's 32 positions");
}

#[test]
fn tokens_outside_the_vocabulary_are_errors() {
    let model = model(LLAMA);
    let tokens = Tensor::from_slice(&[3i64, -1]).view([1, 2]);
    let error = model.forward(&tokens, &mut KvCache::default()).expect_err("an error");
    assert!(matches!(error, Error::TokenId { id: -1, position: 1, .. }), "{error}");
}

#[test]
fn a_configuration_that_nothing_has_room_for_is_an_error() {
    let json = LLAMA.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000000000");
    let refused = |json: &str| {
        let config = Config::parse(json).expect("a document");
        AutoModelForCausalLM::from_config(config, 0, Device::Cpu).expect_err("an error").to_string()
    };
    let error = refused(&json);
    assert!(error.contains("1000000000") || error.contains("no network"), "{error}");
    let json = LLAMA
        .replace("\"hidden_size\": 16", "\"hidden_size\": 1048576")
        .replace("\"vocab_size\": 48", "\"vocab_size\": 1048576");
    let error = refused(&json);
    assert!(error.contains("parameters"), "{error}");
}

#[test]
fn weights_that_do_not_fit_are_errors_that_name_them() {
    let dir = tempfile::tempdir().expect("a directory");
    model(LLAMA).save_pretrained(dir.path()).expect("a saved model");
    let config = dir.path().join("config.json");
    let json = fs::read_to_string(&config).expect("a configuration");

    let wider = json.replace("\"intermediate_size\": 24", "\"intermediate_size\": 25");
    assert_ne!(wider, json);
    fs::write(&config, wider).expect("a written file");
    let error = AutoModelForCausalLM::from_pretrained(dir.path(), Device::Cpu).expect_err("wider");
    let expected =
        "model.layers.0.mlp.gate_proj.weight is [24, 16], the configuration asks for [25, 16]";
    assert!(error.to_string().contains(expected), "{error}");

    let deeper = json.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    fs::write(&config, deeper).expect("a written file");
    let error = AutoModelForCausalLM::from_pretrained(dir.path(), Device::Cpu).expect_err("deeper");
    let expected = "the weights lack: model.layers.2.self_attn.q_proj.weight";
    assert!(error.to_string().contains(expected), "{error}");
    let options = LoadOptions { strict: false, ..LoadOptions::default() };
    let lenient = AutoModelForCausalLM::from_pretrained_with(dir.path(), &options);
    assert_eq!(lenient.expect("a model").load_report().missing.len(), 9);

    let shallower = json.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
    fs::write(&config, shallower).expect("a written file");
    let error = AutoModelForCausalLM::from_pretrained(dir.path(), Device::Cpu).expect_err("less");
    assert!(error.to_string().contains("the model has no use for: model.layers.1."), "{error}");
}

#[test]
fn a_file_that_only_the_reference_lets_pass_is_loaded_on_request() {
    let dir = tempfile::tempdir().expect("a directory");
    let saved = model(LLAMA);
    saved.save_pretrained(dir.path()).expect("a saved model");
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).expect("read");
    let len = u64::from_le_bytes(*bytes.first_chunk().expect("a length"));
    // One space more, and no tensor is where its elements are aligned.
    let odd =
        [&(len + 1).to_le_bytes(), &bytes[8..8 + len as usize], b" ", &bytes[8 + len as usize..]];
    fs::write(&path, odd.concat()).expect("written");
    let error = AutoModelForCausalLM::from_pretrained(dir.path(), Device::Cpu).expect_err("odd");
    assert!(error.to_string().contains("Strictness::Compat"), "{error}");
    let file_strictness = pretrained_artifact::Strictness::Compat;
    let options = LoadOptions { file_strictness, ..LoadOptions::default() };
    let loaded = AutoModelForCausalLM::from_pretrained_with(dir.path(), &options).expect("loads");
    assert_eq!(logits(&saved), logits(&loaded));
}

fn examples() -> InMemory {
    let example = |i: u32| Example {
        input_ids: (0..10 + i % 3).map(|j| (i * 7 + j * j) % 48).collect::<Vec<u32>>().into(),
        labels: None,
    };
    InMemory((0..11).map(example).collect())
}

fn arguments() -> TrainingArguments {
    TrainingArguments {
        per_device_train_batch_size: 2,
        gradient_accumulation_steps: 2,
        weight_decay: 0.1,
        ..TrainingArguments::default()
    }
}

/// Trains five steps, killed and resumed after `killed` of them; the files of the last checkpoint.
fn train(json: &str, args: &TrainingArguments, killed: Option<u64>) -> Vec<(String, Vec<u8>)> {
    let dir = tempfile::tempdir().expect("a directory");
    let (start, between, end) =
        (dir.path().join("start"), dir.path().join("between"), dir.path().join("end"));
    model(json).save_pretrained(&start).expect("a saved model");
    let data = examples();
    let run = |from: &Path, restore: bool, steps: std::ops::Range<u64>, to: &Path| {
        let model = AutoModelForCausalLM::from_pretrained(from, Device::Cpu).expect("a model");
        let mut task = CausalLmTask::new(&model, None, args, &data, None).expect("a task");
        if restore {
            task.restore(from).expect("a restored state");
        }
        for step in steps {
            let stepped = task.step(step, 1e-2).expect("a step");
            assert!(stepped.loss.is_finite() && stepped.grad_norm > 0.0, "{stepped:?}");
        }
        fs::create_dir(to).expect("a directory");
        task.save(to, Saved::Full(Progress::default())).expect("a checkpoint");
    };
    match killed {
        Some(step) => {
            run(&start, false, 0..step, &between);
            run(&between, true, step..5, &end);
        }
        None => run(&start, false, 0..5, &end),
    }
    ["config.json", "model.safetensors", "optimizer.safetensors"]
        .map(|name| (name.to_owned(), bytes(&end.join(name))))
        .into()
}

fn check_resume(json: &str, args: &TrainingArguments) {
    let unbroken = train(json, args, None);
    for step in 0..5 {
        // Not `assert_eq`, which would print the files.
        assert!(train(json, args, Some(step)) == unbroken, "killed after {step} steps");
    }
}

#[test]
fn killed_at_any_step_and_resumed_equals_unbroken() {
    check_resume(LLAMA, &arguments());
    check_resume(GPT2, &arguments());
}

#[test]
fn killed_and_resumed_equals_unbroken_with_every_optimizer() {
    for optim in [Optimizer::Adafactor, Optimizer::Sgd, Optimizer::Lion] {
        let optim_args = (optim == Optimizer::Sgd).then(|| "momentum=0.9".to_owned());
        check_resume(GPT2, &TrainingArguments { optim, optim_args, ..arguments() });
    }
}

#[test]
fn killed_and_resumed_equals_unbroken_in_bfloat16() {
    check_resume(LLAMA, &TrainingArguments { bf16: true, ..arguments() });
    assert!(
        train(LLAMA, &TrainingArguments { bf16: true, ..arguments() }, None)
            != train(LLAMA, &arguments(), None),
        "bf16 makes a difference"
    );
}

#[test]
fn case_42_a_snapshot_is_what_was_and_not_what_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let (model, data, args) = (model(GPT2), examples(), arguments());
    let mut task = CausalLmTask::new(&model, None, &args, &data, None).expect("a task");
    let names = ["config.json", "model.safetensors", "optimizer.safetensors"];
    let full = Saved::Full(Progress::default());
    for step in 0..3 {
        let [now, then] = ["now", "then"].map(|it| dir.path().join(format!("{it}-{step}")));
        fs::create_dir(&now).and_then(|()| fs::create_dir(&then)).expect("directories");
        task.save(&now, full).expect("a checkpoint");
        let snapshot = task.snapshot(full).expect("a snapshot").expect("it is supported");
        task.step(step, 1e-2).expect("a step");
        std::thread::spawn(move || snapshot(&then).map(|()| then))
            .join()
            .expect("no panic")
            .map(|then| {
                for name in names {
                    assert!(bytes(&now.join(name)) == bytes(&then.join(name)), "{name}");
                }
            })
            .expect("a checkpoint");
    }
}

#[test]
fn training_lowers_the_loss() {
    let (model, data, args) = (model(GPT2), examples(), arguments());
    let before = evaluate(&model, &data, 4, |_| {}).expect("an evaluation");
    let mut task = CausalLmTask::new(&model, None, &args, &data, Some(&data)).expect("a task");
    for step in 0..40 {
        task.step(step, 1e-2).expect("a step");
    }
    assert!(task.evaluate().expect("an evaluation")["eval_loss"] < before.loss);
    drop(task);
    let after = evaluate(&model, &data, 4, |_| {}).expect("an evaluation");
    assert!(after.loss < 0.8 * before.loss, "{before:?} {after:?}");
}

#[test]
fn an_evaluation_has_the_perplexity_and_metrics_of_ones_own() {
    let (model, data, args) = (model(GPT2), examples(), arguments());
    let task = || CausalLmTask::new(&model, None, &args, &data, Some(&data)).expect("a task");
    let mut calls = 0.0;
    let mut counted = task().with_metrics(|_, data| {
        calls += 1.0;
        let metrics = [("calls", calls), ("eval_examples", data.len() as f64), ("loss", -1.0)];
        Ok(metrics.map(|(name, it)| (name.to_owned(), it)).into())
    });
    counted.evaluate().expect("an evaluation");
    let metrics = counted.evaluate().expect("an evaluation");
    let names: Vec<&str> = metrics.keys().map(String::as_str).collect();
    assert_eq!(names, ["eval_calls", "eval_examples", "eval_loss", "eval_perplexity"]);
    assert_eq!((metrics["eval_calls"], metrics["eval_examples"]), (2.0, data.0.len() as f64));
    assert!(metrics["eval_loss"] > 0.0, "{metrics:?}");
    assert_eq!(metrics["eval_perplexity"], metrics["eval_loss"].exp());
    drop(counted);

    let mut failing = task().with_metrics(|_, _| Err(Error::Metric("no scorer".into())));
    let error = failing.evaluate().expect_err("an error");
    let said = pretrained_fs::with_causes(&error);
    assert_eq!(said, "a metric of the evaluation could not be computed: no scorer");
}

#[test]
fn data_with_ids_outside_the_vocabulary_is_an_error() {
    let model = model(GPT2);
    let data = InMemory(vec![Example { input_ids: vec![1, 99].into(), labels: None }]);
    let mut task = CausalLmTask::new(&model, None, &arguments(), &data, None).expect("a task");
    let error = task.step(0, 1e-3).expect_err("an error").to_string();
    assert_eq!(error, "token id 99 at position 1 is outside the vocabulary of 48");
}
