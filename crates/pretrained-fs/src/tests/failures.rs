//! The n-th operation fails, for every n and every error.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustix::io::Errno;

use super::{SCENARIOS, Scenario, Seen, scratch};
use crate::{
    Error,
    faults::{Answer, Call, Op, watch},
};

/// Runs a scenario while `answer` decides about its n-th operation. Says how many there were.
fn run(
    scenario: &Scenario,
    why: &str,
    answer: impl Fn(usize, &Call<'_>) -> Answer + Send + Sync + 'static,
) -> usize {
    let dir = scratch();
    scenario.prepare(dir.path());
    let n_calls = Arc::new(AtomicUsize::new(0));
    let synced = Arc::new(Mutex::new(Vec::new()));
    let watching = {
        let (n_calls, synced) = (Arc::clone(&n_calls), Arc::clone(&synced));
        watch(dir.path(), move |call| {
            let answer = answer(n_calls.fetch_add(1, Ordering::Relaxed), call);
            let is_sync = matches!(call.op, Op::SyncFile | Op::SyncDir);
            if is_sync {
                // A refusal is not a failure.
                let is_failed = matches!(answer, Answer::Fail(it) if GONE_WRONG.contains(&it));
                synced.lock().expect("lock").push((call.path.to_owned(), is_failed));
            }
            if is_sync && answer == Answer::Proceed { Answer::Pretend } else { answer }
        })
    };
    let res = (scenario.act)(dir.path());
    drop(watching);

    let synced = synced.lock().expect("lock").clone();
    if let Some(failed) = synced.iter().position(|it| it.1) {
        let again = synced[failed + 1..].iter().any(|it| it.0 == synced[failed].0);
        assert!(!again, "{}, {why}: the sync of {:?} was retried", scenario.name, synced[failed].0);
    }
    check(scenario, dir.path(), &res, why);
    n_calls.load(Ordering::Relaxed)
}

/// Errors that mean that something was lost.
const GONE_WRONG: [i32; 4] = [
    Errno::IO.raw_os_error(),
    Errno::NOSPC.raw_os_error(),
    Errno::DQUOT.raw_os_error(),
    Errno::INTR.raw_os_error(),
];

fn check(scenario: &Scenario, dir: &Path, res: &Result<(), Error>, why: &str) {
    let why = format!("{why}, {res:?}");
    let seen: &[Seen] = match res {
        Ok(()) => &[Seen::New],
        // It says that it is in place; all others say that nothing has happened, or, when the
        // operation that failed comes after the commit, do not deny it.
        Err(e) if e.is_in_place() => &[Seen::New],
        Err(_) => &[Seen::Old, Seen::New],
    };
    scenario.check(dir, seen, &why);
}

#[track_caller]
fn check_each_fails_once(errno: Errno) {
    for scenario in SCENARIOS {
        let n_calls = run(scenario, "undisturbed", |_, _| Answer::Proceed);
        for n in 0..n_calls {
            let fail = Answer::Fail(errno.raw_os_error());
            run(scenario, &format!("{errno} at operation {n}"), move |i, _| {
                if i == n { fail } else { Answer::Proceed }
            });
        }
    }
}

#[test]
fn case_35_enospc_at_every_operation() {
    check_each_fails_once(Errno::NOSPC);
}

#[test]
fn case_35_edquot_at_every_operation() {
    check_each_fails_once(Errno::DQUOT);
}

#[test]
fn case_36_eio_at_every_operation_fsync_included_and_never_retried() {
    check_each_fails_once(Errno::IO);
}

#[test]
fn case_37_eacces_and_erofs_at_every_operation() {
    check_each_fails_once(Errno::ACCESS);
    check_each_fails_once(Errno::ROFS);
}

/// A refusal may be answered with a second way, which must be as good.
#[test]
fn case_37_refusals_at_every_operation() {
    check_each_fails_once(Errno::NOSYS);
    check_each_fails_once(Errno::INVAL);
    check_each_fails_once(Errno::OPNOTSUPP);
    check_each_fails_once(Errno::PERM);
    check_each_fails_once(Errno::XDEV);
}

#[test]
fn case_34_eintr_at_every_operation_is_retried_but_for_fsync() {
    for scenario in SCENARIOS {
        let n_calls = run(scenario, "undisturbed", |_, _| Answer::Proceed);
        for n in 0..n_calls {
            run(scenario, &format!("EINTR at operation {n}"), move |i, _| match i == n {
                true => Answer::Fail(Errno::INTR.raw_os_error()),
                false => Answer::Proceed,
            });
        }
        // Whatever is not a sync must then succeed.
        let dir = scratch();
        scenario.prepare(dir.path());
        let is_odd = Arc::new(AtomicUsize::new(0));
        let watching = watch(dir.path(), move |call| match call.op {
            Op::SyncFile | Op::SyncDir => Answer::Pretend,
            _ if is_odd.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
                Answer::Fail(Errno::INTR.raw_os_error())
            }
            _ => Answer::Proceed,
        });
        (scenario.act)(dir.path()).expect("every other call is interrupted");
        drop(watching);
    }
}

#[test]
fn case_34_short_writes() {
    for scenario in SCENARIOS {
        run(scenario, "one byte at a time", |_, _| Answer::Short(1));
        run(scenario, "three bytes at a time", |_, _| Answer::Short(3));
    }
}

/// The disk stays full from the n-th operation on; removing still works.
#[test]
fn case_35_a_disk_that_stays_full_loses_nothing() {
    let needs_space =
        |op| matches!(op, Op::CreateDir | Op::CreateFile | Op::Write | Op::Allocate | Op::Link);
    for scenario in SCENARIOS {
        let n_calls = run(scenario, "undisturbed", |_, _| Answer::Proceed);
        for n in 0..n_calls {
            run(scenario, &format!("full from operation {n} on"), move |i, call| {
                match n <= i && needs_space(call.op) {
                    true => Answer::Fail(Errno::NOSPC.raw_os_error()),
                    false => Answer::Proceed,
                }
            });
        }
    }
}

/// The disk fails for good: nothing works any more, cleaning up included.
#[test]
fn case_36_a_disk_that_dies_at_every_operation() {
    for scenario in SCENARIOS {
        let n_calls = run(scenario, "undisturbed", |_, _| Answer::Proceed);
        for n in 0..n_calls {
            let dir = scratch();
            scenario.prepare(dir.path());
            let i = AtomicUsize::new(0);
            let watching = watch(dir.path(), move |call| {
                if n <= i.fetch_add(1, Ordering::Relaxed) {
                    return Answer::Fail(Errno::IO.raw_os_error());
                }
                match call.op {
                    Op::SyncFile | Op::SyncDir => Answer::Pretend,
                    _ => Answer::Proceed,
                }
            });
            let res = (scenario.act)(dir.path());
            drop(watching);
            check(scenario, dir.path(), &res, &format!("dead from operation {n} on"));
        }
    }
}
