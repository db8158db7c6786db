//! Saving and rotating, with every operation failed and a crash after every operation.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use pretrained_fs::faults::{Answer, Call, Op, Recording, Tree, watch};

use super::{content_of, fill, names, save, scratch};
use crate::{Checkpoints, PassedOver, Retention};

/// Two checkpoints, of which rotation will remove the older one.
fn prepare(dir: &Path) {
    let _fast = watch(dir, |_| Answer::Pretend);
    let run = Checkpoints::open(dir).expect("open");
    save(&run, 1);
    save(&run, 2);
}

/// What the suites disturb.
fn act(dir: &Path) -> Result<(), String> {
    let run = Checkpoints::open(dir).map_err(|e| format!("open: {e:?}"))?;
    run.save(3, |dir| fill(dir, 3)).map_err(|e| format!("save: {e:?}"))?;
    let keep = Retention::save_total_limit(Some(2), None);
    run.rotate(&keep).map_err(|e| format!("rotate: {e:?}"))?;
    Ok(())
}

/// Nothing that has a checkpoint's name is torn, and at least `expected` is there.
fn check(dir: &Path, expected: &[u64], why: &str) {
    check_on(dir, |_| Answer::Pretend, expected, why);
}

/// The same on a file system that answers like this.
fn check_on(dir: &Path, answer: fn(&Call<'_>) -> Answer, expected: &[u64], why: &str) {
    let _fast = watch(dir, answer);
    let run = Checkpoints::open(dir).unwrap_or_else(|e| panic!("{why}: {e:?}"));
    let mut latest = run.latest().expect("latest");
    // Without renames the first thing to be there is the directory itself.
    let is_empty = |it: &PassedOver| names(&it.checkpoint.path).is_empty();
    latest.passed_over.retain(|it| !is_empty(it));
    assert_eq!(latest.passed_over, [], "{why}");
    let step = latest.checkpoint.unwrap_or_else(|| panic!("{why}: nothing is left")).step;
    assert!(expected.contains(&step), "{why}: {step} is the newest, expected {expected:?}");
    let listed = run.list().expect("list");
    for checkpoint in listed.into_iter().filter(|it| !names(&it.path).is_empty()) {
        let report = crate::verify(&checkpoint.path).expect("verify");
        assert!(report.is_whole(), "{why}: {} is torn: {:?}", checkpoint.step, report.damage);
        let weights = fs::read_to_string(checkpoint.path.join("weights")).expect("read");
        assert_eq!(weights, content_of(checkpoint.step), "{why}");
    }
    // And life goes on.
    if step == 2 {
        save(&run, 3);
    }
    run.rotate(&Retention::save_total_limit(Some(2), None)).expect("rotate");
    assert_eq!(names(dir), ["checkpoint-2", "checkpoint-3"], "{why}");
}

fn run_with(answer: impl Fn(usize, Op) -> Answer + Send + Sync + 'static, why: &str) -> usize {
    let dir = scratch();
    prepare(dir.path());
    let n_calls = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&n_calls);
    let watching = watch(dir.path(), move |call| {
        match answer(counting.fetch_add(1, Ordering::Relaxed), call.op) {
            Answer::Proceed => Answer::Pretend,
            answer => answer,
        }
    });
    let res = act(dir.path());
    drop(watching);
    let expected: &[u64] = if res.is_ok() { &[3] } else { &[2, 3] };
    check(dir.path(), expected, &format!("{why}: {res:?}"));
    n_calls.load(Ordering::Relaxed)
}

#[test]
fn cases_35_and_36_every_operation_fails() {
    let n_calls = run_with(|_, _| Answer::Proceed, "undisturbed");
    for (name, errno) in [("ENOSPC", 28), ("EDQUOT", 122), ("EIO", 5), ("EINTR", 4), ("EACCES", 13)]
    {
        for n in 0..n_calls {
            let fail = move |i, _| if i == n { Answer::Fail(errno) } else { Answer::Proceed };
            run_with(fail, &format!("{name} at operation {n}"));
        }
    }
}

#[test]
fn case_35_the_disk_is_full_from_some_operation_on() {
    let n_calls = run_with(|_, _| Answer::Proceed, "undisturbed");
    for n in 0..n_calls {
        let full =
            move |i, op| match n <= i && matches!(op, Op::Write | Op::CreateFile | Op::CreateDir) {
                true => Answer::Fail(28),
                false => Answer::Proceed,
            };
        run_with(full, &format!("full from operation {n} on"));
    }
}

#[test]
fn case_37_refusals_at_every_operation() {
    let n_calls = run_with(|_, _| Answer::Proceed, "undisturbed");
    for (name, errno) in [("ENOSYS", 38), ("EPERM", 1), ("EXDEV", 18), ("EINVAL", 22)] {
        for n in 0..n_calls {
            let refuse = move |i, _| if i == n { Answer::Fail(errno) } else { Answer::Proceed };
            run_with(refuse, &format!("{name} at operation {n}"));
        }
    }
}

#[test]
fn case_37_a_file_system_without_renames() {
    let dir = scratch();
    let watching = watch(dir.path(), |call| match call.op {
        Op::Rename => Answer::Fail(38),
        _ => Answer::Proceed,
    });
    let run = Checkpoints::open(dir.path()).expect("open");
    save(&run, 1);
    save(&run, 2);
    assert_eq!(super::latest(&run), Some(2));
    run.rotate(&Retention::save_total_limit(Some(1), None)).expect("rotate");
    drop((watching, run));
    assert_eq!(names(dir.path()), ["checkpoint-2"]);
}

/// There is no instant in which a checkpoint comes or goes, but there is a last file.
#[test]
fn cases_38_and_39_on_a_file_system_without_renames() {
    fn without_renames(call: &Call<'_>) -> Answer {
        match call.op {
            Op::Rename => Answer::Fail(38),
            _ => Answer::Pretend,
        }
    }
    let dir = scratch();
    prepare(dir.path());
    let recording = Recording::start_with(dir.path(), without_renames).expect("start");
    act(dir.path()).expect("undisturbed");
    let trace = recording.finish();
    let mut checked = BTreeSet::new();
    for n in 0..=trace.n_events() {
        let expected: &[u64] = if n == trace.n_events() { &[3] } else { &[2, 3] };
        let mut trees = trace.after_power_loss(n);
        trees.insert(trace.after_process_death(n));
        for tree in trees {
            if n == trace.n_events() || checked.insert(tree.clone()) {
                let dir = scratch();
                tree.write_to(dir.path()).expect("write");
                let why = format!("crashed after operation {n}: {tree:?}");
                check_on(dir.path(), without_renames, expected, &why);
            }
        }
    }
}

#[test]
fn case_38_the_process_dies_after_every_operation() {
    let trace = record();
    for n in 0..=trace.n_events() {
        check_tree(&trace.after_process_death(n), &[2, 3], &format!("killed after operation {n}"));
    }
}

#[test]
fn case_39_the_power_fails_after_every_operation_with_every_loss() {
    let trace = record();
    let mut checked = BTreeSet::new();
    for n in 0..=trace.n_events() {
        let expected: &[u64] = if n == trace.n_events() { &[3] } else { &[2, 3] };
        for tree in trace.after_power_loss(n) {
            if n == trace.n_events() || checked.insert(tree.clone()) {
                check_tree(&tree, expected, &format!("power lost after operation {n}"));
            }
        }
    }
    assert!(50 < checked.len(), "{} states", checked.len());
}

/// What `save` has returned for survives, before anything else is done.
#[test]
fn case_39_a_saved_checkpoint_survives() {
    let dir = scratch();
    prepare(dir.path());
    let recording = Recording::start(dir.path()).expect("start");
    let run = Checkpoints::open(dir.path()).expect("open");
    save(&run, 3);
    let n = recording.n_events();
    drop(run);
    let trace = recording.finish();
    for tree in trace.after_power_loss(n) {
        check_tree(&tree, &[3], "power lost after the save");
    }
}

fn record() -> pretrained_fs::faults::Trace {
    let dir = scratch();
    prepare(dir.path());
    let recording = Recording::start(dir.path()).expect("start");
    act(dir.path()).expect("undisturbed");
    recording.finish()
}

fn check_tree(tree: &Tree, expected: &[u64], why: &str) {
    let dir = scratch();
    tree.write_to(dir.path()).expect("write");
    check(dir.path(), expected, why);
}
