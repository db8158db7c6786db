//! `cargo xtask msrv`: what needs no libtorch compiles with the oldest Rust that the manifest states, which rustup fetches.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, workspace};

pub(crate) fn run() -> Result<()> {
    let version = stated()?;
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", &version, "--profile", "minimal", "--no-self-update"]);
    process::run(&mut install)
        .with_context(|| format!("Rust {version} is needed, and rustup to fetch it"))?;
    let mut check = Command::new("rustup");
    check.args(["run", &version, "cargo", "check", "--locked", "--quiet", "--target-dir"]);
    check.arg(workspace::target_dir().join("msrv")).current_dir(workspace::root());
    // Set by the cargo that runs this, for programs of its own version.
    process::run(check.env_remove("CARGO").env_remove("RUSTC"))
}

/// The workspace's `rust-version`.
pub(crate) fn stated() -> Result<String> {
    let manifest = workspace::read("Cargo.toml")?;
    let version = manifest.lines().find_map(|it| it.strip_prefix("rust-version = \""));
    let version = version.context("Cargo.toml states a rust-version")?;
    Ok(version.trim_end_matches('"').to_owned())
}
