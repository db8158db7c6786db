//! Reading a checkpoint back on a disk that fails.

use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use pretrained_fs::{
    KeptFile, NewFile,
    faults::{Answer, Op, watch},
};

use super::{save, scratch, steps};
use crate::{Checkpoints, Reason, verify};

const EIO: Answer = Answer::Fail(5);
const EINTR: Answer = Answer::Fail(4);

/// A checkpoint that cannot be read is passed over with the reason, the one before it is used, and
/// nothing is removed: the next process finds all of them whole.
#[test]
fn case_34_every_read_of_the_newest_checkpoint_fails_once() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    for step in [1, 2] {
        save(&run, step);
    }
    drop(run);
    for (answer, what) in [(EIO, "EIO"), (Answer::End, "an early end")] {
        let mut n_passed_over = 0;
        for n in 0.. {
            let n_reads = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&n_reads);
            let watching = watch(&dir.path().join("checkpoint-2"), move |call| match call.op {
                Op::Read if counter.fetch_add(1, Ordering::Relaxed) == n => answer,
                _ => Answer::Proceed,
            });
            let latest = Checkpoints::read(dir.path()).and_then(|it| it.latest()).expect("latest");
            drop(watching);
            let why = format!("{what} at read {n}: {latest:?}");
            let step = latest.checkpoint.map(|it| it.step);
            match latest.passed_over.as_slice() {
                [] => assert_eq!(step, Some(2), "{why}"),
                [it] => {
                    assert_eq!((it.checkpoint.step, step), (2, Some(1)), "{why}");
                    assert!(matches!(it.reason, Reason::Damaged(_)), "{why}");
                    n_passed_over += 1;
                }
                _ => panic!("{why}"),
            }
            if n_reads.load(Ordering::Relaxed) <= n {
                break;
            }
        }
        assert!(3 <= n_passed_over, "{what}: reads go around the seam");
    }
    let run = Checkpoints::open(dir.path()).expect("open");
    assert_eq!(steps(&run), [1, 2]);
    assert_eq!(run.latest().expect("latest").passed_over, []);
}

#[test]
fn case_34_short_and_interrupted_reads_find_it_whole() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    let path = save(&run, 1).checkpoint.path;
    let n_reads = AtomicUsize::new(0);
    let _watching = watch(dir.path(), move |call| match call.op {
        Op::Read if n_reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => EINTR,
        _ => Answer::Short(1),
    });
    assert!(verify(&path).expect("verify").is_whole());
}

/// A file that is known to be as it was is neither written nor read; one that somebody wrote to is both.
#[test]
fn what_is_taken_over_is_not_read_again() {
    let dir = scratch();
    let run = Checkpoints::open(dir.path()).expect("open");
    let mut kept: Option<KeptFile> = None;
    let mut save = |step| {
        let reads = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&reads);
        let watching = watch(dir.path(), move |call| {
            if call.op == Op::Read && call.path.ends_with("frozen") {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Answer::Proceed
        });
        let write = |dir: &Path| {
            pretrained_fs::write_new(&dir.join("weights"), format!("{step}").as_bytes())?;
            let path = dir.join("frozen");
            if let Some(kept) = &kept
                && kept.link_into(dir, "frozen")?
            {
                return Ok(());
            }
            let file = NewFile::create(&path)?;
            file.write_all_at(b"the same", 0)?;
            kept = Some(file.keep()?);
            Ok::<_, pretrained_fs::Error>(())
        };
        let path = run.save(step, write).expect("save").checkpoint.path;
        drop(watching);
        (path, reads.load(Ordering::Relaxed))
    };
    let inode = |path: &Path| fs::metadata(path.join("frozen")).expect("it is there").ino();
    let (first, n_first) = save(1);
    let (second, n_second) = save(2);
    assert!(n_first > 0, "reads go around the seam");
    assert_eq!((inode(&second), n_second), (inode(&first), 0));
    assert!(verify(&second).expect("looked at").is_whole());

    // Gone bad on the disk, where nothing shows: it is not certified as it is now.
    let frozen = fs::File::options().write(true).open(first.join("frozen")).expect("opened");
    let modified = frozen.metadata().and_then(|it| it.modified()).expect("a time");
    frozen.write_all_at(b"the sane", 0).expect("damaged");
    frozen.set_modified(modified).expect("hidden");
    fs::write(second.join("more"), "nothing that is verified any more").expect("written");
    let (third, n_third) = save(3);
    assert_eq!((inode(&third), n_third), (inode(&first), 0));
    assert!(!verify(&third).expect("looked at").is_whole());

    fs::write(first.join("frozen"), "the sane").expect("damaged");
    let (fourth, n_fourth) = save(4);
    assert!(inode(&fourth) != inode(&first) && n_fourth > 0);
    assert!(verify(&fourth).expect("looked at").is_whole());
}
