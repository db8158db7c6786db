//! `cargo xtask lint`: formatting and clippy, warnings as errors.

use anyhow::Result;

use crate::libtorch;
use crate::process::{self, cargo};
use crate::test::{TORCH_FEATURES, TORCH_PACKAGES};

pub(crate) fn run() -> Result<()> {
    format()?;
    plain()?;
    torch()
}

pub(crate) fn format() -> Result<()> {
    process::run(&mut cargo(["fmt", "--all", "--check"]))
}

pub(crate) fn plain() -> Result<()> {
    process::run(cargo(["clippy", "--all-targets", "--"]).args(WARNINGS))?;
    process::run(cargo(["clippy", "--"]).args(WARNINGS).args(ONE_CRATE_PUBLISHES))
}

/// Without libtorch the bindings are only type-checked, which is all that clippy asks for.
pub(crate) fn torch() -> Result<()> {
    let mut features = TORCH_FEATURES.map(str::to_owned);
    if !libtorch::is_there() {
        features[1] += ",pretrained-torch/doc-only";
    }
    process::run(
        cargo(["clippy", "--all-targets"])
            .args(TORCH_PACKAGES)
            .args(&features)
            .arg("--")
            .args(WARNINGS),
    )?;
    process::run(
        cargo(["clippy"])
            .args(TORCH_PACKAGES)
            .args(&features)
            .arg("--")
            .args(WARNINGS)
            .args(ONE_CRATE_PUBLISHES),
    )
}

const WARNINGS: [&str; 2] = ["-D", "warnings"];

/// Nothing but `pretrained-fs` renames, syncs or removes (`clippy.toml` has the list). Asked of libraries and programs
/// only: a test may damage files as it likes.
const ONE_CRATE_PUBLISHES: [&str; 2] = ["-D", "clippy::disallowed_methods"];
