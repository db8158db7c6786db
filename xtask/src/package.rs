//! `cargo xtask package`: what would be published of each crate, packed and not sent.

use anyhow::Result;

use crate::process::{self, cargo};

/// Not compiled from the archives: every crate is compiled where it is, with the same sources.
pub(crate) fn run() -> Result<()> {
    process::run(&mut cargo([
        "package",
        "--workspace",
        "--exclude",
        "xtask",
        "--exclude",
        "pretrained-tests",
        "--no-verify",
        "--allow-dirty",
        "--quiet",
    ]))
}
