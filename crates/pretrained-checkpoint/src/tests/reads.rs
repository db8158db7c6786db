//! Reading a checkpoint back on a disk that fails.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use pretrained_fs::faults::{Answer, Op, watch};

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
