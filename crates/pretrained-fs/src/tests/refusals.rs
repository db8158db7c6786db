//! File systems that do not do what others do.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::io::Errno;

use super::{lay_out, leftovers, read, scenario, scratch, stage_file, state_of};
use crate::{
    INCOMPLETE, Linkage, Lock, LockError, NewFile, StagedDir,
    faults::{Answer, Op, Watch, watch},
    link_or_copy, remove_dir_with_last, sweep_incomplete, write_new,
};

fn refuse(dir: &std::path::Path, op: Op, errno: Errno) -> Watch {
    watch(dir, move |call| match call.op == op {
        true => Answer::Fail(errno.raw_os_error()),
        false => Answer::Proceed,
    })
}

#[track_caller]
fn check_still_works(name: &str, op: Op, errnos: &[Errno]) {
    for errno in errnos {
        let dir = scratch();
        let scenario = scenario(name);
        scenario.prepare(dir.path());
        let watching = refuse(dir.path(), op, *errno);
        (scenario.act)(dir.path()).unwrap_or_else(|e| panic!("{name}, {op:?}, {errno}: {e:?}"));
        drop(watching);
        assert_eq!(read(dir.path()), state_of(scenario.new), "{name}, {op:?}, {errno}");
        assert_eq!(leftovers(dir.path()), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn case_37_no_exchange_then_links() {
    let errnos = [Errno::INVAL, Errno::NOSYS, Errno::XDEV, Errno::PERM, Errno::BUSY];
    check_still_works("a set by exchange", Op::Exchange, &errnos);
}

#[test]
fn case_37_no_symbolic_links_then_a_journal() {
    let errnos = [Errno::PERM, Errno::NOSYS, Errno::OPNOTSUPP];
    check_still_works("a set by links", Op::Symlink, &errnos);
}

#[test]
fn case_37_no_hard_links_then_a_journal_or_a_copy() {
    let errnos = [Errno::PERM, Errno::OPNOTSUPP, Errno::MLINK, Errno::XDEV];
    check_still_works("a set by exchange", Op::Link, &errnos);
    check_still_works("a set by links", Op::Link, &errnos);
    check_still_works("a new directory", Op::Link, &errnos);
}

#[test]
fn case_37_no_directory_fsync() {
    for name in ["a new file", "a new directory", "a set by links", "a directory removed"] {
        check_still_works(name, Op::SyncDir, &[Errno::INVAL, Errno::OPNOTSUPP]);
    }
}

#[test]
fn case_37_no_locks() {
    let errnos = [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP];
    for name in ["a new file", "a new directory", "a set by exchange", "a set by links"] {
        check_still_works(name, Op::Lock, &errnos);
    }
}

#[test]
fn case_37_no_fallocate() {
    let dir = scratch();
    let _watching = refuse(dir.path(), Op::Allocate, Errno::OPNOTSUPP);
    let file = NewFile::create(&dir.path().join("x")).expect("create");
    file.allocate(1 << 40).expect("not reserved, not an error");
    file.write_all_at(b"abc", 2).expect("write");
    assert_eq!(fs::read(dir.path().join("x")).expect("read"), b"\0\0abc");
}

#[test]
fn case_35_no_space_at_preallocation() {
    let dir = scratch();
    let _watching = refuse(dir.path(), Op::Allocate, Errno::NOSPC);
    let file = NewFile::create(&dir.path().join("x")).expect("create");
    let error = file.allocate(10).expect_err("full");
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert!(error.to_string().starts_with("reserve space for /"), "{error}");
}

#[test]
fn case_37_no_rename_is_a_clear_error() {
    for errno in [Errno::NOSYS, Errno::PERM, Errno::OPNOTSUPP, Errno::XDEV] {
        let dir = scratch();
        lay_out(dir.path(), &[("file", "old")]);
        let watching = refuse(dir.path(), Op::Rename, errno);
        let error = stage_file(&dir.path().join("file")).expect_err("refused").to_string();
        drop(watching);
        let advice = "(this file system does not rename; save to a local directory and copy the \
                      result there)";
        assert!(error.ends_with(advice), "{error}");
        assert_eq!(read(dir.path()), state_of(&[("file", "old")]));
        assert_eq!(leftovers(dir.path()), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn case_37_no_rename_then_copies_with_the_marker_last() {
    let dir = scratch();
    let dest = dir.path().join("checkpoint");
    let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (seen, at) = (order.clone(), dest.clone());
    let watching = watch(dir.path(), move |call| match call.op {
        Op::Rename => Answer::Fail(Errno::NOSYS.raw_os_error()),
        Op::CreateFile | Op::RemoveFile if call.path.parent() == Some(&at) => {
            let name = call.path.file_name().expect("name").to_string_lossy().into_owned();
            seen.lock().expect("lock").push(name);
            Answer::Proceed
        }
        _ => Answer::Proceed,
    });
    let staged = StagedDir::create(&dest).expect("create");
    for name in ["a", "manifest", "z"] {
        write_new(&staged.path().join(name), name.as_bytes()).expect("write");
    }
    staged.publish_with_last("manifest").expect("publish");
    drop(watching);
    assert_eq!(*order.lock().expect("lock"), [INCOMPLETE, "a", "z", "manifest", INCOMPLETE]);
    assert_eq!(leftovers(dir.path()), Vec::<std::path::PathBuf>::new());
    assert_eq!(fs::read(dest.join("z")).expect("read"), b"z");
}

#[test]
fn case_37_no_rename_and_a_failed_last_sync_then_what_is_in_place_stays() {
    let dir = scratch();
    let dest = dir.path().join("checkpoint");
    let (is_unmarked, at) = (AtomicBool::new(false), dest.clone());
    let watching = watch(dir.path(), move |call| match call.op {
        Op::Rename => Answer::Fail(Errno::NOSYS.raw_os_error()),
        Op::RemoveFile if call.path == at.join(INCOMPLETE) => {
            is_unmarked.store(true, Ordering::Relaxed);
            Answer::Proceed
        }
        Op::SyncDir if is_unmarked.load(Ordering::Relaxed) && call.path == at => {
            Answer::Fail(Errno::IO.raw_os_error())
        }
        _ => Answer::Proceed,
    });
    let staged = StagedDir::create(&dest).expect("create");
    for name in ["a", "manifest"] {
        write_new(&staged.path().join(name), name.as_bytes()).expect("write");
    }
    let error = staged.publish_with_last("manifest").expect_err("not durable");
    drop(watching);
    assert!(error.is_in_place(), "{error}");
    assert_eq!(fs::read(dest.join("a")).expect("read"), b"a");
    assert_eq!(fs::read(dest.join("manifest")).expect("read"), b"manifest");
}

#[test]
fn case_37_no_rename_then_empties_with_the_marker_last() {
    let dir = scratch();
    lay_out(dir.path(), &[("x/a", "1"), ("x/manifest", "2"), ("x/inner/b", "3")]);
    let x = dir.path().join("x");
    let _watching = refuse(dir.path(), Op::Rename, Errno::XDEV);
    remove_dir_with_last(&x, "manifest").expect("remove");
    assert!(!x.exists());

    // What a crash left of it is recognised.
    lay_out(dir.path(), &[("x/a", "1"), ("x/.pretrained-incomplete", ""), ("y/a", "1")]);
    assert!(sweep_incomplete(&x, "manifest", |_| false).expect("sweep"));
    assert!(!x.exists());
    assert!(!sweep_incomplete(&dir.path().join("y"), "manifest", |_| false).expect("sweep"));
    lay_out(dir.path(), &[("x/manifest", "1"), ("x/.pretrained-incomplete", "")]);
    assert!(!sweep_incomplete(&x, "manifest", |_| true).expect("sweep"), "it is complete");
}

#[test]
fn case_43_no_flock_then_the_file_is_the_lock() {
    let dir = scratch();
    let path = dir.path().join("lock");
    let _watching = refuse(dir.path(), Op::Lock, Errno::NOLCK);
    let held = Lock::acquire(&path, "a test").expect("free");
    let error = Lock::acquire(&path, "a test").expect_err("held");
    assert!(matches!(&error, LockError::Held { is_checked: true, .. }), "{error}");
    drop(held);
    drop(Lock::acquire(&path, "a test").expect("free again"));
    assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 0);

    // A dead process of this machine is no obstacle; of another machine we cannot know.
    let owner = path.with_file_name("lock.owner");
    let host = crate::staging::host_name();
    fs::write(&owner, format!("pid 2147483647\nhost {host}\nsince then\n")).expect("write");
    drop(Lock::acquire(&path, "a test").expect("its owner is dead"));
    fs::write(&owner, "pid 1\nhost elsewhere\nsince then\n").expect("write");
    let error = Lock::acquire(&path, "a test").expect_err("held").to_string();
    let expected = format!(
        "{} is used by a test of process 1 on elsewhere since then; if it is not running any \
         more, remove {}",
        dir.path().display(),
        owner.display()
    );
    assert_eq!(error, expected);
}

#[test]
fn clones_and_links_and_copies() {
    let dir = scratch();
    write_new(&dir.path().join("from"), b"content").expect("write");
    let how = link_or_copy(&dir.path().join("from"), &dir.path().join("a")).expect("link");
    assert_ne!(how, Linkage::Copied);
    let watching = refuse(dir.path(), Op::Clone, Errno::OPNOTSUPP);
    let how = link_or_copy(&dir.path().join("from"), &dir.path().join("b")).expect("link");
    assert_eq!(how, Linkage::Linked);
    drop(watching);
    let _watching = watch(dir.path(), |call| match call.op {
        Op::Clone | Op::Link => Answer::Fail(Errno::PERM.raw_os_error()),
        _ => Answer::Proceed,
    });
    let how = link_or_copy(&dir.path().join("from"), &dir.path().join("c")).expect("copy");
    assert_eq!(how, Linkage::Copied);
    for name in ["a", "b", "c"] {
        assert_eq!(fs::read(dir.path().join(name)).expect("read"), b"content");
    }
}
