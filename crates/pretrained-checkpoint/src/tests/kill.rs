//! A real trainer, killed at random instants.

use std::{
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{content_of, fill};
use crate::{Checkpoints, Retention, verify};

const DIR: &str = "PRETRAINED_CHECKPOINT_KILLED_IN";

/// Not a test: the child that the test below kills. Resumes, saves step after step, rotates.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let run = Checkpoints::open(Path::new(&dir)).expect("open");
    let latest = run.latest().expect("latest");
    assert_eq!(latest.passed_over, []);
    let mut step = latest.checkpoint.map_or(0, |it| it.step);
    loop {
        step += 1;
        run.save(step, |dir| fill(dir, step)).expect("save");
        run.rotate(&Retention::save_total_limit(Some(2), None)).expect("rotate");
    }
}

#[test]
fn case_38_killed_at_random_instants_and_resumed() {
    let n_kills = if std::env::var_os("RUN_SLOW_TESTS").is_some() { 1000 } else { 15 };
    let dir = tempfile::tempdir().expect("temp dir");
    let mut last = 0;
    for i in 0..n_kills {
        let mut child = Command::new(std::env::current_exe().expect("own path"))
            .args(["--exact", "tests::kill::child", "--test-threads=1"])
            .env(DIR, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("spawn");
        // Once it is at work, whatever the machine is doing besides.
        let is_at_work = || {
            let listed = Checkpoints::read(dir.path()).and_then(|it| it.list()).unwrap_or_default();
            listed.last().is_some_and(|it| last < it.step)
        };
        let start = Instant::now();
        while i % 4 != 0 && !is_at_work() && start.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(Duration::from_micros((i * 7919) % 20_000));
        let died = child.try_wait().expect("wait");
        assert_eq!(died, None, "the child stopped by itself: it could not resume");
        child.kill().expect("kill");
        child.wait().expect("wait");

        let run = Checkpoints::open(dir.path()).expect("open");
        let latest = run.latest().expect("latest");
        assert_eq!(latest.passed_over, [], "killed {i} times");
        let step = latest.checkpoint.map_or(0, |it| it.step);
        assert!(last <= step, "step {last} was saved, {step} is left");
        last = step;
        for checkpoint in run.list().expect("list") {
            assert!(verify(&checkpoint.path).expect("verify").is_whole());
            let weights = std::fs::read_to_string(checkpoint.path.join("weights")).expect("read");
            assert_eq!(weights, content_of(checkpoint.step));
        }
    }
    assert!(n_kills / 2 <= last, "{last} steps after {n_kills} kills");
    let run = Checkpoints::open(dir.path()).expect("open");
    run.rotate(&Retention::save_total_limit(Some(2), None)).expect("rotate");
    assert!(super::names(dir.path()).len() <= 2, "something is left over");
}
