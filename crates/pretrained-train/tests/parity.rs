//! The loop against Hugging Face's Trainer, and event files against TensorBoard's own reader.
//!
//! These tests need the Python environment that `cargo xtask test` makes, and say so where it is
//! missing.

use std::{
    collections::BTreeMap,
    env, fs, io,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use pretrained_checkpoint::Checkpoints;
use pretrained_train::{
    Dims, Event, LogEntry, Order, Recorder, Resume, Saved, Stepped, Task, TrainerState,
    TrainingArguments, train,
};
use serde_json::{Map, Value, json};

/// The model of `trainer_parity.py`: one number, and the squared distance to what it is shown.
struct Model {
    w: f64,
    seen: Vec<f64>,
    order: Order,
    args: TrainingArguments,
}

impl Model {
    fn loss(&self, batch: &[f64]) -> f64 {
        batch.iter().map(|x| (self.w - x).powi(2)).sum::<f64>() / batch.len() as f64
    }
}

impl Task for Model {
    type Error = io::Error;

    fn step(&mut self, step: u64, learning_rate: f64) -> io::Result<Stepped> {
        let batches = self.order.micro_batches(step);
        let (mut loss, mut grad) = (0.0, 0.0);
        for batch in &batches {
            let batch: Vec<f64> = batch.iter().map(|it| examples()[*it]).collect();
            loss += self.loss(&batch) / batches.len() as f64;
            let slope = batch.iter().map(|x| 2.0 * (self.w - x)).sum::<f64>() / batch.len() as f64;
            grad += slope / batches.len() as f64;
            self.seen.extend(batch);
        }
        let grad_norm = f64::abs(grad);
        if self.args.max_grad_norm > 0.0 {
            grad *= (self.args.max_grad_norm / (grad_norm + 1e-6)).min(1.0);
        }
        self.w -= learning_rate * grad;
        Ok(Stepped { loss, grad_norm, ..Stepped::default() })
    }

    fn evaluate(&mut self) -> io::Result<BTreeMap<String, f64>> {
        let examples = eval_examples();
        let size = self.args.per_device_eval_batch_size;
        // Theirs leaves out the last batch of an evaluation, too.
        let is_taken = |it: &&[f64]| !self.args.dataloader_drop_last || it.len() == size;
        let batches: Vec<&[f64]> = examples.chunks(size).filter(is_taken).collect();
        let sum: f64 = batches.iter().map(|it| self.loss(it) * it.len() as f64).sum();
        let n = batches.concat().len() as f64;
        Ok(BTreeMap::from([("eval_loss".to_owned(), sum / n)]))
    }

    fn save(&mut self, dir: &Path, _: Saved) -> io::Result<()> {
        fs::write(dir.join("w"), self.w.to_le_bytes())
    }

    fn restore(&mut self, dir: &Path) -> io::Result<()> {
        self.load_model(dir)
    }

    fn load_model(&mut self, dir: &Path) -> io::Result<()> {
        let bytes = fs::read(dir.join("w"))?;
        self.w = f64::from_le_bytes(bytes.try_into().map_err(|_| io::ErrorKind::InvalidData)?);
        Ok(())
    }
}

fn examples() -> Vec<f64> {
    (0..23).map(|i| f64::from(i * i % 17) + 0.25).collect()
}

fn eval_examples() -> Vec<f64> {
    (0..7).map(|i| f64::from(i) - 1.5).collect()
}

/// Arguments under which both are run.
fn runs() -> Vec<Value> {
    let base = json!({
        "per_device_train_batch_size": 3, "learning_rate": 0.05, "optim": "sgd", "logging_steps": 2,
        "per_device_eval_batch_size": 2,
    });
    let more = [
        json!({}),
        json!({"gradient_accumulation_steps": 3, "num_train_epochs": 4.0, "save_steps": 3, "warmup_steps": 2}),
        json!({"gradient_accumulation_steps": 2, "max_steps": 9, "logging_first_step": true, "logging_steps": 4,
               "save_steps": 0.3, "lr_scheduler_type": "cosine", "warmup_steps": 0.2, "max_grad_norm": 0.5}),
        json!({"eval_strategy": "epoch", "save_strategy": "epoch", "logging_strategy": "epoch",
               "num_train_epochs": 2.5, "load_best_model_at_end": true, "save_total_limit": 2}),
        json!({"eval_strategy": "steps", "eval_steps": 4, "save_steps": 8, "load_best_model_at_end": true,
               "save_total_limit": 1, "eval_delay": 5, "dataloader_drop_last": true}),
        json!({"eval_strategy": "steps", "eval_steps": 3, "save_strategy": "best", "metric_for_best_model": "loss",
               "learning_rate": 0.2, "eval_on_start": true, "data_seed": 7}),
        json!({"eval_strategy": "steps", "eval_steps": 2, "early_stopping_patience": 2,
               "early_stopping_threshold": 0.01, "metric_for_best_model": "eval_loss",
               "load_best_model_at_end": true, "save_steps": 2, "learning_rate": 0.4, "save_total_limit": 3,
               "num_train_epochs": 10.0}),
        json!({"eval_strategy": "steps", "eval_steps": 2, "lr_scheduler_type": "reduce_lr_on_plateau",
               "lr_scheduler_kwargs": {"patience": 0, "factor": 0.5, "threshold": 0.1}, "save_strategy": "no"}),
        json!({"train_sampling_strategy": "sequential", "max_steps": 20, "seed": 1, "max_grad_norm": 0.0,
               "lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 5},
               "warmup_steps": 5, "logging_steps": 1, "save_steps": 7}),
    ];
    let with_base = |more: Value| {
        let mut res = base.clone();
        for (name, value) in more.as_object().cloned().unwrap_or_default() {
            res[name] = value;
        }
        res
    };
    more.into_iter().map(with_base).collect()
}

#[test]
fn runs_are_hugging_faces_run_for_run() {
    let requests = runs()
        .into_iter()
        .map(|it| json!({ "train": it, "examples": examples(), "eval_examples": eval_examples() }));
    let Some(answers) = python(&requests.collect::<Vec<_>>()) else { return };
    for (options, theirs) in runs().into_iter().zip(answers) {
        let mut args = TrainingArguments::default();
        for (name, value) in options.as_object().expect("object") {
            args.set_value(name, value).expect("known");
        }
        let dir = tempfile::tempdir().expect("temp dir");
        args.output_dir = dir.path().to_owned();
        let checkpoints = Checkpoints::open(dir.path()).expect("open");
        let order = Order::new(&args, examples().len()).expect("valid");
        let mut model = Model { w: 0.0, seen: Vec::new(), order, args: args.clone() };
        let dims = Dims {
            examples: examples().len(),
            eval_examples: Some(eval_examples().len()),
            ..Dims::default()
        };
        let outcome = train(&mut model, &args, &dims, &checkpoints, Resume::No, |_| ());
        let outcome = outcome.expect("finishes");

        assert_eq!(json!(model.seen), theirs["seen"], "the order of {options}");
        check_same(&json!(model.w), &theirs["w"], &format!("the model of {options}"));
        let ours: Value = serde_json::from_str(&outcome.state.to_json()).expect("JSON");
        check_same(&ours["log_history"], &theirs["log_history"], &format!("the log of {options}"));

        let mut states = Map::new();
        for checkpoint in checkpoints.list().expect("list") {
            let text = fs::read_to_string(checkpoint.path.join(TrainerState::FILE)).expect("read");
            let text = text.replace(&dir.path().display().to_string(), "RUN");
            states.insert(checkpoint.step.to_string(), serde_json::from_str(&text).expect("JSON"));
        }
        // Where theirs removes its newest checkpoint at the end, ours keeps it.
        let mut theirs = theirs["states"].as_object().expect("object").clone();
        if options["save_total_limit"] == 1 && theirs.len() == 1 {
            states.retain(|step, _| theirs.contains_key(step));
        }
        theirs.sort_keys();
        states.sort_keys();
        check_same(&states.into(), &theirs.into(), &format!("the checkpoints of {options}"));
    }
}

/// The same structure and the same numbers, but for what a clock has measured.
#[track_caller]
fn check_same(ours: &Value, theirs: &Value, what: &str) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let names = |it: &Map<String, Value>| {
                let mut names: Vec<String> = it.keys().cloned().collect();
                names.sort();
                names
            };
            assert_eq!(names(a), names(b), "{what}");
            for (name, value) in a {
                let is_timed = name.ends_with("_runtime") || name.ends_with("_per_second");
                // The model of one number has none by their count.
                if !is_timed && name != "total_flos" {
                    check_same(value, &b[name], &format!("{name} in {what}"));
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{what}: {ours} {theirs}");
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                check_same(a, b, &format!("number {i} of {what}"));
            }
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            // Theirs sums losses in 32 bits.
            assert!((a - b).abs() <= 1e-6 * b.abs().max(1e-6), "{what}: {a} {b}");
        }
        _ => assert_eq!(ours, theirs, "{what}"),
    }
}

#[test]
fn tensorboard_reads_the_event_files() {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut args = TrainingArguments { output_dir: dir.path().join("run"), ..Default::default() };
    for (name, value) in [
        ("report_to", "tensorboard"),
        ("logging_steps", "2"),
        ("eval_strategy", "steps"),
        ("save_steps", "4"),
        ("logging_dir", dir.path().join("logs").to_str().expect("text")),
    ] {
        args.set(name, value).expect("known");
    }
    let dims = Dims { examples: 23, eval_examples: Some(7), ..Dims::default() };
    let run = |resume: Resume, stop_at: u64| {
        let checkpoints = Checkpoints::open(&args.output_dir).expect("open");
        let order = Order::new(&args, 23).expect("valid");
        let mut model = Model { w: 0.0, seen: Vec::new(), order, args: args.clone() };
        let mut recorder = Recorder::new(&args, Some("{}".to_owned()));
        let outcome = train(&mut model, &args, &dims, &checkpoints, resume, |event| {
            recorder.observe(event).expect("written");
            match event {
                Event::Stepped(it) if it.step == stop_at => pretrained_train::Action::STOP,
                _ => pretrained_train::Action::CONTINUE,
            }
        });
        outcome.expect("ends").state
    };
    // The second process takes steps 5 and 6 again.
    run(Resume::No, 6);
    let state = run(Resume::Latest, u64::MAX);

    let logs = dir.path().join("logs");
    let Some(answers) = python(&[json!({ "events": logs })]) else { return };
    let read = &answers[0];
    let expected = |name: &str| -> Vec<(u64, f32)> {
        let entries = state.log_history.iter();
        entries.filter_map(|it: &LogEntry| Some((it.step(), it.get(name)? as f32))).collect()
    };
    for (tag, name) in [
        ("train/loss", "loss"),
        ("train/learning_rate", "learning_rate"),
        ("train/grad_norm", "grad_norm"),
        ("eval/loss", "eval_loss"),
        ("train/train_loss", "train_loss"),
    ] {
        let scalars = read["scalars"][tag].as_array().unwrap_or_else(|| panic!("{tag} in {read}"));
        let scalars = scalars
            .iter()
            .map(|it| (it[0].as_u64().expect("step"), it[1].as_f64().expect("number") as f32));
        assert_eq!(scalars.collect::<Vec<_>>(), expected(name), "{tag}");
    }
    assert!(
        read["scalars"].get("train/epoch").is_some()
            && read["scalars"].get("eval/runtime").is_some()
    );
    assert_eq!(read["texts"]["args/text_summary"][0], args.to_json());
    assert_eq!(read["texts"]["model_config/text_summary"][0], "{}");
    assert_eq!(read["plugins"]["args/text_summary"], "text");
}

#[test]
fn a_browser_draws_the_report() {
    let Some(browser) = browser() else { return };
    let dir = tempfile::tempdir().expect("temp dir");
    let args = TrainingArguments {
        output_dir: dir.path().join("run"),
        logging_steps: 2.0,
        eval_strategy: pretrained_train::IntervalStrategy::Steps,
        ..TrainingArguments::default()
    };
    let checkpoints = Checkpoints::open(&args.output_dir).expect("open");
    let order = Order::new(&args, 23).expect("valid");
    let mut model = Model { w: 0.0, seen: Vec::new(), order, args: args.clone() };
    let dims = Dims { examples: 23, eval_examples: Some(7), ..Dims::default() };
    let mut recorder = Recorder::new(&args, None);
    let watcher = |event: &Event<'_>| recorder.observe(event).expect("written");
    let outcome = train(&mut model, &args, &dims, &checkpoints, Resume::No, watcher);
    recorder.finish(&outcome.expect("finishes")).expect("written");

    // A script that is no part of the page measures what was drawn and puts it into the title.
    let report = args.output_dir.join("report.html");
    let html = fs::read_to_string(&report).expect("written");
    let measure = "<script>document.title = [...document.querySelectorAll('path.line')].map(it => \
                   Math.round(it.getTotalLength()) > 0).join() + ' ' + \
                   document.querySelectorAll('figure').length</script></body>";
    let measured = dir.path().join("measured.html");
    fs::write(&measured, html.replace("</body>", measure)).expect("write");
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
        .arg(format!("file://{}", measured.display()))
        .output()
        .expect("the browser starts");
    let dom = String::from_utf8_lossy(&output.stdout);
    let title = dom.split("<title>").nth(1).and_then(|it| it.split("</title>").next());
    // Losses in training and evaluation, learning rate, gradient norm, throughput.
    assert_eq!(title, Some("true,true,true,true,true 4"), "{dom}");
}

/// A browser that is installed.
fn browser() -> Option<std::path::PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let found = env::split_paths(&path)
        .flat_map(|dir| names.map(|name| dir.join(name)))
        .find(|it| it.is_file());
    if found.is_none() {
        eprintln!("not opened: no chromium in PATH");
    }
    found
}

/// The answers of `trainer_parity.py`.
fn python(requests: &[Value]) -> Option<Vec<Value>> {
    let Some(interpreter) = env::var_os("PRETRAINED_PYTHON") else {
        eprintln!("not compared: PRETRAINED_PYTHON is not set, `cargo xtask test` sets it");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/trainer_parity.py");
    let mut child = Command::new(interpreter)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let requests: String = requests.iter().map(|it| format!("{it}\n")).collect();
    child.stdin.take().expect("piped").write_all(requests.as_bytes()).expect("asked");
    let output = child.wait_with_output().expect("answered");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    Some(text.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect())
}
