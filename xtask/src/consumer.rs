//! `cargo xtask consumer`: builds, as somebody else would, programs outside the workspace that depend on single crates
//! by path, and runs those that need no libtorch and no model.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::process::{self, cargo};
use crate::{libtorch, workspace};

pub(crate) fn plain() -> Result<()> {
    prepare()?;
    process::run(consumer("check").args(["-p", "consumer-facade"]))?;
    let scratch = workspace::target_dir().join("consumer");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("remove {}", scratch.display()))?;
    }
    fs::create_dir_all(&scratch).with_context(|| format!("create {}", scratch.display()))?;
    for (package, place, expected) in [
        ("consumer-safetensors", "x.safetensors", "F32 [2, 3] [7, 7"),
        ("consumer-checkpoint", "run", "300 of 2"),
    ] {
        let mut run = consumer("run");
        run.args(["-p", package, "--"]).arg(scratch.join(place));
        let said = process::output(&mut run)?;
        ensure!(said.contains(expected), "{package} said {said:?}, and not {expected:?}");
    }
    Ok(())
}

pub(crate) fn torch() -> Result<()> {
    libtorch::ensure()?;
    prepare()?;
    process::run(consumer("check").args(["-p", "consumer-facade-torch"]))
}

/// The versions that the workspace is tested with, so that what is built is not built again.
fn prepare() -> Result<()> {
    let (from, to) = (workspace::root().join("Cargo.lock"), dir().join("Cargo.lock"));
    fs::copy(&from, &to).map(drop).with_context(|| format!("copy {}", from.display()))
}

fn consumer(command: &'static str) -> std::process::Command {
    let mut cargo = cargo([command, "--quiet", "--manifest-path"]);
    cargo.arg(dir().join("Cargo.toml")).arg("--target-dir").arg(workspace::target_dir());
    cargo
}

fn dir() -> std::path::PathBuf {
    workspace::root().join("tests/consumer")
}
