//! The best weights at the end of a run, and where they are.

use std::{fs, path::Path};

use super::toy::{Crash, Toy, args, scratch, watch};
use crate::{Action, Event, Outcome, Resume, TrainingArguments};

const OPTIONS: &[(&str, &str)] = &[
    ("load_best_model_at_end", "true"),
    ("eval_strategy", "steps"),
    ("eval_steps", "2"),
    ("save_steps", "2"),
    ("max_steps", "8"),
];

/// Runs, and returns what was said of the best weights.
fn said_of_best(
    dir: &Path,
    toy: &mut Toy,
    args: &TrainingArguments,
    resume: Resume,
    mut before: impl FnMut(&Event<'_>),
) -> (Outcome, Vec<String>) {
    let mut said = Vec::new();
    let outcome = watch(dir, toy, args, resume, |event| {
        before(event);
        match event {
            Event::BestLoaded(it) => said.push(format!("loaded {}", it.path.display())),
            Event::BestNotLoaded(reason) => said.push((*reason).to_owned()),
            _ => {}
        }
        Action::CONTINUE
    });
    (outcome.expect("finishes"), said)
}

/// The weights in a checkpoint.
fn weights(checkpoint: &Path) -> f64 {
    let bytes = fs::read(checkpoint.join("state")).expect("saved");
    f64::from_le_bytes(*bytes.first_chunk().expect("a number"))
}

/// The best is that of step 4; `harm` comes to it before the end.
#[track_caller]
fn check_harmed(harm: impl Fn(&Path), expected: &str) {
    let dir = scratch();
    let mut toy = Toy { script: vec![3.0, 1.0, 2.0, 2.0], ..Toy::default() };
    let best = dir.path().join("checkpoint-4");
    let (_, said) = said_of_best(dir.path(), &mut toy, &args(OPTIONS), Resume::No, |event| {
        if matches!(event, Event::Stepped(it) if it.step == 8) {
            harm(&best);
        }
    });
    assert_eq!(said, [expected.replace("BEST", &best.display().to_string())]);
    assert_eq!(toy.x, weights(&dir.path().join("checkpoint-8")), "the last weights are kept");
}

#[test]
fn a_best_checkpoint_that_is_not_whole_is_not_loaded_and_that_is_said() {
    check_harmed(
        |best| fs::write(best.join("state"), [7; 16]).expect("write"),
        "BEST is damaged: state has changed since it was saved: its hash differs",
    );
    check_harmed(
        |best| {
            fs::remove_file(best.join("manifest.json"))
                .and_then(|()| fs::write(best.join("state"), ""))
                .expect("write")
        },
        "BEST is damaged: it was not finished: state is empty",
    );
    check_harmed(|best| fs::remove_dir_all(best).expect("remove"), "BEST is not there");
}

#[test]
fn a_best_step_that_was_never_saved_is_said() {
    let dir = scratch();
    let args = args(&[OPTIONS, &[("continue_on_save_error", "true")]].concat());
    // Step 2 is the best, and no checkpoint is ever written.
    let mut toy =
        Toy { script: vec![1.0, 2.0, 2.0, 2.0], crash: Some(Crash::Save(0)), ..Toy::default() };
    let (_, said) = said_of_best(dir.path(), &mut toy, &args, Resume::No, |_| ());
    assert_eq!(said, [format!("{} is not there", dir.path().join("checkpoint-2").display())]);
}

#[test]
fn evaluations_without_a_number_are_said() {
    let dir = scratch();
    let mut toy = Toy { script: vec![f64::NAN; 4], ..Toy::default() };
    let (outcome, said) = said_of_best(dir.path(), &mut toy, &args(OPTIONS), Resume::No, |_| ());
    assert_eq!(said, ["no evaluation gave a number for eval_loss"]);
    assert_eq!(outcome.state.best_global_step, None);
    assert_eq!(toy.x, weights(&dir.path().join("checkpoint-8")));
}

/// Goes on in a new directory from the checkpoint of step 6; the best was that of step 4.
#[track_caller]
fn check_elsewhere(prepare: impl Fn(&Path)) {
    let (old, new) = (scratch(), scratch());
    let args = args(OPTIONS);
    let mut first = Toy { script: vec![3.0, 1.0, 2.0, 2.0], ..Toy::default() };
    said_of_best(old.path(), &mut first, &args, Resume::No, |_| ());
    prepare(old.path());
    let mut toy = Toy { script: vec![2.0], ..Toy::default() };
    let from = Resume::From(old.path().join("checkpoint-6"));
    let (outcome, said) = said_of_best(new.path(), &mut toy, &args, from, |_| ());
    let best = old.path().join("checkpoint-4");
    assert_eq!(said, [format!("loaded {}", best.display())]);
    assert_eq!(outcome.state.best_model_checkpoint.as_deref(), best.to_str());
    assert_eq!(toy.x, weights(&best));
}

#[test]
fn the_best_is_where_the_run_came_from() {
    check_elsewhere(|_| ());
    // Hugging Face's Trainer leaves no manifest, and no file of ours.
    check_elsewhere(|run| {
        for step in [4, 6] {
            for name in ["manifest.json", "resume.json", "training_args.json"] {
                let path = run.join(format!("checkpoint-{step}")).join(name);
                fs::remove_file(path).expect("remove");
            }
        }
    });
}

#[test]
fn the_best_is_still_found_by_a_run_that_goes_on_once_more() {
    let (old, new) = (scratch(), scratch());
    let args = args(OPTIONS);
    let mut first = Toy { script: vec![1.0, 2.0, 2.0, 2.0], ..Toy::default() };
    said_of_best(old.path(), &mut first, &args, Resume::No, |_| ());
    let from = Resume::From(old.path().join("checkpoint-4"));
    let mut killed = Toy { script: vec![2.0; 4], crash: Some(Crash::Step(7)), ..Toy::default() };
    watch(new.path(), &mut killed, &args, from, |_| Action::CONTINUE).expect_err("killed");
    let mut toy = Toy { script: vec![2.0], ..Toy::default() };
    let (_, said) = said_of_best(new.path(), &mut toy, &args, Resume::Latest, |_| ());
    assert_eq!(said, [format!("loaded {}", old.path().join("checkpoint-2").display())]);
}

#[test]
fn a_run_that_was_moved_as_a_whole_finds_its_best() {
    let dir = scratch();
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    let args = args(OPTIONS);
    let mut killed =
        Toy { script: vec![3.0, 1.0, 2.0], crash: Some(Crash::Step(7)), ..Toy::default() };
    watch(&before, &mut killed, &args, Resume::No, |_| Action::CONTINUE).expect_err("killed");
    fs::rename(&before, &after).expect("rename");
    let mut toy = Toy { script: vec![2.0], ..Toy::default() };
    let (_, said) = said_of_best(&after, &mut toy, &args, Resume::Latest, |_| ());
    assert_eq!(said, [format!("loaded {}", after.join("checkpoint-4").display())]);
}
