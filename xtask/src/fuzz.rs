//! `cargo xtask fuzz [target] [seconds]`: the long forms of the random suites, or one coverage-guided target.
//!
//! Tests that can go on for as long as one likes read `FUZZ_SECONDS`; those that are merely slow run because
//! `RUN_SLOW_TESTS` is set. Coverage-guided targets live in the package `fuzz/`, outside the workspace.

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo};
use crate::workspace;

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let is_number = |it: &str| it.bytes().all(|byte| byte.is_ascii_digit());
    let (target, seconds) = match arguments {
        [] => (None, "600"),
        [seconds] if is_number(seconds) => (None, *seconds),
        [target] => (Some(*target), "600"),
        [target, seconds] => (Some(*target), *seconds),
        _ => bail!("a target and a number of seconds at most"),
    };
    let seconds: u64 =
        seconds.parse().with_context(|| format!("`{seconds}` is no number of seconds"))?;
    if target.is_none() {
        process::run(
            cargo(["test", "--release"])
                .env("RUN_SLOW_TESTS", "1")
                .env("FUZZ_SECONDS", seconds.to_string()),
        )?;
    }
    let manifest = workspace::root().join("fuzz/Cargo.toml");
    let mut targets = cargo(["run", "--release", "--manifest-path"]);
    targets.arg(manifest).args(["--", &seconds.to_string()]).args(target);
    process::run(&mut targets)
}
