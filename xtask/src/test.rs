//! `cargo xtask test`: every test there is.

use std::path::Path;

use anyhow::Result;

use crate::process::{self, cargo};
use crate::{libtorch, venv};

/// The packages that link libtorch; everything else is a default member of the workspace.
pub(crate) const TORCH_PACKAGES: [&str; 8] = [
    "-p",
    "pretrained-torch",
    "-p",
    "pretrained",
    "-p",
    "pretrained-cli",
    "-p",
    "pretrained-tests",
];

/// The features under which they do.
pub(crate) const TORCH_FEATURES: [&str; 2] =
    ["--features", "pretrained/torch,pretrained-tests/torch"];

pub(crate) fn all() -> Result<()> {
    libtorch::ensure()?;
    let python = venv::parity()?;
    // Plain tests that have something to compare with Python do so where they are told which.
    process::run(cargo(["test"]).env(PYTHON, &python))?;
    with_torch(&python)
}

/// What needs rustc only.
pub(crate) fn plain() -> Result<()> {
    process::run(cargo(["test"]).env_remove(PYTHON))
}

/// What needs libtorch; it and Python's packages are installed first where they are missing.
pub(crate) fn torch() -> Result<()> {
    libtorch::ensure()?;
    with_torch(&venv::parity()?)
}

fn with_torch(python: &Path) -> Result<()> {
    let mut tests = cargo(["test"]);
    // One thread each: the tests run beside each other, and OpenMP's threads wait for each other by spinning.
    tests.args(TORCH_PACKAGES).args(TORCH_FEATURES).env(PYTHON, python).env("OMP_NUM_THREADS", "1");
    process::run(&mut tests)
}

/// The environment variable that names the interpreter with everything that tests compare against.
const PYTHON: &str = "PRETRAINED_PYTHON";
