//! A real child process, killed at random instants.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{is_model_file, lay_out, leftovers, read};
use crate::{StagedSet, recover, sweep, write_new};

const DIR: &str = "PRETRAINED_FS_KILLED_IN";

/// Not a test: the child that the tests below kill. Saves generation after generation.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    for generation in 0.. {
        save(Path::new(&dir), generation).expect("save");
    }
}

/// Each generation has another number of files, so that stale ones show.
fn save(dir: &Path, generation: u64) -> Result<(), crate::Error> {
    let staged = StagedSet::create(&dir.join("model"), is_model_file)?.gate("config.json");
    write_new(&staged.path().join("config.json"), generation.to_string().as_bytes())?;
    for i in 0..generation % 4 + 1 {
        let content = format!("{generation} ").repeat(2000);
        write_new(&staged.path().join(format!("weights-{i}")), content.as_bytes())?;
    }
    staged.publish()
}

/// What a save of one generation leaves.
fn check_whole(dir: &Path) -> u64 {
    let state = read(dir);
    let generation = state.get("model/config.json").unwrap_or_else(|| panic!("no config"));
    let generation: u64 = generation.parse().expect("a number");
    let weights: Vec<&String> =
        state.iter().filter(|it| it.0.starts_with("model/weights-")).map(|it| it.1).collect();
    assert_eq!(weights.len() as u64, generation % 4 + 1, "generation {generation}");
    let content = format!("{generation} ").repeat(2000);
    assert!(weights.iter().all(|it| **it == content), "generation {generation} is torn");
    generation
}

fn check_kills(files: &[(&str, &str)]) {
    let n_kills = if std::env::var_os("RUN_SLOW_TESTS").is_some() { 1000 } else { 15 };
    let dir = tempfile::tempdir().expect("temp dir");
    lay_out(dir.path(), files);
    save(dir.path(), 0).expect("save");
    let mut n_advanced = 0;
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
        let config = || fs::read(dir.path().join("model/config.json")).ok();
        let (before, start) = (config(), Instant::now());
        while i % 4 != 0 && config() == before && start.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(Duration::from_micros((i * 7919) % 20_000));
        child.kill().expect("kill");
        child.wait().expect("wait");

        // Whoever knows nothing of `recover` sees a whole set, too.
        check_whole(dir.path());
        drop(recover(&dir.path().join("model")).expect("recover"));
        let generation = check_whole(dir.path());
        n_advanced += u64::from(generation != last);
        last = generation;
        for (name, content) in files {
            assert_eq!(fs::read_to_string(dir.path().join(name)).expect("read"), *content);
        }
    }
    assert!(n_kills / 2 <= n_advanced, "{n_advanced} of {n_kills} were at work");
    save(dir.path(), 1).expect("save");
    sweep(dir.path()).expect("sweep");
    assert_eq!(leftovers(dir.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn case_38_killed_while_it_exchanges_directories() {
    check_kills(&[("model/notes", "mine")]);
}

#[test]
fn case_38_killed_while_links_stand_in() {
    check_kills(&[("model/notes", "mine"), ("model/runs/x", "log")]);
}
