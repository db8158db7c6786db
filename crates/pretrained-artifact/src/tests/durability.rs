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
    time::{Duration, Instant},
};

use pretrained_fs::faults::{Answer, Op, Recording, Watch, watch};
use pretrained_safetensors::TensorFile;

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
    // Some directories can be exchanged as a whole, and those that hold others cannot.
    if max_shard_size < 1000 {
        fs::create_dir(dir.join("runs")).expect("mkdir");
    }
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

/// The same for a reader such as transformers, which takes what is there under the usual names.
#[track_caller]
fn plain_salt_of(dir: &Path, why: &str) -> u8 {
    let config =
        fs::read_to_string(dir.join("config.json")).unwrap_or_else(|e| panic!("{why}: {e}"));
    let salt = serde_json::from_str::<serde_json::Value>(&config).expect("JSON")["salt"].as_u64();
    let salt = salt.and_then(|it| u8::try_from(it).ok()).expect("the config's");
    let single = dir.join("model.safetensors");
    let files: BTreeSet<String> = match single.exists() {
        true => BTreeSet::from(["model.safetensors".to_owned()]),
        false => {
            let index = fs::read_to_string(dir.join("model.safetensors.index.json"));
            let index = index.unwrap_or_else(|e| panic!("{why}: {e}"));
            let index = pretrained_safetensors::Index::parse(&index).expect("an index");
            index.weight_map().values().cloned().collect()
        }
    };
    let mut n_tensors = 0;
    for file in files {
        let file = TensorFile::read(&dir.join(file)).unwrap_or_else(|e| panic!("{why}: {e}"));
        for spec in [spec("a", &[4]), spec("b", &[2, 2])] {
            let Some(found) = file.tensor(&spec.name) else { continue };
            n_tensors += 1;
            assert!(found.data() == data(&spec, salt), "{why}: a plain reader sees a mixture");
        }
    }
    assert_eq!(n_tensors, 2, "{why}");
    salt
}

/// The next save goes through, and leaves nothing behind.
#[track_caller]
fn check_recovers(root: &Path, why: &str) {
    let _fast = without_syncs(root);
    let dir = root.join("model");
    save_ab(&dir, 3, 1000).unwrap_or_else(|e| panic!("{why}: {e:?}"));
    assert_eq!(salt_of(&dir, why), 3, "{why}");
    let left = listing(&dir).into_iter().filter(|it| it != "runs").collect::<Vec<_>>();
    assert_eq!(left, ["README.md", "config.json", "model.safetensors"], "{why}");
    assert_eq!(listing(root), ["model"], "{why}");
}

#[test]
fn case_35_36_every_operation_of_a_save_fails_once() {
    const ENOSPC: i32 = 28;
    const EDQUOT: i32 = 122;
    const EIO: i32 = 5;
    const EINTR: i32 = 4;
    for (from, to) in LAYOUTS {
        for errno in [ENOSPC, EDQUOT, EIO, EINTR] {
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
fn case_39_the_power_fails_after_every_operation_of_a_save() {
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
                plain_salt_of(&temp.path().join("model"), &why);
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
fn case_38_killed_at_random_instants() {
    let n_kills = if std::env::var_os("RUN_SLOW_TESTS").is_some() { 1000 } else { 25 };
    let temp = temp();
    prepare(temp.path(), 16);
    let mut salts = BTreeSet::new();
    let dir = temp.path().join("model");
    for i in 0..n_kills {
        let before = fs::read(dir.join("config.json")).ok();
        let mut child = Command::new(std::env::current_exe().expect("own path"))
            .args(["--exact", "tests::durability::child", "--test-threads=1"])
            .env(CHILD, temp.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("spawn");
        // Once it is at work, whatever the machine is doing besides.
        let start = Instant::now();
        let is_idle = || fs::read(dir.join("config.json")).ok() == before;
        while i % 4 != 0 && is_idle() && start.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(Duration::from_micros((i * 7919) % 20_000));
        assert_eq!(child.try_wait().expect("wait"), None, "the child could not save");
        child.kill().expect("kill");
        child.wait().expect("wait");
        // Whoever knows nothing of recovering sees one model, too.
        let why = format!("killed {i} times");
        plain_salt_of(&dir, &why);
        salts.insert(salt_of(&dir, &why));
    }
    assert!(salts.len() > 1, "the child was always killed too early");
    check_recovers(temp.path(), "after all");
}

/// A full disk shows in the weights themselves, and is reported with the file's name.
#[test]
fn case_35_a_full_disk_is_an_error_that_names_the_file() {
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
    let expected = format!(
        "write {} (make room and try again; what was there before is untouched): No space left on \
         device (os error 28)",
        dir.join("model.safetensors").display()
    );
    assert_eq!(message, expected);
    assert_eq!(salt_of(&dir, "the old model"), 1);
}

/// Short writes are gone on with, and interrupted ones repeated: the result is the same.
#[test]
fn case_34_short_and_interrupted_writes_and_reads_change_nothing() {
    for (from, to) in LAYOUTS {
        let temp = temp();
        prepare(temp.path(), from);
        let n_calls = AtomicUsize::new(0);
        let watching = watch(temp.path(), move |call| {
            let n = n_calls.fetch_add(1, Ordering::Relaxed);
            match call.op {
                Op::SyncFile | Op::SyncDir => Answer::Pretend,
                _ if n.is_multiple_of(2) => Answer::Fail(4), // EINTR
                _ => Answer::Short(3),
            }
        });
        let dir = temp.path().join("model");
        save_ab(&dir, 2, to).expect("save");
        assert_eq!(salt_of(&dir, "three bytes at a time"), 2);
        let report =
            crate::verify(&dir, &crate::VerifyOptions { values: true, ..Default::default() });
        assert_eq!(report.expect("verify").problems, Vec::<String>::new());
        drop(watching);
        check_recovers(temp.path(), "afterwards");
    }
}

/// Every read of opening and reading a model fails once, and once finds the end too early. What comes
/// out is an error with the file's name, or what was saved, and never something else.
#[test]
fn case_34_every_read_of_a_model_fails_once() {
    const EIO: Answer = Answer::Fail(5);
    for max_shard_size in [1000, 16] {
        for (answer, what) in [(EIO, "EIO"), (Answer::End, "an early end")] {
            let temp = temp();
            let dir = temp.path().join("model");
            save_ab(&dir, 1, max_shard_size).expect("save");
            for n in 0.. {
                let n_reads = Arc::new(AtomicUsize::new(0));
                let counter = Arc::clone(&n_reads);
                let watching = watch(temp.path(), move |call| match call.op {
                    Op::Read if counter.fetch_add(1, Ordering::Relaxed) == n => answer,
                    _ => Answer::Proceed,
                });
                let read = Artifact::open(&dir).and_then(|it| {
                    let names: Vec<&str> = it.weights().names().collect();
                    names.into_iter().map(|name| it.weights().read_tensor(name)).collect()
                });
                drop(watching);
                let why = format!("shards of {max_shard_size}, {what} at read {n}");
                let is_undisturbed = n_reads.load(Ordering::Relaxed) <= n;
                match read {
                    Ok::<Vec<Vec<u8>>, _>(tensors) => {
                        let expected = [spec("a", &[4]), spec("b", &[2, 2])].map(|it| data(&it, 1));
                        assert_eq!(tensors, expected, "{why}");
                    }
                    Err(error) => {
                        let message = chain(&error);
                        assert!(!is_undisturbed, "{why}: {message}");
                        assert!(message.contains(&dir.display().to_string()), "{why}: {message}");
                        let is_eio = message.contains("Input/output error");
                        assert_eq!(is_eio, answer == EIO, "{why}: {message}");
                    }
                }
                if is_undisturbed {
                    assert!(3 < n, "reads go around the seam");
                    break;
                }
            }
        }
    }
}
