//! What happens when, in a run that is not interrupted.

use std::{cell::RefCell, error::Error as _, fs, sync::atomic::Ordering};

use super::toy::{Crash, Toy, args, dims, log, run, scratch, steps_on_disk, watch};
use crate::{Action, Ended, Error, Event, Resume, TrainerState, train};

/// What a run did: `L3` logged, `E3` evaluated, `S3` saved after three steps.
#[track_caller]
fn check_events(options: &[(&str, &str)], script: &[f64], expected: &str, kept: &[u64]) {
    let dir = scratch();
    let mut toy = Toy { script: script.to_vec(), ..Toy::default() };
    let mut events = Vec::new();
    let watcher = |event: &Event<'_>| {
        match event {
            Event::Logged(it) if it.get("loss").is_some() => events.push(format!("L{}", it.step())),
            Event::Evaluated(_) => events.push("E".to_owned()),
            Event::Saved { checkpoint, .. } => events.push(format!("S{}", checkpoint.step)),
            _ => {}
        }
        Action::CONTINUE
    };
    watch(dir.path(), &mut toy, &args(options), Resume::No, watcher).expect("finishes");
    assert_eq!(events.join(" "), expected);
    assert_eq!(steps_on_disk(dir.path()), kept);
}

#[test]
fn log_evaluate_save_in_this_order() {
    check_events(&[], &[], "L2 L4 L6 L8 S9", &[9]);
    check_events(
        &[("eval_strategy", "steps"), ("save_steps", "4")],
        &[],
        "L2 E L4 E S4 L6 E L8 E S8 E S9",
        &[4, 8, 9],
    );
    check_events(
        &[("eval_strategy", "epoch"), ("save_strategy", "epoch"), ("logging_strategy", "epoch")],
        &[],
        "L3 E S3 L6 E S6 L9 E S9",
        &[3, 6, 9],
    );
    check_events(&[("save_strategy", "no"), ("logging_strategy", "no")], &[], "", &[]);
    // Ratios of the nine steps, rounded up.
    check_events(
        &[("save_steps", "0.3"), ("logging_steps", "0.5")],
        &[],
        "S3 L5 S6 S9",
        &[3, 6, 9],
    );
    check_events(
        &[("logging_first_step", "true"), ("logging_steps", "4"), ("save_strategy", "no")],
        &[],
        "L1 L4 L8",
        &[],
    );
    check_events(
        &[
            ("eval_strategy", "steps"),
            ("eval_delay", "5"),
            ("save_strategy", "no"),
            ("eval_on_start", "1"),
        ],
        &[],
        "E L2 L4 L6 E L8 E E",
        &[],
    );
    // The run ends in the middle of an epoch, which ends it.
    check_events(
        &[("max_steps", "4"), ("save_strategy", "epoch"), ("logging_strategy", "epoch")],
        &[],
        "L3 S3 L4 S4",
        &[3, 4],
    );
    check_events(&[("num_train_epochs", "1.5"), ("save_strategy", "no")], &[], "L2 L4", &[]);
}

#[test]
fn rotation_keeps_the_newest_and_the_best() {
    let every_step = [
        ("save_steps", "1"),
        ("eval_strategy", "steps"),
        ("eval_steps", "1"),
        ("logging_strategy", "no"),
    ];
    let losses = [5.0, 4.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0];
    let kept = |options: &[(&str, &str)]| {
        let dir = scratch();
        let mut toy = Toy { script: losses.to_vec(), ..Toy::default() };
        let options = [&every_step, options].concat();
        run(dir.path(), &mut toy, &args(&options), Resume::No).expect("finishes");
        steps_on_disk(dir.path())
    };
    let best = ("metric_for_best_model", "loss");
    assert_eq!(kept(&[("save_total_limit", "2")]), [8, 9]);
    assert_eq!(kept(&[("save_total_limit", "2"), best]), [3, 9]);
    assert_eq!(kept(&[("save_total_limit", "3"), best]), [3, 8, 9]);
    assert_eq!(kept(&[("save_total_limit", "1"), best]), [3, 9]);
    assert_eq!(kept(&[("save_total_limit", "0"), best]).len(), 9);
    assert_eq!(kept(&[("save_total_limit", "1"), best, ("save_best_limit", "3")]), [3, 4, 5, 9]);
    assert_eq!(kept(&[("save_total_limit", "1"), ("save_keep_every", "4")]), [4, 8, 9]);
}

#[test]
fn saves_what_is_best() {
    let options = [
        ("save_strategy", "best"),
        ("metric_for_best_model", "loss"),
        ("eval_strategy", "steps"),
        ("eval_steps", "1"),
        ("logging_strategy", "no"),
    ];
    let nan = f64::NAN;
    let losses = [nan, 5.0, 5.0, nan, 4.0, 6.0, 3.0, 3.0, f64::INFINITY];
    check_events(&options, &losses, "E E S2 E E E S5 E E S7 E E", &[2, 5, 7]);
}

#[test]
fn loads_the_best_weights_at_the_end() {
    let dir = scratch();
    let mut toy = Toy { script: vec![3.0, 1.0, 2.0], ..Toy::default() };
    let args = args(&[
        ("load_best_model_at_end", "true"),
        ("eval_strategy", "epoch"),
        ("save_strategy", "epoch"),
    ]);
    let outcome = run(dir.path(), &mut toy, &args, Resume::No).expect("finishes");
    let best = dir.path().join("checkpoint-6");
    let saved = fs::read(best.join("state")).expect("saved");
    assert_eq!(toy.x.to_le_bytes(), saved[..8]);
    assert_eq!(outcome.state.best_model_checkpoint.as_deref(), best.to_str());
    assert_eq!((outcome.state.best_metric, outcome.state.best_global_step), (Some(1.0), Some(6)));
}

#[test]
fn stops_when_nothing_gets_better() {
    let dir = scratch();
    let mut toy = Toy { script: vec![3.0, 2.0, 2.5, 1.95, 1.0], ..Toy::default() };
    let args = args(&[
        ("eval_strategy", "steps"),
        ("eval_steps", "1"),
        ("early_stopping_patience", "2"),
        ("early_stopping_threshold", "0.1"),
    ]);
    let outcome = run(dir.path(), &mut toy, &args, Resume::No).expect("finishes");
    assert_eq!((outcome.ended, outcome.state.global_step), (Ended::EarlyStopping, 4));
    assert_eq!(outcome.state.best_metric, Some(1.95));
}

#[test]
fn the_log_is_hugging_faces() {
    let dir = scratch();
    let args = args(&[
        ("eval_strategy", "steps"),
        ("eval_steps", "3"),
        ("save_steps", "3"),
        ("warmup_steps", "2"),
        ("include_num_input_tokens_seen", "non_padding"),
    ]);
    let outcome = run(dir.path(), &mut Toy::default(), &args, Resume::No).expect("finishes");
    let names =
        |i: usize| -> Vec<&str> { outcome.state.log_history[i].numbers().map(|it| it.0).collect() };
    assert_eq!(
        names(0),
        [
            "epoch",
            "grad_norm",
            "learning_rate",
            "loss",
            "num_input_tokens_seen",
            "step",
            "train_runtime",
            "train_tokens_per_second"
        ]
    );
    assert_eq!(
        names(1),
        [
            "epoch",
            "eval_loss",
            "eval_runtime",
            "eval_samples_per_second",
            "eval_steps_per_second",
            "eval_x",
            "num_input_tokens_seen",
            "step"
        ]
    );
    assert_eq!(
        names(7),
        [
            "epoch",
            "num_input_tokens_seen",
            "step",
            "total_flos",
            "train_loss",
            "train_runtime",
            "train_samples_per_second",
            "train_steps_per_second"
        ]
    );
    let first = &outcome.state.log_history[0];
    // The rate is the one that the step used: the first step of a warmup is at zero.
    assert_eq!((first.get("learning_rate"), first.get("epoch")), (Some(0.05), Some(2.0 / 3.0)));
    assert_eq!(first.get("num_input_tokens_seen"), Some(19.0));

    let saved = fs::read_to_string(dir.path().join("checkpoint-6/trainer_state.json"));
    let saved = TrainerState::parse(&saved.expect("saved")).expect("valid");
    assert_eq!((saved.global_step, saved.epoch, saved.max_steps), (6, 2.0, 9));
    assert_eq!((saved.train_batch_size, saved.num_train_epochs), (Some(2), 3));
    assert_eq!(saved.log_history[..], outcome.state.log_history[..saved.log_history.len()]);
    assert_eq!(saved.total_flos, 360.0);
}

#[test]
fn a_loss_that_is_not_a_number_is_left_out() {
    #[derive(Default)]
    struct Nan(Toy);
    impl crate::Task for Nan {
        type Error = std::io::Error;
        fn step(&mut self, step: u64, _: f64) -> std::io::Result<crate::Stepped> {
            let loss = if step == 1 { f64::NAN } else { 4.0 };
            Ok(crate::Stepped { loss, ..crate::Stepped::default() })
        }
        fn evaluate(&mut self) -> std::io::Result<std::collections::BTreeMap<String, f64>> {
            self.0.evaluate()
        }
        fn save(&mut self, dir: &std::path::Path, what: crate::Saved) -> std::io::Result<()> {
            self.0.save(dir, what)
        }
        fn restore(&mut self, dir: &std::path::Path) -> std::io::Result<()> {
            self.0.restore(dir)
        }
        fn load_model(&mut self, dir: &std::path::Path) -> std::io::Result<()> {
            self.0.load_model(dir)
        }
    }
    let losses = |filter: &str| {
        let dir = scratch();
        let checkpoints = pretrained_checkpoint::Checkpoints::open(dir.path()).expect("open");
        let args = args(&[
            ("logging_nan_inf_filter", filter),
            ("save_strategy", "no"),
            ("max_steps", "2"),
        ]);
        let outcome = train(&mut Nan::default(), &args, &dims(), &checkpoints, Resume::No, |_| ());
        outcome.expect("finishes").state.log_history[0].get("loss")
    };
    assert_eq!(losses("true"), Some(3.0));
    assert!(losses("false").is_some_and(f64::is_nan));
}

#[test]
fn a_missing_metric_is_named() {
    let dir = scratch();
    let args = args(&[("eval_strategy", "epoch"), ("metric_for_best_model", "f1")]);
    let error = run(dir.path(), &mut Toy::default(), &args, Resume::No).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "metric_for_best_model: no eval_f1 among the metrics epoch, eval_loss, eval_runtime, \
         eval_samples_per_second, eval_steps_per_second, eval_x, step"
            .replace("epoch, ", "")
            .replace(", step", "")
    );
}

#[test]
fn evaluation_needs_data() {
    let dir = scratch();
    let checkpoints = pretrained_checkpoint::Checkpoints::open(dir.path()).expect("open");
    let dims = crate::Dims { eval_examples: None, ..dims() };
    let args = args(&[("eval_strategy", "epoch")]);
    let error = train(&mut Toy::default(), &args, &dims, &checkpoints, Resume::No, |_| ());
    assert_eq!(error.expect_err("refused").to_string(), "eval_strategy: needs data to evaluate on");
}

#[test]
fn the_watcher_can_ask_for_things() {
    let dir = scratch();
    let events = RefCell::new(Vec::new());
    let outcome =
        watch(dir.path(), &mut Toy::default(), &args(&[]), Resume::No, |event| match event {
            Event::Stepped(it) if it.step == 3 => {
                Action { log: true, evaluate: true, save: true, ..Action::CONTINUE }
            }
            Event::Stepped(it) if it.step == 5 => Action::STOP,
            Event::Saved { checkpoint, .. } => {
                events.borrow_mut().push(checkpoint.step);
                Action::CONTINUE
            }
            _ => Action::CONTINUE,
        });
    let outcome = outcome.expect("stops");
    assert_eq!((outcome.ended, outcome.state.global_step), (Ended::Stopped, 5));
    assert_eq!(events.into_inner(), [3]);
    let logged = log(&outcome.state);
    assert!(logged[1].contains("loss=") && logged[1].contains("step=3"), "{logged:?}");
    assert!(logged[2].contains("eval_loss=") && logged[2].contains("step=3"), "{logged:?}");
}

#[test]
fn case_42_a_save_behind_the_steps_holds_what_was_and_does_not_hold_them_up() {
    let dir = scratch();
    let mut toy = Toy { is_async: true, ..Toy::default() };
    toy.gate.store(true, Ordering::Release);
    let gate = toy.gate.clone();
    let mut events = Vec::new();
    let watcher = |event: &Event<'_>| {
        match event {
            // The first save is let through four steps after it began.
            Event::Stepped(it) if it.step == 7 => gate.store(false, Ordering::Release),
            Event::Stepped(it) => events.push(format!("{}", it.step)),
            Event::Saved { checkpoint, .. } => events.push(format!("S{}", checkpoint.step)),
            _ => {}
        }
        Action::CONTINUE
    };
    let args = args(&[("save_steps", "3"), ("max_steps", "9")]);
    // Saves of steps 3 and 6 are in flight; the second has to wait for the first.
    let gate_for_6 = toy.gate.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(30));
            gate_for_6.store(false, Ordering::Release);
        });
        watch(dir.path(), &mut toy, &args, Resume::No, watcher).expect("finishes");
    });
    let text = events.join(" ");
    assert!(text.starts_with("1 2 3 4 5 6 S3"), "{text}");
    assert!(text.ends_with("S9"), "{text}");
    // What was saved is what the model was at that step, not later.
    let mut alone = Toy::default();
    let elsewhere = scratch();
    run(elsewhere.path(), &mut alone, &args, Resume::No).expect("finishes");
    for step in [3, 6, 9] {
        let state = |dir: &std::path::Path| fs::read(dir.join(format!("checkpoint-{step}/state")));
        assert_eq!(state(dir.path()).expect("saved"), state(elsewhere.path()).expect("saved"));
    }
}

#[track_caller]
fn check_failed_save(is_async: bool) {
    let dir = scratch();
    let mut toy = Toy { crash: Some(Crash::Save(1)), is_async, ..Toy::default() };
    let options = args(&[("save_steps", "2")]);
    let error = run(dir.path(), &mut toy, &options, Resume::No).expect_err("fails");
    assert_eq!(error.to_string(), "write checkpoint 4");
    assert_eq!(error.source().expect("source").to_string(), "no space left");
    assert!(matches!(error, Error::Save(_)));
    assert_eq!(steps_on_disk(dir.path()), [2]);

    // At the end, too.
    let dir = scratch();
    let mut toy = Toy { crash: Some(Crash::Save(0)), is_async, ..Toy::default() };
    run(dir.path(), &mut toy, &args(&[]), Resume::No).expect_err("fails");
}

#[test]
fn case_41_a_save_that_fails_is_never_silent() {
    check_failed_save(false);
    check_failed_save(true);
}

#[test]
fn case_41_a_panic_behind_the_steps_is_never_silent() {
    for steps in ["3", "9"] {
        // At the end of the run it is the last save.
        let dir = scratch();
        let mut toy = Toy { is_async: true, panics: true, ..Toy::default() };
        let options = args(&[("save_steps", steps), ("max_steps", "9")]);
        let error = run(dir.path(), &mut toy, &options, Resume::No).expect_err("fails");
        assert_eq!(error.to_string(), format!("write checkpoint {steps}"));
        assert_eq!(error.source().expect("source").to_string(), "it panicked: a thread's end");
        assert!(steps_on_disk(dir.path()).is_empty());
        // What was half written is nobody's obstacle.
        let mut toy = Toy { is_async: true, ..Toy::default() };
        run(dir.path(), &mut toy, &options, Resume::No).expect("finishes");
    }
}

#[test]
fn training_goes_on_without_a_checkpoint_if_asked() {
    let dir = scratch();
    let mut toy = Toy { crash: Some(Crash::Save(0)), ..Toy::default() };
    let options = args(&[("save_steps", "4"), ("continue_on_save_error", "true")]);
    let mut failed = Vec::new();
    let outcome = watch(dir.path(), &mut toy, &options, Resume::No, |event| {
        if let Event::NotSaved { step, error } = event {
            failed.push(format!("{step}: {error}"));
        }
        Action::CONTINUE
    });
    assert_eq!(outcome.expect("finishes").ended, Ended::Completed);
    assert_eq!(failed, ["4: write checkpoint 4", "8: write checkpoint 8", "9: write checkpoint 9"]);
}
