//! Runs that are interrupted and go on.

use std::{fs, path::Path};

use super::toy::{Crash, Toy, args, dims, log, run, scratch, steps_on_disk, watch};
use pretrained_checkpoint::Checkpoints;

use crate::{Action, Dims, Ended, Event, Resume, TrainingArguments, train};

/// Interrupts the run at every place where it can be, resumes, and compares with one that ran
/// through: weights, log, and what is on the disk.
#[track_caller]
fn check_exact(options: &[(&str, &str)], is_async: bool) {
    let args = args(options);
    let toy = || Toy { is_async, ..Toy::default() };
    let straight_dir = scratch();
    let mut straight = toy();
    let outcome = run(straight_dir.path(), &mut straight, &args, Resume::No).expect("finishes");

    let steps = (0..9).map(Crash::Step);
    let saves = (0..5).map(Crash::Save);
    let crashes = steps.chain(saves).chain((0..5).map(Crash::Evaluation));
    for crash in crashes {
        let dir = scratch();
        let mut doomed = Toy { crash: Some(crash), ..toy() };
        let first = run(dir.path(), &mut doomed, &args, Resume::No);
        let mut resumed = toy();
        let resumed_outcome = match first {
            // The run has no such place.
            Ok(_) => continue,
            Err(_) if steps_on_disk(dir.path()).is_empty() => {
                run(dir.path(), &mut resumed, &args, Resume::No)
            }
            Err(_) => run(dir.path(), &mut resumed, &args, Resume::Latest),
        };
        let resumed_outcome = resumed_outcome.expect("resumes");
        assert_eq!(resumed.x.to_bits(), straight.x.to_bits(), "{crash:?}");
        assert_eq!(log(&resumed_outcome.state), log(&outcome.state), "{crash:?}");
        assert_eq!(resumed_outcome.ended, outcome.ended);
        check_same_files(straight_dir.path(), dir.path());
    }
}

/// Same checkpoints, same bytes in them but for measured times.
#[track_caller]
fn check_same_files(a: &Path, b: &Path) {
    assert_eq!(steps_on_disk(a), steps_on_disk(b));
    for step in steps_on_disk(a) {
        let name = format!("checkpoint-{step}");
        let file = |dir: &Path, file: &str| {
            let text = fs::read(dir.join(&name).join(file)).expect("there");
            let text = String::from_utf8_lossy(&text).replace(&dir.display().to_string(), "RUN");
            let is_timed = |it: &&str| it.contains("_runtime") || it.contains("_per_second");
            text.lines().filter(|it| !is_timed(it)).collect::<Vec<_>>().join("\n")
        };
        for name in ["state", "trainer_state.json", "resume.json", "training_args.json"] {
            assert_eq!(file(a, name), file(b, name), "checkpoint-{step}/{name}");
        }
    }
}

#[test]
fn interrupted_anywhere_and_resumed_equals_straight() {
    for is_async in [false, true] {
        check_exact(&[("save_steps", "2")], is_async);
        check_exact(&[("save_steps", "1"), ("save_total_limit", "2")], is_async);
        check_exact(
            &[
                ("save_steps", "4"),
                ("logging_steps", "3"),
                ("eval_strategy", "steps"),
                ("eval_steps", "2"),
            ],
            is_async,
        );
        check_exact(
            &[("save_steps", "3"), ("eval_strategy", "epoch"), ("logging_strategy", "epoch")],
            is_async,
        );
        check_exact(
            &[
                ("save_strategy", "best"),
                ("eval_strategy", "steps"),
                ("eval_steps", "1"),
                ("metric_for_best_model", "loss"),
                ("logging_steps", "5"),
            ],
            is_async,
        );
        check_exact(
            &[
                ("save_strategy", "epoch"),
                ("eval_strategy", "epoch"),
                ("load_best_model_at_end", "true"),
                ("lr_scheduler_type", "reduce_lr_on_plateau"),
                ("lr_scheduler_kwargs", "{\"patience\": 0, \"threshold\": 0.5}"),
                ("save_total_limit", "1"),
            ],
            is_async,
        );
        check_exact(
            &[
                ("save_steps", "1"),
                ("eval_strategy", "steps"),
                ("eval_steps", "1"),
                ("early_stopping_patience", "2"),
                ("early_stopping_threshold", "0.4"),
                ("logging_steps", "4"),
            ],
            is_async,
        );
    }
}

#[track_caller]
fn check_asked_to_terminate(options: &[(&str, &str)]) {
    let args = args(options);
    let straight_dir = scratch();
    let mut straight = Toy::default();
    let outcome = run(straight_dir.path(), &mut straight, &args, Resume::No).expect("finishes");

    for at in 1..=9 {
        let dir = scratch();
        let n_evaluated = std::cell::Cell::new(0);
        let interrupted = watch(dir.path(), &mut Toy::default(), &args, Resume::No, |event| {
            match event {
                Event::Stepped(it) if it.step == at => return Action::SAVE_AND_STOP,
                Event::Evaluated(it) if it.step() == at => n_evaluated.set(1),
                _ => {}
            }
            Action::CONTINUE
        });
        let interrupted = interrupted.expect("stops");
        assert_eq!((interrupted.ended, interrupted.state.global_step), (Ended::Interrupted, at));
        assert_eq!(n_evaluated.get(), 0, "an evaluation may take longer than there is time");
        assert!(steps_on_disk(dir.path()).contains(&at));

        let mut resumed = Toy::default();
        let resumed_outcome =
            run(dir.path(), &mut resumed, &args, Resume::Latest).expect("resumes");
        assert_eq!(resumed.x.to_bits(), straight.x.to_bits(), "interrupted after step {at}");
        assert_eq!(log(&resumed_outcome.state), log(&outcome.state), "interrupted after step {at}");
        assert_eq!(resumed_outcome.state.best_global_step, outcome.state.best_global_step);
    }
}

/// Asked in the middle of an evaluation, which is then made by the run that goes on.
#[test]
fn an_evaluation_is_given_up_and_made_again() {
    let args = args(&[("eval_strategy", "steps"), ("eval_steps", "3"), ("save_steps", "3")]);
    let mut straight = Toy::default();
    let straight_dir = scratch();
    let outcome = run(straight_dir.path(), &mut straight, &args, Resume::No).expect("finishes");

    // Each evaluation asks twice.
    for at in 1..=6 {
        let dir = scratch();
        let (asked, evaluated) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let interrupted = watch(dir.path(), &mut Toy::default(), &args, Resume::No, |event| {
            match event {
                Event::Evaluating => asked.set(asked.get() + 1),
                Event::Evaluated(_) => evaluated.set(evaluated.get() + 1),
                _ => {}
            }
            if asked.get() == at { Action::SAVE_AND_STOP } else { Action::CONTINUE }
        });
        let interrupted = interrupted.expect("stops");
        assert_eq!(interrupted.ended, Ended::Interrupted);
        assert_eq!((asked.get(), evaluated.get()), (at, (at - 1) / 2));
        let mut resumed = Toy::default();
        let resumed_outcome =
            run(dir.path(), &mut resumed, &args, Resume::Latest).expect("resumes");
        assert_eq!(resumed.x.to_bits(), straight.x.to_bits(), "asked for the {at}th time");
        assert_eq!(log(&resumed_outcome.state), log(&outcome.state), "asked for the {at}th time");
    }
}

#[test]
fn asked_to_terminate_and_resumed_equals_straight() {
    check_asked_to_terminate(&[("save_steps", "4")]);
    check_asked_to_terminate(&[
        ("eval_strategy", "epoch"),
        ("save_strategy", "epoch"),
        ("logging_strategy", "epoch"),
        ("metric_for_best_model", "loss"),
    ]);
    check_asked_to_terminate(&[
        ("eval_strategy", "steps"),
        ("save_strategy", "no"),
        ("logging_steps", "3"),
    ]);
}

#[test]
fn checkpoints_without_resume_are_an_error() {
    let dir = scratch();
    let args = args(&[("save_steps", "4")]);
    run(dir.path(), &mut Toy::default(), &args, Resume::No).expect("finishes");
    let error = run(dir.path(), &mut Toy::default(), &args, Resume::No).expect_err("refused");
    let root = dir.path().display();
    assert_eq!(
        error.to_string(),
        format!(
            "{root} has checkpoints already (the newest is checkpoint-9): resume the run, or choose \
             another output directory"
        )
    );
    // An older one of the same run would run into the newer ones.
    let older = Resume::From(dir.path().join("checkpoint-4"));
    let error = run(dir.path(), &mut Toy::default(), &args, older).expect_err("refused");
    assert_eq!(
        error.to_string(),
        format!(
            "{root}/checkpoint-4 is older than checkpoint-9 in {root}, which going on from it would come \
             to and does not overwrite: name no checkpoint to go on from the newest, or choose another \
             output directory to go on from this one"
        )
    );
    assert_eq!(steps_on_disk(dir.path()), [4, 8, 9]);
}

#[test]
fn nothing_to_resume_from() {
    let dir = scratch();
    let error =
        run(dir.path(), &mut Toy::default(), &args(&[]), Resume::Latest).expect_err("refused");
    assert_eq!(
        error.to_string(),
        format!("{} has no checkpoint to resume from", dir.path().display())
    );
}

#[test]
fn a_finished_run_resumes_to_its_end() {
    let dir = scratch();
    let args = args(&[("save_steps", "4")]);
    let mut straight = Toy::default();
    let first = run(dir.path(), &mut straight, &args, Resume::No).expect("finishes");
    let mut again = Toy::default();
    let second = run(dir.path(), &mut again, &args, Resume::Latest).expect("finishes");
    assert_eq!(again.x, straight.x);
    assert_eq!(log(&second.state), log(&first.state));
}

/// A process that dies between a checkpoint and the removal of older ones leaves that to the next.
#[test]
fn what_was_not_removed_any_more_is_removed_by_the_run_that_goes_on() {
    let dir = scratch();
    let unlimited = args(&[("save_steps", "4")]);
    run(dir.path(), &mut Toy::default(), &unlimited, Resume::No).expect("finishes");
    let list = || Checkpoints::read(dir.path()).and_then(|it| it.list()).expect("list");
    let n = list().len();
    assert!(n > 2);
    run(dir.path(), &mut Toy::default(), &unlimited, Resume::Latest).expect("finishes");
    assert_eq!(list().len(), n);
    let newest = list().split_off(n - 2);
    let limited = args(&[("save_steps", "4"), ("save_total_limit", "2")]);
    run(dir.path(), &mut Toy::default(), &limited, Resume::Latest).expect("finishes");
    assert_eq!(list(), newest);
}

/// But not where it was of another run, or something has changed.
#[test]
fn what_was_left_stays_where_it_may_be_somebody_elses() {
    let dir = scratch();
    let unlimited = args(&[("save_steps", "4")]);
    run(dir.path(), &mut Toy::default(), &unlimited, Resume::No).expect("finishes");
    let before = steps_on_disk(dir.path());
    for changed in [("seed", "7"), ("learning_rate", "0.5")] {
        let limited = args(&[("save_steps", "4"), ("save_total_limit", "1"), changed]);
        run(dir.path(), &mut Toy::default(), &limited, Resume::Latest).expect("finishes");
        assert_eq!(steps_on_disk(dir.path()), before);
    }
}

#[test]
fn a_run_goes_on_with_what_it_froze() {
    let dir = scratch();
    let args = args(&[("save_steps", "4")]);
    let start = |frozen: &str, resume: Resume| {
        let mut dims = dims();
        dims.identity.insert(Dims::FROZEN.to_owned(), frozen.to_owned());
        let checkpoints = Checkpoints::open(dir.path()).expect("open");
        train(&mut Toy::default(), &args, &dims, &checkpoints, resume, |_: &Event<'_>| ())
    };
    start("a", Resume::No).expect("finishes");
    start("a", Resume::Latest).expect("finishes");
    let newest = *steps_on_disk(dir.path()).last().expect("a checkpoint");
    let from = Resume::From(dir.path().join(format!("checkpoint-{newest}")));
    for resume in [Resume::Latest, from] {
        let error = start("a b", resume).expect_err("refused");
        let said = pretrained_fs::with_causes(&error);
        assert!(said.contains("a was frozen and a b is: "), "{said}");
    }
}

#[test]
fn goes_on_from_another_directory() {
    let (old, new) = (scratch(), scratch());
    let args = args(&[("save_steps", "4")]);
    let mut straight = Toy::default();
    run(old.path(), &mut straight, &args, Resume::No).expect("finishes");
    let mut moved = Toy::default();
    let from = Resume::From(old.path().join("checkpoint-4"));
    run(new.path(), &mut moved, &args, from).expect("finishes");
    assert_eq!(moved.x.to_bits(), straight.x.to_bits());
    assert_eq!(steps_on_disk(new.path()), [8, 9]);
}

/// Names a checkpoint that `damage` was done to; returns what is said.
fn resume_from_damaged(file: &str, damage: impl Fn(&Path)) -> String {
    let (old, new) = (scratch(), scratch());
    let args = args(&[("save_steps", "4")]);
    run(old.path(), &mut Toy::default(), &args, Resume::No).expect("finishes");
    let named = old.path().join("checkpoint-4");
    damage(&named.join(file));
    let mut toy = Toy::default();
    let error = run(new.path(), &mut toy, &args, Resume::From(named)).expect_err("refused");
    assert_eq!(toy.x, 0.0, "nothing was restored");
    error.to_string().replace(&old.path().display().to_string(), "OLD")
}

#[test]
fn a_damaged_checkpoint_that_is_named_is_refused() {
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).expect("read");
        bytes[3] ^= 1;
        fs::write(path, bytes).expect("write");
    };
    assert_eq!(
        resume_from_damaged("state", flip),
        "OLD/checkpoint-4 is damaged: state has changed since it was saved: its hash differs; name \
         another checkpoint, or none to go on from the newest that is whole"
    );
    let said = resume_from_damaged("trainer_state.json", |it| fs::remove_file(it).expect("remove"));
    assert!(said.contains("trainer_state.json is missing; name another"), "{said}");
    // As far as it goes with one of Hugging Face's Trainer.
    let said = resume_from_damaged("state", |path| {
        fs::remove_file(path.with_file_name("manifest.json")).expect("remove");
        fs::write(path, "").expect("write");
    });
    assert!(said.contains("it was not finished: state is empty"), "{said}");
}

/// Damages the newest checkpoint and resumes; returns what was said about it.
fn resume_damaged(damage: impl Fn(&Path)) -> Vec<String> {
    let dir = scratch();
    let args = args(&[("save_steps", "4")]);
    let mut straight = Toy::default();
    run(dir.path(), &mut straight, &args, Resume::No).expect("finishes");
    damage(&dir.path().join("checkpoint-9"));

    let mut said = Vec::new();
    let mut resumed = Toy::default();
    let outcome = watch(dir.path(), &mut resumed, &args, Resume::Latest, |event| {
        if let Event::PassedOver(it) = event {
            said.push(format!("{}: {:?}", it.checkpoint.step, it.reason));
        }
        Action::CONTINUE
    });
    outcome.expect("resumes");
    assert_eq!(resumed.x.to_bits(), straight.x.to_bits());
    assert_eq!(steps_on_disk(dir.path()), [4, 8, 9]);
    // Nothing was deleted.
    let entries = fs::read_dir(dir.path()).expect("list").filter_map(Result::ok);
    let aside = entries.filter(|it| it.file_name().to_string_lossy().starts_with("set-aside"));
    assert_eq!(aside.count(), 1);
    said
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let said = resume_damaged(|path| fs::write(path.join("state"), [0; 16]).expect("write"));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("9: Damaged"), "{said:?}");
    let said =
        resume_damaged(|path| fs::remove_file(path.join("trainer_state.json")).expect("remove"));
    assert!(said[0].starts_with("9: Damaged"), "{said:?}");
}

#[test]
fn a_checkpoint_of_something_else_is_passed_over() {
    let said = resume_damaged(|path| {
        // Whole, but of a model that the task does not know.
        fs::remove_file(path.join("manifest.json")).expect("remove");
        fs::write(path.join("state"), [0; 3]).expect("write");
    });
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn what_has_changed_is_told() {
    let dir = scratch();
    run(dir.path(), &mut Toy::default(), &args(&[("max_steps", "4")]), Resume::No)
        .expect("finishes");
    let mut told = Vec::new();
    let mut changed = dims();
    changed.identity.insert("data".to_owned(), "abc".to_owned());
    changed.examples = 12;
    let options = args(&[("max_steps", "6"), ("seed", "7"), ("logging_steps", "1")]);
    let checkpoints = pretrained_checkpoint::Checkpoints::open(dir.path()).expect("open");
    train(&mut Toy::default(), &options, &changed, &checkpoints, Resume::Latest, |event| {
        if let Event::NotExact(differences) = event {
            told.extend(differences.iter().map(ToString::to_string));
        }
    })
    .expect("finishes");
    assert_eq!(
        told,
        [
            "data_seed was 42 and is 7",
            "max_steps was 4 and is 6",
            "number of examples was 11 and is 12",
            "seed was 42 and is 7"
        ]
    );
}

#[test]
fn a_checkpoint_of_hugging_face_goes_on() {
    let dir = scratch();
    let args: TrainingArguments =
        args(&[("save_steps", "4"), ("early_stopping_patience", "3"), ("eval_strategy", "steps")]);
    let mut straight = Toy::default();
    run(dir.path(), &mut straight, &args, Resume::No).expect("finishes");
    // What their Trainer leaves: no manifest, and no file of ours.
    let theirs = dir.path().join("theirs");
    fs::create_dir(&theirs).expect("create");
    for name in ["state", "trainer_state.json"] {
        fs::copy(dir.path().join("checkpoint-4").join(name), theirs.join(name)).expect("copy");
    }
    let new = scratch();
    let mut resumed = Toy::default();
    let outcome = run(new.path(), &mut resumed, &args, Resume::From(theirs)).expect("finishes");
    assert_eq!(resumed.x.to_bits(), straight.x.to_bits());
    assert_eq!(outcome.state.global_step, 9);
}

/// Of the steps before there is what their log says, and of a run at its end perhaps nothing at all.
#[test]
fn the_mean_loss_of_a_run_of_hugging_face_is_that_of_its_log() {
    for (logging_steps, is_known) in [("1", true), ("500", false)] {
        let (dir, new) = (scratch(), scratch());
        let args = args(&[("save_steps", "9"), ("logging_steps", logging_steps)]);
        let straight = run(dir.path(), &mut Toy::default(), &args, Resume::No).expect("finishes");
        let theirs = new.path().join("checkpoint-9");
        fs::create_dir(&theirs).expect("create");
        for name in ["state", "trainer_state.json"] {
            fs::copy(dir.path().join("checkpoint-9").join(name), theirs.join(name)).expect("copy");
        }
        let resume = Resume::From(theirs);
        let outcome = run(new.path(), &mut Toy::default(), &args, resume).expect("finishes");
        let off = (outcome.train_loss - straight.train_loss).abs();
        assert!(if is_known { off < 1e-12 } else { outcome.train_loss.is_nan() }, "{outcome:?}");
        assert_eq!(outcome.metrics.get("train_loss").is_some(), is_known);
    }
}

/// What is not exact when a run with `before` goes on with `now`.
fn not_exact(before: &[(&str, &str)], now: &[(&str, &str)]) -> Vec<String> {
    let dir = scratch();
    let mut killed = Toy { crash: Some(Crash::Step(5)), ..Toy::default() };
    let mut first = dims();
    first.eval_identity.insert("eval_dataset".to_owned(), "abc".to_owned());
    let mut second = first.clone();
    second.eval_identity.insert("eval_dataset".to_owned(), "def".to_owned());
    let checkpoints = pretrained_checkpoint::Checkpoints::open(dir.path()).expect("open");
    let base = [("save_steps", "2"), ("eval_strategy", "steps"), ("eval_steps", "2")];
    let before = args(&[&base, before].concat());
    train(&mut killed, &before, &first, &checkpoints, Resume::No, |_| ()).expect_err("killed");
    let now = args(&[&base, now].concat());
    let mut told = Vec::new();
    train(&mut Toy::default(), &now, &second, &checkpoints, Resume::Latest, |event| {
        if let Event::NotExact(differences) = event {
            told.extend(differences.iter().map(ToString::to_string));
        }
    })
    .expect("finishes");
    told
}

#[test]
fn evaluations_count_exactly_where_they_change_the_run() {
    let changed = [("eval_steps", "1"), ("metric_for_best_model", "x"), ("save_steps", "1")];
    assert!(not_exact(&[], &changed).is_empty());
    let expected = [
        "eval_dataset was abc and is def",
        "eval_steps was 2 and is 1",
        "greater_is_better was false and is true",
        "metric_for_best_model was \"loss\" and is \"x\"",
    ];
    let what_they_change: [&[(&str, &str)]; 3] = [
        &[("early_stopping_patience", "9")],
        &[("load_best_model_at_end", "true")],
        &[("lr_scheduler_type", "reduce_lr_on_plateau")],
    ];
    for it in what_they_change {
        assert_eq!(not_exact(it, &[it, &changed].concat()), expected, "{it:?}");
        assert_eq!(not_exact(it, it), expected[..1], "{it:?}");
    }
    let told = not_exact(
        &[("early_stopping_patience", "9")],
        &[("early_stopping_patience", "8"), ("early_stopping_threshold", "0.5")],
    );
    let expected = [
        "early_stopping_patience was 9 and is 8",
        "early_stopping_threshold was 0.0 and is 0.5",
        "eval_dataset was abc and is def",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_checkpoint_of_the_model_only_is_not_gone_on_from() {
    let dir = scratch();
    let mut killed = Toy { crash: Some(Crash::Step(5)), ..Toy::default() };
    let options = args(&[("save_steps", "2"), ("save_only_model", "true")]);
    run(dir.path(), &mut killed, &options, Resume::No).expect_err("killed");
    let why = "it holds the model only (save_only_model) and nothing to go on with; begin a new run \
               with it as the --model";
    let named = dir.path().join("checkpoint-4");
    let error = run(dir.path(), &mut Toy::default(), &options, Resume::From(named.clone()))
        .expect_err("refused");
    let error = pretrained_fs::with_causes(&error);
    assert_eq!(error, format!("restore {}: {why}", named.display()));
    let error =
        run(dir.path(), &mut Toy::default(), &options, Resume::Latest).expect_err("refused");
    let root = dir.path().display();
    let expected = format!("{root} has no checkpoint to resume from: checkpoint-4: {why}");
    assert_eq!(error.to_string(), expected);
}

/// Interrupts a run after `at` steps; returns the step that it can be gone on from.
fn resumable(dir: &Path, toy: &mut Toy, options: &[(&str, &str)], at: u64) -> Option<u64> {
    let options = args(&[options, &[("continue_on_save_error", "true")]].concat());
    let resume = if steps_on_disk(dir).is_empty() { Resume::No } else { Resume::Latest };
    let outcome = watch(dir, toy, &options, resume, |event| match event {
        Event::Started(it) if it.state.global_step == at => Action::SAVE_AND_STOP,
        Event::Stepped(it) if it.step == at => Action::SAVE_AND_STOP,
        _ => Action::CONTINUE,
    })
    .expect("stops");
    assert_eq!((outcome.ended, outcome.state.global_step), (Ended::Interrupted, at));
    outcome.resumable.map(|it| it.step)
}

#[test]
fn an_interrupted_run_says_what_it_can_be_gone_on_from() {
    let options = [("save_steps", "2")];
    for is_async in [false, true] {
        let toy = |crash| Toy { crash, is_async, ..Toy::default() };
        let dir = scratch();
        assert_eq!(resumable(dir.path(), &mut toy(None), &options, 0), None);
        assert_eq!(resumable(dir.path(), &mut toy(Some(Crash::Save(0))), &options, 3), None);
        // The save on the way out fails.
        assert_eq!(resumable(dir.path(), &mut toy(Some(Crash::Save(1))), &options, 3), Some(2));
        assert_eq!(resumable(dir.path(), &mut toy(None), &options, 2), Some(2));
        assert_eq!(resumable(dir.path(), &mut toy(Some(Crash::Save(0))), &options, 5), Some(2));
        assert_eq!(resumable(dir.path(), &mut toy(None), &options, 5), Some(5));

        let dir = scratch();
        let model_only = [("save_steps", "2"), ("save_only_model", "true")];
        assert_eq!(resumable(dir.path(), &mut toy(None), &model_only, 3), None);
    }
}
