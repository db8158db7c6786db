//! A save is interrupted: by an error, by SIGKILL, by the power. Before it the directory has one
//! model and other files; after it the same model or the new one, never a mixture.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use pretrained_fs::faults::{Answer, Op, Recording, Watch, watch};

use super::{chain, data, listing, save_ab, spec, temp};
use crate::Artifact;

/// Lets syncs below `root` say that they succeeded: thousands of real ones take minutes.
fn without_syncs(root: &Path) -> Watch {
    watch(root, |call| match call.op {
        Op::SyncFile | Op::SyncDir => Answer::Pretend,
        _ => Answer::Proceed,
    })
}

/// Layouts to change from and to: the size of a shard decides.
const LAYOUTS: [(u64, u64); 4] = [(1000, 16), (16, 1000), (16, 16), (1000, 1000)];

/// A run's directory with a model, a file of somebody else's, and what else there is beside it.
fn prepare(root: &Path, max_shard_size: u64) {
    let _fast = without_syncs(root);
    let dir = root.join("model");
    save_ab(&dir, 1, max_shard_size).expect("save");
    fs::write(dir.join("README.md"), "mine").expect("write");
    fs::write(dir.join("pytorch_model.bin"), "stale").expect("write");
}

/// Which of the two models there is: the config, and every tensor, must be of one save.
#[track_caller]
fn salt_of(dir: &Path, why: &str) -> u8 {
    let artifact = Artifact::open(dir).unwrap_or_else(|e| panic!("{why}: {e:?}"));
    let salt = artifact.config().get("salt").and_then(|it| it.as_i64()).expect("the config's");
    let salt = u8::try_from(salt).expect("small");
    for spec in [spec("a", &[4]), spec("b", &[2, 2])] {
        let bytes = artifact.weights().read_tensor(&spec.name).expect("read");
        assert!(bytes == data(&spec, salt), "{why}: a mixture of saves");
    }
    assert_eq!(fs::read(dir.join("README.md")).expect("read"), b"mine", "{why}");
    salt
}

/// The next save goes through, and leaves nothing behind.
#[track_caller]
fn check_recovers(root: &Path, why: &str) {
    let _fast = without_syncs(root);
    let dir = root.join("model");
    save_ab(&dir, 3, 1000).unwrap_or_else(|e| panic!("{why}: {e:?}"));
    assert_eq!(salt_of(&dir, why), 3, "{why}");
    assert_eq!(listing(&dir), ["README.md", "config.json", "model.safetensors"], "{why}");
    assert_eq!(listing(root), ["model"], "{why}");
}

#[test]
fn every_operation_of_a_save_fails_once() {
    const ENOSPC: i32 = 28;
    const EIO: i32 = 5;
    for (from, to) in LAYOUTS {
        for errno in [ENOSPC, EIO] {
            for n in 0.. {
                let temp = temp();
                prepare(temp.path(), from);
                let n_calls = Arc::new(AtomicUsize::new(0));
                let counter = Arc::clone(&n_calls);
                let watching = watch(temp.path(), move |call| {
                    let is_sync = matches!(call.op, Op::SyncFile | Op::SyncDir);
                    match counter.fetch_add(1, Ordering::Relaxed) {
                        i if i == n => Answer::Fail(errno),
                        _ if is_sync => Answer::Pretend,
                        _ => Answer::Proceed,
                    }
                });
                let dir = temp.path().join("model");
                let saved = save_ab(&dir, 2, to);
                drop(watching);
                let why = format!("{from} to {to}, errno {errno} at operation {n}: {saved:?}");
                let salt = salt_of(&dir, &why);
                assert!(saved.is_err() || salt == 2, "{why}");
                check_recovers(temp.path(), &why);
                if n_calls.load(Ordering::Relaxed) <= n {
                    assert!(saved.is_ok(), "{why}");
                    break;
                }
            }
        }
    }
}

#[test]
fn the_power_fails_after_every_operation_of_a_save() {
    for (from, to) in LAYOUTS {
        let recorded = temp();
        prepare(recorded.path(), from);
        let recording = Recording::start(recorded.path()).expect("start");
        save_ab(&recorded.path().join("model"), 2, to).expect("undisturbed");
        let trace = recording.finish();
        let mut checked = BTreeSet::new();
        for n in 0..=trace.n_events() {
            for tree in trace.after_power_loss(n) {
                if !checked.insert(tree.clone()) && n < trace.n_events() {
                    continue;
                }
                let temp = temp();
                tree.write_to(temp.path()).expect("write");
                let why = format!("{from} to {to}, power lost after operation {n}");
                let salt = salt_of(&temp.path().join("model"), &why);
                let is_done = n == trace.n_events();
                assert!(salt == 2 || salt == 1 && !is_done, "{why}: {salt}");
                // A sample: a save takes longer than all the rest.
                if checked.len().is_multiple_of(16) {
                    check_recovers(temp.path(), &why);
                }
            }
        }
        assert!(checked.len() > trace.n_events() / 2, "nothing was at stake");
    }
}

const CHILD: &str = "PRETRAINED_ARTIFACT_KILLED_IN";

/// Not a test: the child that the test below kills. Saves one model over the other.
#[test]
fn child() {
    let Some(root) = std::env::var_os(CHILD) else { return };
    let dir = Path::new(&root).join("model");
    for salt in 1.. {
        save_ab(&dir, salt % 200, if salt % 3 == 0 { 16 } else { 1000 }).expect("save");
    }
}

#[test]
fn killed_at_random_instants() {
    let n_kills = if std::env::var_os("RUN_SLOW_TESTS").is_some() { 1000 } else { 25 };
    let temp = temp();
    prepare(temp.path(), 1000);
    let mut salts = BTreeSet::new();
    for i in 0..n_kills {
        let mut child = Command::new(std::env::current_exe().expect("own path"))
            .args(["--exact", "tests::durability::child", "--test-threads=1"])
            .env(CHILD, temp.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("spawn");
        thread::sleep(Duration::from_micros(3_000 + (i * 7919) % 50_000));
        assert_eq!(child.try_wait().expect("wait"), None, "the child could not save");
        child.kill().expect("kill");
        child.wait().expect("wait");
        salts.insert(salt_of(&temp.path().join("model"), &format!("killed {i} times")));
    }
    assert!(salts.len() > 1, "the child was always killed too early");
    check_recovers(temp.path(), "after all");
}

/// A full disk shows in the weights themselves, and is reported with the file's name.
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let temp = temp();
    prepare(temp.path(), 1000);
    let dir = temp.path().join("model");
    let watching = watch(temp.path(), |call| match call.op {
        Op::Write if call.path.ends_with("model.safetensors") => Answer::Fail(28),
        _ => Answer::Proceed,
    });
    let error = save_ab(&dir, 2, 1000).expect_err("the disk is full");
    drop(watching);
    let message = chain(&error);
    assert!(message.contains("model.safetensors: No space left on device"), "{message}");
    assert_eq!(message.matches("model.safetensors").count(), 1, "{message}");
    assert_eq!(salt_of(&dir, "the old model"), 1);
}
