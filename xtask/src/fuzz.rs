//! `cargo xtask fuzz [seconds]`: the long forms of the random suites.
//!
//! Tests that can go on for as long as one likes read `FUZZ_SECONDS`; those that are merely slow run because
//! `RUN_SLOW_TESTS` is set. Coverage-guided targets live in the package `fuzz/`, outside the workspace.

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo};
use crate::workspace;

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let seconds: u64 = match arguments {
        [] => 600,
        [seconds] => {
            seconds.parse().with_context(|| format!("`{seconds}` is no number of seconds"))?
        }
        _ => bail!("one number of seconds at most"),
    };
    process::run(
        cargo(["test", "--release"])
            .env("RUN_SLOW_TESTS", "1")
            .env("FUZZ_SECONDS", seconds.to_string()),
    )?;
    let manifest = workspace::root().join("fuzz/Cargo.toml");
    if manifest.is_file() {
        let mut targets = cargo(["run", "--release", "--manifest-path"]);
        process::run(targets.arg(manifest).args(["--", &seconds.to_string()]))?;
    }
    Ok(())
}
