//! `cargo xtask features`: every crate compiles with each of its features alone, with none and with all.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::libtorch;
use crate::process::{self, cargo};

pub(crate) fn run() -> Result<()> {
    libtorch::ensure()?;
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
            // Without features, and with libtorch, it is what clippy compiles.
            if set.is_empty() || set.split(',').any(|it| it == "torch") {
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
