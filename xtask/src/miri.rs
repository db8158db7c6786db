//! `cargo xtask miri`: the tests of the code that hands out views, under Miri.
//!
//! Miri has no files to map. What it runs is everything that is done with bytes that are in memory: headers, views, layouts
//! and casts, and the conversions to the `safetensors` crate's views.

use anyhow::{Result, bail};

use crate::process;

pub(crate) fn run() -> Result<()> {
    let mut version = std::process::Command::new("cargo");
    version.args(["+nightly", "miri", "--version"]);
    if process::output(&mut version).is_err() {
        bail!(
            "Miri is not installed; `rustup toolchain install nightly --component miri,rust-src` installs it"
        );
    }
    let mut tests = std::process::Command::new("cargo");
    tests
        .args(["+nightly", "miri", "test", "-p", "pretrained-safetensors", "--lib", "views"])
        .current_dir(crate::workspace::root());
    process::run(&mut tests)
}
