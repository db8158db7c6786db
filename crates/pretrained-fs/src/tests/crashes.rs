//! The process or the machine dies after the n-th operation, for every n.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{SCENARIOS, Scenario, Seen, scratch};
use crate::faults::{Answer, Op, Recording, Trace, Tree, watch};

fn record(scenario: &Scenario) -> Trace {
    let dir = scratch();
    scenario.prepare(dir.path());
    let recording = Recording::start(dir.path()).expect("start");
    (scenario.act)(dir.path()).expect("undisturbed");
    recording.finish()
}

/// The same on a file system that has neither exchanges nor links.
fn record_journal(scenario: &Scenario) -> Trace {
    let dir = scratch();
    scenario.prepare(dir.path());
    let recording = Recording::start_with(dir.path(), |call| match call.op {
        Op::Exchange | Op::Link | Op::Symlink => Answer::Fail(NO_LINKS),
        _ => Answer::Pretend,
    });
    let recording = recording.expect("start");
    (scenario.act)(dir.path()).expect("undisturbed");
    recording.finish()
}

/// What FAT answers.
const NO_LINKS: i32 = rustix::io::Errno::PERM.raw_os_error();

fn check_state(scenario: &Scenario, tree: &Tree, seen: &[Seen], why: &str) {
    let dir = scratch();
    tree.write_to(dir.path()).expect("write");
    scenario.check(dir.path(), seen, why);
}

#[test]
fn case_38_the_process_dies_after_every_operation() {
    for scenario in SCENARIOS {
        let trace = record(scenario);
        for n in 0..=trace.n_events() {
            let tree = trace.after_process_death(n);
            let seen: &[Seen] =
                if n == trace.n_events() { &[Seen::New] } else { &[Seen::Old, Seen::New] };
            check_state(scenario, &tree, seen, &format!("killed after operation {n}"));
        }
    }
}

#[test]
fn case_39_the_power_fails_after_every_operation_with_every_loss() {
    for scenario in SCENARIOS {
        let trace = record(scenario);
        let mut checked = BTreeSet::new();
        for n in 0..=trace.n_events() {
            let is_done = n == trace.n_events();
            let seen: &[Seen] = if is_done { &[Seen::New] } else { &[Seen::Old, Seen::New] };
            for tree in trace.after_power_loss(n) {
                if is_done || checked.insert(tree.clone()) {
                    let why = format!("power lost after operation {n}: {tree:?}");
                    check_state(scenario, &tree, seen, &why);
                }
            }
        }
        assert!(1 < checked.len(), "{}: nothing was at stake", scenario.name);
    }
}

/// Without links there is an instant in which a plain reader is told that there is no model, and none
/// in which it sees two.
#[test]
fn case_38_39_a_set_by_journal_dies_after_every_operation() {
    for name in ["a set by exchange", "a set by links"] {
        let scenario = super::scenario(name);
        let trace = record_journal(scenario);
        let mut is_gated = false;
        for n in 0..=trace.n_events() {
            let is_done = n == trace.n_events();
            let seen: &[Seen] = if is_done { &[Seen::New] } else { &[Seen::Old, Seen::New] };
            for tree in trace.after_power_loss(n).into_iter().chain([trace.after_process_death(n)])
            {
                let dir = scratch();
                tree.write_to(dir.path()).expect("write");
                is_gated |= !dir.path().join("model/config.json").exists();
                let why = format!("dead after operation {n}: {tree:?}");
                scenario.check_with(dir.path(), seen, true, &why);
            }
        }
        assert!(is_gated, "this did not go by the journal");
    }
}

/// The one who repairs after a crash may crash too, and the one after that.
#[test]
fn case_39_the_power_fails_again_in_the_middle_of_the_repair() {
    type Way = (&'static str, fn(&Scenario) -> Trace, bool);
    let ways: [Way; 3] = [
        ("a set by exchange", record, false),
        ("a set by links", record, false),
        ("a set by links", record_journal, true),
    ];
    for (name, record, may_be_gated) in ways {
        let scenario = super::scenario(name);
        let trace = record(scenario);
        let mut checked = BTreeSet::new();
        for n in 0..trace.n_events() {
            for (i, first) in trace.after_power_loss(n).into_iter().enumerate() {
                // A sample: all of them would be the square of the suite above.
                if i % 5 != n % 5 || !checked.insert(first.clone()) {
                    continue;
                }
                let dir = scratch();
                first.write_to(dir.path()).expect("write");
                let recording = Recording::start(dir.path()).expect("start");
                drop(crate::recover(&dir.path().join("model")).expect("recover"));
                let repair = recording.finish();
                for m in 0..repair.n_events() {
                    for second in repair.after_power_loss(m) {
                        if checked.insert(second.clone()) {
                            let why = format!("power lost at {n} and at {m} of the repair");
                            let dir = scratch();
                            second.write_to(dir.path()).expect("write");
                            let seen = [Seen::Old, Seen::New];
                            scenario.check_with(dir.path(), &seen, may_be_gated, &why);
                        }
                    }
                }
            }
        }
    }
}

/// What recover does is itself interrupted at every operation, again and again.
#[test]
fn case_38_a_repair_that_never_gets_far_comes_to_its_end() {
    let scenario = super::scenario("a set by links");
    let ways = [(record(scenario), false), (record_journal(scenario), true)];
    let cases = ways.iter().flat_map(|(trace, may_be_gated)| {
        (0..trace.n_events()).map(move |n| (trace, n, *may_be_gated))
    });
    for (trace, n, may_be_gated) in cases {
        let dir = scratch();
        trace.after_process_death(n).write_to(dir.path()).expect("write");
        for budget in 0..60 {
            let used = AtomicUsize::new(0);
            let watching =
                watch(dir.path(), move |_| match used.fetch_add(1, Ordering::Relaxed) < budget {
                    true => Answer::Proceed,
                    false => Answer::Fail(rustix::io::Errno::IO.raw_os_error()),
                });
            let is_done = crate::recover(&dir.path().join("model")).is_ok();
            drop(watching);
            if is_done {
                break;
            }
        }
        let seen = [Seen::Old, Seen::New];
        scenario.check_with(dir.path(), &seen, may_be_gated, &format!("killed after {n}"));
    }
}

/// Where renames are refused there is no atomic step, but whoever finds the last file finds all.
#[test]
fn case_39_the_power_fails_while_copying_for_want_of_renames() {
    let dir = scratch();
    let recording = Recording::start_with(dir.path(), |call| match call.op {
        Op::Rename => Answer::Fail(rustix::io::Errno::NOSYS.raw_os_error()),
        _ => Answer::Pretend,
    });
    let recording = recording.expect("start");
    let staged = crate::StagedDir::create(&dir.path().join("x")).expect("create");
    for (name, content) in [("a", "1"), ("manifest", "2"), ("z/b", "3")] {
        let path = staged.path().join(name);
        crate::create_dir_all(path.parent().expect("has one")).expect("create");
        crate::write_new(&path, content.as_bytes()).expect("write");
    }
    staged.publish_with_last("manifest").expect("publish");
    let trace = recording.finish();
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    for n in 0..=trace.n_events() {
        for tree in trace.after_power_loss(n) {
            let dir = scratch();
            tree.write_to(dir.path()).expect("write");
            let x = dir.path().join("x");
            let content = read(&x.join("a")) + &read(&x.join("manifest")) + &read(&x.join("z/b"));
            let is_marked = x.join(crate::INCOMPLETE).exists();
            let has_manifest = read(&x.join("manifest")) == "2";
            let is_whole = content == "123";
            assert!(is_whole || !has_manifest, "after operation {n}: {tree:?}");
            // And whoever knows no manifest finds the marker.
            let is_absent = content.is_empty();
            assert!(is_whole || is_marked || is_absent, "after operation {n}: {tree:?}");
            assert!(n < trace.n_events() || (is_whole && !is_marked), "lost: {tree:?}");
        }
    }
}

/// What somebody else does to his own files in the instant before an exchange is not lost with the
/// old directory.
#[test]
fn case_39_the_power_fails_after_an_exchange_that_others_got_into() {
    let dir = scratch();
    let scenario = super::scenario("a set by exchange");
    scenario.prepare(dir.path());
    let model = dir.path().join("model");
    let recording = Recording::start_with(dir.path(), move |call| {
        if call.op == Op::Exchange {
            let file = crate::NewFile::create(&model.join("precious")).expect("create");
            file.write_all_at(b"1", 0).expect("write");
            file.sync().expect("sync");
            crate::seam::sync_dir(&model).expect("sync");
        }
        Answer::Pretend
    });
    let recording = recording.expect("start");
    (scenario.act)(dir.path()).expect("save");
    let trace = recording.finish();
    let n_before = trace.n_events() - 12;
    for n in n_before..=trace.n_events() {
        for tree in trace.after_power_loss(n) {
            let dir = scratch();
            tree.write_to(dir.path()).expect("write");
            let mut found = false;
            super::walk(dir.path(), &mut |path, _| found |= path.ends_with("precious"));
            let is_made = format!("{:?}", trace.after_process_death(n)).contains("precious");
            assert!(found || !is_made || n < trace.n_events(), "after operation {n}: {tree:?}");
        }
    }
}

/// The suite would find a writer that forgets to sync: this one forgets everything.
#[test]
fn a_careless_writer_is_caught() {
    let dir = scratch();
    fs::write(dir.path().join("file"), "old").expect("write");
    let recording = Recording::start(dir.path()).expect("start");
    crate::write_new(&dir.path().join("new"), b"new content").expect("write");
    crate::seam::rename(&dir.path().join("new"), &dir.path().join("file")).expect("rename");
    let trace = recording.finish();
    let torn = trace.after_power_loss(trace.n_events()).into_iter().any(|tree| {
        let dir = scratch();
        tree.write_to(dir.path()).expect("write");
        let content = fs::read_to_string(dir.path().join("file")).expect("read");
        content != "old" && content != "new content"
    });
    assert!(torn, "an unsynced rename may leave an empty file");
}
