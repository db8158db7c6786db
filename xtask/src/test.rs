//! `cargo xtask test`: every test there is.

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
    plain()?;
    torch()
}

/// What needs rustc only.
pub(crate) fn plain() -> Result<()> {
    process::run(&mut cargo(["test"]))
}

/// What needs libtorch or Python; both are installed first where they are missing.
pub(crate) fn torch() -> Result<()> {
    libtorch::ensure()?;
    venv::parity()?;
    process::run(cargo(["test"]).args(TORCH_PACKAGES).args(TORCH_FEATURES))
}
