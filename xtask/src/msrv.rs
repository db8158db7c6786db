//! `cargo xtask msrv`: everything compiles with the oldest Rust that the manifest states, which rustup fetches. Where
//! libtorch is needed it is checked as for documentation, without it.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, workspace};

pub(crate) fn run() -> Result<()> {
    let version = stated()?;
    install(&version)?;
    check(&version)
}

/// The same, where rustup can fetch it: not every network has toolchains.
pub(crate) fn where_it_can_be_had() -> Result<()> {
    let version = stated()?;
    match install(&version) {
        Ok(()) => check(&version),
        Err(why) => {
            eprintln!("msrv: nobody asked Rust {version}, which is not to be had: {why:#}");
            Ok(())
        }
    }
}

fn install(version: &str) -> Result<()> {
    let mut rustup = Command::new("rustup");
    let minimal = ["--profile", "minimal", "--no-self-update"];
    process::run(rustup.args(["toolchain", "install", version]).args(minimal))
}

fn check(version: &str) -> Result<()> {
    let torch = ["-p", "pretrained-torch", "-p", "pretrained", "-p", "pretrained-cli"];
    let features = ["--features", "pretrained/torch,pretrained-torch/doc-only"];
    for (packages, features) in [(&[][..], &[][..]), (&torch, &features)] {
        let mut check = Command::new("rustup");
        check.args(["run", version, "cargo", "check", "--locked", "--quiet", "--target-dir"]);
        check.arg(workspace::target_dir().join("msrv")).args(packages).args(features);
        // Set by the cargo that runs this, for programs of its own version.
        check.env_remove("CARGO").env_remove("RUSTC").current_dir(workspace::root());
        process::run(&mut check)?;
    }
    Ok(())
}

/// The workspace's `rust-version`.
pub(crate) fn stated() -> Result<String> {
    let manifest = workspace::read("Cargo.toml")?;
    let version = manifest.lines().find_map(|it| it.strip_prefix("rust-version = \""));
    let version = version.context("Cargo.toml states a rust-version")?;
    Ok(version.trim_end_matches('"').to_owned())
}
