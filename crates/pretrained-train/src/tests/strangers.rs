//! Checkpoints of another run in a run's directory.

use std::{fs, path::Path};

use pretrained_checkpoint::Checkpoints;

use super::toy::{Crash, Toy, args, dims, scratch, steps_on_disk};
use crate::{
    Action, Difference, Event, Resume,
    kinship::{
        Kinship::{self, Differs, Same, Unknown},
        order,
    },
    train,
};

#[test]
fn which_is_tried_first() {
    let differs = || Differs(Vec::new());
    let check = |newest_first: &[Kinship], expected: &[usize]| {
        assert_eq!(order(newest_first), expected, "{newest_first:?}");
    };
    check(&[Same], &[0]);
    check(&[Same, differs()], &[0]);
    check(&[Same, Same], &[0]);
    check(&[differs()], &[0]);
    check(&[differs(), differs()], &[0]);
    check(&[differs(), Same], &[1, 0]);
    check(&[differs(), differs(), Same, Same], &[2, 3, 0]);
    check(&[differs(), Same, differs(), Same], &[1, 3, 0]);
    // One that recorded nothing is nobody's else.
    check(&[Unknown], &[0]);
    check(&[Unknown, Same], &[0]);
    check(&[differs(), Unknown], &[0]);
    check(&[differs(), Unknown, Same], &[2, 0]);
}

#[test]
fn another_model_is_described_in_a_line() {
    let difference = |i: usize| Difference {
        name: format!("config.{i}"),
        before: "1".to_owned(),
        now: "2".to_owned(),
    };
    let reason = Differs((0..9).map(difference).collect()).reason();
    assert_eq!(
        reason,
        "it is of another run, an older one is of this: config.0 was 1 and is 2, config.1 was 1 \
         and is 2, config.2 was 1 and is 2, and 6 more"
    );
}

/// Trains from the weights called `base`; returns what was said at the beginning.
fn train_from(
    base: &str,
    dir: &Path,
    toy: &mut Toy,
    options: &[(&str, &str)],
    resume: Resume,
) -> Vec<String> {
    let mut dims = dims();
    dims.identity.insert("initial_weights".to_owned(), base.to_owned());
    let checkpoints = Checkpoints::open(dir).expect("open");
    let mut said = Vec::new();
    let watch = |event: &Event<'_>| {
        match event {
            Event::PassedOver(it) => said.push(format!("{}: {}", it.checkpoint.step, it.reason)),
            Event::NotExact(them) => {
                said.extend(them.iter().map(|it| format!("not exact: {it}")));
            }
            Event::Started(it) => {
                said.extend(it.resumed.iter().map(|it| format!("from {}", it.step)))
            }
            _ => {}
        }
        Action::CONTINUE
    };
    let ended = train(toy, &args(options), &dims, &checkpoints, resume, watch);
    assert_eq!(ended.is_err(), toy.crash.is_some());
    said
}

/// Checkpoints 2 and 4 of a run of A, 6 and 8 of one of B.
fn mixed() -> tempfile::TempDir {
    let (dir, other) = (scratch(), scratch());
    let mut toy = Toy { crash: Some(Crash::Step(5)), ..Toy::default() };
    train_from("A", dir.path(), &mut toy, &[("save_steps", "2")], Resume::No);
    let mut toy = Toy { x: 1.0, ..Toy::default() };
    train_from("B", other.path(), &mut toy, &[("save_steps", "2")], Resume::No);
    for name in ["checkpoint-6", "checkpoint-8"] {
        fs::rename(other.path().join(name), dir.path().join(name)).expect("rename");
    }
    dir
}

const OF_B: &str = "it is of another run, an older one is of this: initial_weights was B and is A";

fn set_aside(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).expect("list").filter_map(Result::ok);
    let names = names.map(|it| it.file_name().to_string_lossy().into_owned());
    let mut aside: Vec<String> = names.filter(|it| it.starts_with("set-aside")).collect();
    aside.sort();
    aside
}

#[test]
fn newer_ones_of_another_run_are_passed_over() {
    let options = &[("save_steps", "2"), ("save_total_limit", "1")];
    let straight = scratch();
    let mut unbroken = Toy::default();
    train_from("A", straight.path(), &mut unbroken, options, Resume::No);

    let dir = mixed();
    let mut toy = Toy::default();
    let said = train_from("A", dir.path(), &mut toy, options, Resume::Latest);
    assert_eq!(said, [format!("8: {OF_B}"), format!("6: {OF_B}"), "from 4".to_owned()]);
    assert_eq!(toy.x.to_bits(), unbroken.x.to_bits());
    // The run went past them: nothing is deleted, and nothing counts as the run's own.
    assert_eq!(set_aside(dir.path()), ["set-aside-checkpoint-6", "set-aside-checkpoint-8"]);
    assert_eq!(steps_on_disk(dir.path()), [9]);
}

#[test]
fn those_still_ahead_stay_where_they_are() {
    let dir = mixed();
    let options = &[("save_steps", "1"), ("save_total_limit", "1")];
    let mut killed = Toy { crash: Some(Crash::Step(6)), ..Toy::default() };
    train_from("A", dir.path(), &mut killed, options, Resume::Latest);
    assert_eq!(steps_on_disk(dir.path()), [6, 8], "8 is B's, and 6 the only one of A");
    assert_eq!(set_aside(dir.path()), ["set-aside-checkpoint-6"]);
    let said = train_from("A", dir.path(), &mut Toy::default(), options, Resume::Latest);
    assert_eq!(said, [format!("8: {OF_B}"), "from 6".to_owned()]);
}

#[test]
fn the_other_run_still_finds_its_own() {
    let dir = mixed();
    let said = train_from("B", dir.path(), &mut Toy::default(), &[], Resume::Latest);
    assert_eq!(said, ["from 8"]);
}

#[test]
fn where_none_is_the_runs_own_the_newest_will_do() {
    let dir = mixed();
    let said = train_from("C", dir.path(), &mut Toy::default(), &[], Resume::Latest);
    assert_eq!(said, ["not exact: initial_weights was B and is C", "from 8"]);
}

#[test]
fn an_own_one_that_is_damaged_is_none() {
    let dir = mixed();
    for step in [2, 4] {
        fs::write(dir.path().join(format!("checkpoint-{step}/state")), [0; 16]).expect("write");
    }
    let said = train_from("A", dir.path(), &mut Toy::default(), &[], Resume::Latest);
    assert_eq!(said, ["not exact: initial_weights was B and is A", "from 8"]);

    let dir = mixed();
    fs::write(dir.path().join("checkpoint-4/state"), [0; 16]).expect("write");
    let said = train_from("A", dir.path(), &mut Toy::default(), &[], Resume::Latest);
    let damaged = "4: state has changed since it was saved: its hash differs".to_owned();
    assert_eq!(said, [format!("8: {OF_B}"), format!("6: {OF_B}"), damaged, "from 2".to_owned()]);
}

#[test]
fn a_fact_that_a_checkpoint_has_not_recorded_does_not_count() {
    let dir = scratch();
    let mut toy = Toy { crash: Some(Crash::Step(5)), ..Toy::default() };
    super::toy::run(dir.path(), &mut toy, &args(&[("save_steps", "2")]), Resume::No)
        .expect_err("killed");
    let said = train_from("A", dir.path(), &mut Toy::default(), &[], Resume::Latest);
    assert_eq!(said, ["from 4"]);
}
