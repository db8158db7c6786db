//! Runs the real `pretrained` command.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::python::root;

/// The command with these arguments, not started yet.
pub(crate) fn pretrained<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program());
    // One thread each: the tests run beside each other, and OpenMP's threads wait for each other by spinning.
    command.args(arguments).env("OMP_NUM_THREADS", "1").stdin(Stdio::null());
    // What it keeps for its next run stays out of the user's own cache.
    command.env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    command
}

/// Runs it to a good end. Its stdout.
#[track_caller]
pub(crate) fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("the command starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}:\n{stderr}", output.status);
    String::from_utf8(output.stdout).expect("stdout is text")
}

/// Runs it to a bad end: exit code 1 and one line on stderr, which is returned.
#[track_caller]
pub(crate) fn fails(command: &mut Command) -> String {
    let output = command.output().expect("the command starts");
    let stderr = String::from_utf8(output.stderr).expect("stderr is text");
    assert_eq!(
        output.status.code(),
        Some(1),
        "{command:?} ended with {}:\n{stderr}",
        output.status
    );
    assert!(
        output.stdout.is_empty(),
        "{command:?} printed a result:\n{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{command:?} explains itself in one line:\n{stderr}");
    assert_eq!(
        stderr.lines().last(),
        errors.last().copied(),
        "the explanation comes last:\n{stderr}"
    );
    errors[0].to_owned()
}

/// Where the command is. Built here, so that no test ever runs yesterday's.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        build(&["-p", "pretrained-cli"]);
        build_dir().join("pretrained")
    })
}

/// Where the facade's examples are, built as the command is.
pub(crate) fn examples() -> &'static Path {
    static EXAMPLES: OnceLock<PathBuf> = OnceLock::new();
    EXAMPLES.get_or_init(|| {
        build(&["-p", "pretrained", "--features", "torch", "--examples"]);
        build_dir().join("examples")
    })
}

fn build(what: &[&str]) {
    let mut cargo = Command::new(env!("CARGO"));
    let status = cargo.args(["build", "--quiet"]).args(what).current_dir(root()).status();
    assert!(status.expect("cargo starts").success(), "{what:?} does not build");
}

/// The test binary is in `deps` there.
fn build_dir() -> PathBuf {
    let mut dir = std::env::current_exe().expect("a test knows where it is");
    dir.pop();
    dir.pop();
    dir
}
