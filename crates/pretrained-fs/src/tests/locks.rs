use std::{fs, path::PathBuf};

use super::{leftovers, scratch};
use crate::{Lock, LockError, StagedDir, StagedFile, recover, sweep};

#[test]
fn case_43_a_second_owner_is_told_who_the_first_is() {
    let dir = scratch();
    let path = dir.path().join("lock");
    let held = Lock::acquire(&path, "a training run").expect("free");
    let error = Lock::acquire(&path, "a training run").expect_err("held");
    let LockError::Held { owner: Some(owner), is_checked: true, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(owner.pid, std::process::id() as i32);
    let start = format!("{} is used by a training run of process ", dir.path().display());
    let text = error.to_string();
    assert!(text.starts_with(&start), "{text}");
    assert!(text.ends_with(" UTC; wait for it, stop it, or choose another directory"), "{text}");
    drop(held);
    drop(Lock::acquire(&path, "a training run").expect("free again"));
}

#[test]
fn case_43_a_dead_owners_lock_file_is_no_obstacle() {
    let dir = scratch();
    let path = dir.path().join("lock");
    fs::write(&path, "pid 1\nhost here\nsince 1970-01-01 00:00:00 UTC\n").expect("write");
    drop(Lock::acquire(&path, "a test").expect("nobody holds it"));
    assert!(!path.exists());
}

#[test]
fn a_lock_in_a_directory_that_is_not_there() {
    let dir = scratch();
    let error = Lock::acquire(&dir.path().join("no/lock"), "a test").expect_err("no directory");
    assert!(error.to_string().starts_with("create /"), "{error}");
}

#[test]
fn staging_in_use_is_not_swept() {
    let dir = scratch();
    let staged_dir = StagedDir::create(&dir.path().join("a")).expect("create");
    let staged_file = StagedFile::create(&dir.path().join("b")).expect("create");
    sweep(dir.path()).expect("sweep");
    assert!(staged_dir.path().exists());
    assert_eq!(leftovers(dir.path()).len(), 2);
    staged_dir.publish().expect("publish");
    staged_file.publish().expect("publish");
    assert_eq!(leftovers(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn two_writers_of_one_destination_do_not_meet() {
    let dir = scratch();
    let dest = dir.path().join("x");
    let first = StagedFile::create(&dest).expect("create");
    let second = StagedFile::create(&dest).expect("create");
    second.publish().expect("publish");
    first.publish().expect("publish");
    assert_eq!(leftovers(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn leftovers_of_the_dead_are_swept_by_the_next_writer() {
    let dir = scratch();
    fs::create_dir(dir.path().join(".pretrained-staged-x.00000000-1-0")).expect("create");
    fs::write(dir.path().join(".pretrained-staged-x.00000000-1-0/y"), "").expect("write");
    fs::write(dir.path().join(".pretrained-trash-x.00000000-1-1"), "").expect("write");
    fs::write(dir.path().join(".pretrained-staged-other.00000000-1-1"), "").expect("write");
    StagedFile::create(&dir.path().join("x")).expect("create").publish().expect("publish");
    // Another destination's are left to its own next writer, or to `sweep`.
    assert_eq!(leftovers(dir.path()).len(), 1);
    sweep(dir.path()).expect("sweep");
    assert_eq!(leftovers(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn readers_share_and_a_missing_directory_is_no_error() {
    let dir = scratch();
    let first = recover(dir.path()).expect("recover");
    let second = recover(dir.path()).expect("recover");
    drop((first, second));
    drop(recover(&dir.path().join("no")).expect("recover"));
    fs::write(dir.path().join("file"), "").expect("write");
    drop(recover(&dir.path().join("file")).expect("recover"));
}
