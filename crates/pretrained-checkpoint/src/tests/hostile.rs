//! The run-level inputs of the list that every part of this project is tested with, by name.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, SystemTime},
};

use pretrained_fs::{
    LockError,
    faults::{Answer, Op, watch},
};

use super::{latest, names, save, scratch, steps};
use crate::{Checkpoints, Damage, Error, Reason, Retention, verify};

#[test]
fn case_43_two_trainers_on_one_run() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    let error = Checkpoints::open(dir.path()).expect_err("one at a time");
    assert!(matches!(&error, Error::Lock(LockError::Held { owner: Some(_), .. })), "{error}");
    let start = format!(
        "{} is used by a training run of process {} on ",
        dir.path().display(),
        std::process::id()
    );
    assert!(error.to_string().starts_with(&start), "{error}");
    drop(run);
    drop(Checkpoints::open(dir.path()).expect("free again"));
}

#[test]
fn case_43_a_dead_owners_lock() {
    let dir = scratch();
    fs::write(dir.path().join(".pretrained-lock"), "pid 1\nhost x\nsince y\n").expect("write");
    drop(Checkpoints::open(dir.path()).expect("nobody holds it"));
}

#[test]
fn case_43_a_file_system_without_flock() {
    let dir = scratch();
    let _watching = watch(dir.path(), |call| match call.op {
        Op::Lock => Answer::Fail(37), // ENOLCK
        _ => Answer::Proceed,
    });
    let run = Checkpoints::open(dir.path()).expect("open");
    save(&run, 1);
    let error = Checkpoints::open(dir.path()).expect_err("one at a time");
    assert!(matches!(error, Error::Lock(LockError::Held { .. })), "{error}");
    drop(run);
    drop(Checkpoints::open(dir.path()).expect("free again"));
}

#[test]
fn case_44_the_clock_jumps_backwards() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    for step in [10, 20, 30] {
        let saved = save(&run, step);
        // The newest looks the oldest.
        let age = Duration::from_secs(step * 1000);
        let path = saved.checkpoint.path;
        let file = fs::File::open(&path).expect("open");
        file.set_modified(SystemTime::now() - age).expect("set");
    }
    assert_eq!(latest(&run), Some(30));
    run.rotate(&Retention::save_total_limit(Some(1), None)).expect("rotate");
    assert_eq!(steps(&run), [30]);
}

#[test]
fn case_44_all_times_are_equal() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    for step in [9, 10, 11] {
        let saved = save(&run, step);
        let file = fs::File::open(saved.checkpoint.path).expect("open");
        file.set_modified(SystemTime::UNIX_EPOCH).expect("set");
    }
    run.rotate(&Retention::save_total_limit(Some(2), None)).expect("rotate");
    assert_eq!(steps(&run), [10, 11]);
}

#[test]
fn case_45_checkpoint_9_is_older_than_checkpoint_10() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    for step in [10, 9, 100] {
        save(&run, step);
    }
    assert_eq!(steps(&run), [9, 10, 100]);
    assert_eq!(latest(&run), Some(100));
}

#[test]
fn case_45_foreign_directories_are_never_counted_and_never_touched() {
    let dir = scratch();
    let foreign = [
        "Checkpoint-13",
        "best",
        "checkpoint-",
        "checkpoint-+14",
        "checkpoint-007",
        "checkpoint-10-backup",
        "checkpoint-12.tmp",
        "checkpoint-99999999999999999999",
        "my-checkpoint-11",
    ];
    for name in foreign {
        fs::create_dir(dir.path().join(name)).expect("create");
        fs::write(dir.path().join(name).join("x"), "mine").expect("write");
    }
    fs::write(dir.path().join("checkpoint-15"), "a file").expect("write");
    let run = Checkpoints::open(dir.path()).expect("open");
    for step in [5, 6] {
        save(&run, step);
    }
    assert_eq!(steps(&run), [5, 6]);
    run.rotate(&Retention::save_total_limit(Some(1), None)).expect("rotate");
    let mut expected = foreign.to_vec();
    expected.extend(["checkpoint-15", "checkpoint-6"]);
    expected.sort_unstable();
    assert_eq!(names(dir.path()), expected);
}

#[test]
fn case_45_a_step_beyond_2_to_the_53() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    let step = (1 << 53) + 1;
    save(&run, step);
    save(&run, u64::MAX);
    save(&run, 0);
    assert_eq!(steps(&run), [0, step, u64::MAX]);
    assert_eq!(latest(&run), Some(u64::MAX));
}

#[test]
fn case_45_a_link_to_a_checkpoint_is_read_and_not_removed() {
    let dir = scratch();
    let elsewhere = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    save(&run, 1);
    let moved = elsewhere.path().join("checkpoint-1");
    copy_dir(&dir.path().join("checkpoint-1"), &moved);
    fs::remove_dir_all(dir.path().join("checkpoint-1")).expect("remove");
    symlink(&moved, dir.path().join("checkpoint-1")).expect("link");
    assert_eq!(latest(&run), Some(1));
    save(&run, 2);
    let rotated = run.rotate(&Retention::save_total_limit(Some(1), None)).expect("rotate");
    assert_eq!(rotated.removed, []);
    assert!(moved.join("weights").exists());
    symlink("nowhere", dir.path().join("checkpoint-3")).expect("link");
    assert_eq!(latest(&run), Some(2));
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).expect("create");
    for entry in fs::read_dir(from).expect("list") {
        let entry = entry.expect("list");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copy");
    }
}

/// Damages the newest of two checkpoints, and expects the older one and the reason.
#[track_caller]
fn check_fallback(spoil: impl Fn(&Path), expected: &str) {
    let dir = scratch();
    {
        let run = Checkpoints::open(dir.path()).expect("open");
        save(&run, 100);
        save(&run, 200);
    }
    spoil(&dir.path().join("checkpoint-200"));
    let before = names(dir.path());
    let run = Checkpoints::open(dir.path()).expect("open");
    let latest = run.latest().expect("latest");
    assert_eq!(latest.checkpoint.map(|it| it.step), Some(100));
    assert_eq!(latest.passed_over.len(), 1);
    assert_eq!(latest.passed_over[0].checkpoint.step, 200);
    assert_eq!(latest.passed_over[0].reason.to_string(), expected);

    // Nothing is deleted: neither the damaged one nor, though the limit is one, the last valid.
    let rotated = run.rotate(&Retention::save_total_limit(Some(1), None)).expect("rotate");
    assert_eq!(rotated.removed, []);
    assert_eq!(rotated.damaged.len(), 1);
    assert_eq!(names(dir.path()), before);
}

#[test]
fn case_47_the_newest_is_torn() {
    check_fallback(
        |it| fs::write(it.join("weights"), "weights of").expect("write"),
        "weights has 10 bytes, 60 were saved",
    );
    check_fallback(|it| fs::remove_file(it.join("weights")).expect("remove"), "weights is missing");
    check_fallback(
        |it| fs::write(it.join("manifest.json"), "{\"format\": 1,").expect("write"),
        "manifest.json is damaged: EOF while parsing a value at line 1 column 13",
    );
    check_fallback(
        |it| fs::remove_file(it.join("manifest.json")).expect("remove"),
        "it was not finished: it has no manifest.json, and trainer_state.json is missing",
    );
}

#[test]
fn case_47_the_newest_is_an_empty_directory() {
    let dir = scratch();
    save(&Checkpoints::open(dir.path()).expect("open"), 100);
    fs::create_dir(dir.path().join("checkpoint-200")).expect("create");
    let run = Checkpoints::read(dir.path()).expect("open");
    assert_eq!(run.latest().expect("latest").passed_over[0].checkpoint.step, 200);
    // There is nothing in it to lose.
    let run = Checkpoints::open(dir.path()).expect("open");
    assert_eq!(steps(&run), [100]);
    // And one that comes later is not in the way.
    fs::create_dir(dir.path().join("checkpoint-200")).expect("create");
    assert_eq!(save(&run, 200).set_aside, None);
}

#[test]
fn case_47_a_bit_of_the_newest_is_flipped() {
    check_fallback(
        |it| {
            let mut bytes = fs::read(it.join("weights")).expect("read");
            bytes[20] ^= 1;
            fs::write(it.join("weights"), bytes).expect("write");
        },
        "weights has changed since it was saved: its hash differs",
    );
}

#[test]
fn case_16_a_pipe_in_place_of_a_file_does_not_make_us_wait() {
    check_fallback(
        |it| {
            fs::remove_file(it.join("weights")).expect("remove");
            let status = std::process::Command::new("mkfifo").arg(it.join("weights")).status();
            assert!(status.expect("mkfifo").success());
        },
        "weights has 0 bytes, 60 were saved",
    );
}

#[test]
fn case_34_the_newest_cannot_be_read() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    save(&run, 100);
    save(&run, 200);
    let run = Checkpoints::read(dir.path()).expect("nothing is remembered");
    let _watching = watch(&dir.path().join("checkpoint-200/weights"), |call| match call.op {
        Op::Read => Answer::Fail(5), // EIO
        _ => Answer::Proceed,
    });
    let latest = run.latest().expect("latest");
    assert_eq!(latest.checkpoint.map(|it| it.step), Some(100));
    let Reason::Damaged(damage) = &latest.passed_over[0].reason else { panic!("damaged") };
    assert!(matches!(&damage[0], Damage::Unreadable { file, .. } if file == "weights"));
}

/// Damage done after a checkpoint was verified is found, too.
#[test]
fn rotation_looks_again_at_what_has_changed() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    for step in [1, 2, 3] {
        save(&run, step);
    }
    assert_eq!(latest(&run), Some(3));
    let weights = dir.path().join("checkpoint-3/weights");
    let mut bytes = fs::read(&weights).expect("read");
    bytes[0] ^= 1;
    fs::write(&weights, bytes).expect("write");
    let rotated = run.rotate(&Retention::save_total_limit(Some(1), None)).expect("rotate");
    assert_eq!(rotated.damaged[0].checkpoint.step, 3);
    assert_eq!(steps(&run), [2, 3]);
    assert!(!verify(&dir.path().join("checkpoint-3")).expect("verify").is_whole());
}
