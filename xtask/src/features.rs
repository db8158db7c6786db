//! `cargo xtask features`: every crate compiles with each of its features alone, with none and with all.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::{self, cargo};
use crate::test::TORCH_PACKAGES;

pub(crate) fn plain() -> Result<()> {
    check(false)
}

pub(crate) fn run() -> Result<()> {
    check(false)?;
    check(true)
}

/// Those that need libtorch, or the others.
fn check(torch: bool) -> Result<()> {
    let metadata = process::output(&mut cargo([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--locked",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("read cargo's metadata")?;
    for package in metadata["packages"].as_array().context("cargo's metadata has packages")? {
        let name = package["name"].as_str().context("a package has a name")?;
        let features = package["features"].as_object().context("a package has features")?;
        for set in powerset(features.keys().map(String::as_str)) {
            let needs_torch = name != "pretrained" && TORCH_PACKAGES.contains(&name)
                || set.split(',').any(|it| it == "torch");
            // Without features it is what clippy has compiled.
            if needs_torch != torch || set.is_empty() {
                continue;
            }
            let mut command = cargo(["check", "--quiet", "--locked", "--no-default-features"]);
            process::run(command.args(["-p", name, "--features", &set]))?;
        }
    }
    Ok(())
}

/// Every set of some names, each a list with commas.
fn powerset<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut sets = vec![String::new()];
    for name in names.filter(|it| *it != "default") {
        let with = |set: &String| match set.as_str() {
            "" => name.to_owned(),
            set => format!("{set},{name}"),
        };
        let more: Vec<String> = sets.iter().map(with).collect();
        sets.extend(more);
    }
    sets
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_set_is_there_once() {
        let sets = super::powerset(["a", "default", "b"].into_iter());
        assert_eq!(sets, ["", "a", "b", "a,b"]);
    }
}
