//! A run that is killed with SIGKILL, at whatever instant, and resumed ends with the bytes of one that was not.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::command::{pretrained, succeeds};
use crate::tiny::Tiny;

const STEPS: u64 = 40;
const SAVE_STEPS: u64 = 4;

#[test]
fn killed_at_random_instants_and_resumed_equals_unbroken() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let _ = Tiny::get(); // Made before the clock starts.
    // Every other run leaves a part of the network as it is, whose file is one in all checkpoints.
    let unbroken = [&[][..], &["--freeze", "model.layers.0"]].map(|more| {
        let run = place(scratch.path(), &format!("unbroken-{}", more.len()));
        let started = Instant::now();
        succeeds(start_or_resume(&run).args(more));
        (more, started.elapsed(), everything(&run))
    });
    for ((_, _, files), name) in
        unbroken.iter().zip(["model.safetensors", "2-of-00002.safetensors"])
    {
        assert!(files.keys().any(|it| it.ends_with(name)), "{:?}", files.keys());
    }

    let mut random = Random::from_the_clock();
    // Over fifty kills; in the long form, over a thousand.
    let wanted = if env::var_os("RUN_SLOW_TESTS").is_some() { 1000 } else { 50 };
    let (mut killed, mut number) = (0, 0);
    while killed < wanted {
        number += 1;
        assert!(number <= wanted, "half of all runs are done before they are killed");
        let run = place(scratch.path(), &format!("killed-{number}"));
        let (more, duration, expected) = &unbroken[number % 2];
        let mut instants = Vec::new();
        // Killed at several instants, the later ones in the resumed process; then left to finish. One that
        // was done already was not killed.
        for _ in 0..3 {
            let part = random.fraction() / f64::from(instants.len() as u32 + 1);
            let instant = duration.mul_f64(part);
            instants.push(instant);
            killed += usize::from(kill_after(instant, start_or_resume(&run).args(*more)));
        }
        succeeds(start_or_resume(&run).args(*more));
        let found = everything(&run);
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>(),
            "killed after {instants:?}"
        );
        for (name, bytes) in expected {
            assert!(found[name] == *bytes, "{name} differs in a run killed after {instants:?}");
        }
    }
}

/// SIGTERM, as a scheduler sends it: the run saves where it is and says so by its exit code.
#[test]
fn case_40_sigterm_saves_a_checkpoint_and_ends() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let run = place(scratch.path(), "terminated");
    let (code, newest) = terminate(&run, 1, 1000);
    assert_eq!(code, Some(143));
    assert!(newest % 1000 != 0, "checkpoint {newest} was due anyway");
    succeeds(pretrained(["verify"]).arg(&run));
}

/// A second one does not wait for the step, nor for the checkpoint that the first one asked for.
/// What had been saved stays whole, and half a checkpoint is none.
#[test]
fn case_40_a_second_sigterm_ends_the_run_at_once() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let run = place(scratch.path(), "terminated");
    let (code, _) = terminate(&run, 2, 5);
    assert_eq!(code, Some(143));
    succeeds(pretrained(["verify"]).arg(&run));
}

/// Sends SIGTERM so many times to a run that is at work, and has a checkpoint if it saves so often. Its
/// exit code, and the step of the newest checkpoint it leaves.
fn terminate(run: &Path, times: usize, save_steps: u64) -> (Option<i32>, u64) {
    let steps = || {
        let entries = fs::read_dir(run).into_iter().flatten().flatten();
        let names = entries.map(|it| it.file_name().to_string_lossy().into_owned());
        let steps = names.filter_map(|it| it.strip_prefix("checkpoint-")?.parse::<u64>().ok());
        steps.max()
    };
    let mut command = Tiny::get().train(Path::new("run"), 1_000_000, save_steps);
    command.current_dir(run.parent().expect("a run has a place"));
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command starts");
    let is_logging = || run.join("metrics.jsonl").metadata().is_ok_and(|it| it.len() > 0);
    while !is_logging() || save_steps < 1000 && steps().is_none() {
        assert!(child.try_wait().expect("a child can be asked").is_none(), "it ended by itself");
        thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..times {
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill starts");
        assert!(sent.success() || times > 1, "nobody was there to be told");
    }
    let status = child.wait().expect("it ends");
    (status.code(), steps().unwrap_or_default())
}

/// Where one run goes: each has the same name, in a directory of its own.
fn place(scratch: &Path, name: &str) -> PathBuf {
    let dir = scratch.join(name);
    fs::create_dir(&dir).expect("created");
    dir.join("run")
}

/// Resumes as soon as there is something to resume from, as the README says.
fn start_or_resume(run: &Path) -> Command {
    // By its bare name, from the directory above: what a run is told is part of what it saves.
    let mut command = Tiny::get().train(Path::new("run"), STEPS, SAVE_STEPS);
    command.current_dir(run.parent().expect("a run has a place"));
    let has_checkpoint = fs::read_dir(run).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("checkpoint-"))
    });
    if has_checkpoint {
        command.arg("--resume");
    }
    command
}

/// Says whether it was still running.
fn kill_after(instant: Duration, command: &mut Command) -> bool {
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command starts");
    thread::sleep(instant);
    let _ = child.kill();
    let status = child.wait().expect("a killed process can be waited for");
    std::os::unix::process::ExitStatusExt::signal(&status).is_some()
}

/// Every file of a run and of its checkpoints, by its path, but for the two that tell how long things took.
fn everything(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(run).expect("the run is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if ["metrics.jsonl", "report.html"].contains(&name.as_str()) {
            continue;
        }
        if !entry.path().is_dir() {
            files.insert(name, fs::read(entry.path()).expect("a file of the run"));
            continue;
        }
        for file in fs::read_dir(entry.path()).expect("a checkpoint is a directory").flatten() {
            let path = format!("{name}/{}", file.file_name().to_string_lossy());
            files.insert(path, fs::read(file.path()).expect("a file of a checkpoint"));
        }
    }
    files
}

/// Another sequence each time: the guarantee holds for any instant, and a failure prints its own.
struct Random(u64);

impl Random {
    fn from_the_clock() -> Random {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        Random(now.as_nanos() as u64 | 1)
    }

    /// From 0 to 1. (xorshift64*)
    fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}
