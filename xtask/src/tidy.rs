//! `cargo xtask tidy`: the invariants of `docs/ARCHITECTURE.md` that no compiler checks.
//!
//! Each rule is an absence. All are checked before any is reported.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::process::{cargo, output};
use crate::{libtorch, workspace};

pub(crate) fn run() -> Result<()> {
    let sources = Sources::read()?;
    let mut findings = Vec::new();
    findings.extend(dependencies()?);
    findings.extend(sources.crates());
    findings.extend(sources.check(file_length));
    findings.extend(sources.check(todo_names_an_issue));
    findings.extend(sources.check(front_page_runs));
    findings.extend(sources.check(file_names_spelled_once));
    findings.extend(sources.check(one_match_over_architectures));
    findings.extend(sources.models_registered());
    findings.extend(pins()?);
    if findings.is_empty() {
        eprintln!("tidy: {} files in order", sources.files.len());
        return Ok(());
    }
    bail!("{} untidy:\n  {}", findings.len(), findings.join("\n  "))
}

/// What `cargo tree` must not show: (packages asked about, what may not be below them).
fn dependencies() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let tensors = [
        "pretrained-safetensors",
        "pretrained-pickle",
        "pretrained-tokenizer",
        "pretrained-artifact",
        "tch",
    ];
    let rules: [(&[&str], &[&str]); 5] = [
        // The default members, as `cargo test` at the root builds them.
        (&[], &["tch", "torch-sys"]),
        (&["-p", "pretrained-checkpoint"], &tensors),
        (&["-p", "pretrained-train"], &tensors),
        (&["-p", "pretrained-safetensors"], &["pretrained-config", "pretrained-artifact", "tch"]),
        (&["-p", "xtask"], &["pretrained", "pretrained-fs", "tch"]),
    ];
    for (packages, forbidden) in rules {
        let tree = output(
            cargo(["tree", "--edges", "normal,build", "--prefix", "none", "--locked"])
                .args(packages),
        )?;
        for name in forbidden {
            if tree.lines().any(|line| line.split(' ').next() == Some(name)) {
                let who = packages.last().unwrap_or(&"a default member of the workspace");
                findings.push(format!("{who} depends on {name}; `cargo tree -i {name}` shows how"));
            }
        }
    }
    Ok(findings)
}

/// libtorch and its bindings go together, and are pinned in two files that cannot read each other.
fn pins() -> Result<Vec<String>> {
    let manifest = workspace::read("Cargo.toml")?;
    let pinned = workspace::read(libtorch::PINS)?;
    let has = |text: &str, line: &str| text.lines().any(|found| found.starts_with(line));
    if has(&manifest, "tch = \"0.24\"") && has(&pinned, "torch==2.11.") {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "Cargo.toml's `tch` and {}'s `torch` are no known pair (0.24 goes with 2.11)",
        libtorch::PINS
    )])
}

fn file_length(file: &Source) -> Option<String> {
    let lines = file.text.lines().count();
    (lines > MAX_LINES && !file.is_test())
        .then(|| format!("{lines} lines; {MAX_LINES} at most, so split it"))
}

fn todo_names_an_issue(file: &Source) -> Option<String> {
    // Spelled in two parts, or this file would find itself.
    let word = concat!("TO", "DO");
    let is_bare = |line: &&str| {
        line.match_indices(word).any(|(at, _)| !line[at + word.len()..].starts_with("(#"))
    };
    file.text.lines().find(is_bare).map(|line| format!("no issue is named: `{}`", line.trim()))
}

/// A library shows on its front page how it is used, and its tests run that.
fn front_page_runs(file: &Source) -> Option<String> {
    if !file.is_in("crates") || !file.path.ends_with("src/lib.rs") {
        return None;
    }
    let fences = file.text.lines().filter_map(|it| it.strip_prefix("//! ```"));
    let is_run = fences.step_by(2).any(str::is_empty);
    (!is_run).then(|| "the front page has no example that is run".to_owned())
}

fn file_names_spelled_once(file: &Source) -> Option<String> {
    if !file.is_in("crates") || file.is_test() {
        return None;
    }
    // Which tokenizer a directory has is asked of its configuration where the tokenizer's own files don't say.
    if file.is_in("crates/pretrained-tokenizer/src/bundle.rs") {
        return None;
    }
    let owned = [("pretrained-artifact", MODEL_FILES), ("pretrained-tokenizer", TOKENIZER_FILES)];
    owned.into_iter().filter(|(owner, _)| !file.is_in(&format!("crates/{owner}"))).find_map(
        |(owner, names)| {
            let name = names
                .iter()
                .find(|name| file.code().any(|line| line.contains(&format!("\"{name}\""))))?;
            Some(format!("spells \"{name}\", which is {owner}'s to spell"))
        },
    )
}

fn one_match_over_architectures(file: &Source) -> Option<String> {
    let owners = ["crates/pretrained-config", "crates/pretrained-torch/src/auto.rs"];
    if !file.is_in("crates") || file.is_test() || owners.iter().any(|owner| file.is_in(owner)) {
        return None;
    }
    let line = file.code().find(|line| line.contains("Architecture::Llama"))?;
    Some(format!(
        "tells architectures apart, which only pretrained-torch's auto.rs does: `{}`",
        line.trim()
    ))
}

/// A file of the checkout with its text.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn is_in(&self, place: &str) -> bool {
        self.path.starts_with(place)
    }

    fn is_test(&self) -> bool {
        let parts: Vec<_> = self.path.iter().map(|part| part.to_string_lossy()).collect();
        parts.iter().any(|part| matches!(&**part, "tests" | "tests.rs" | "examples" | "benches"))
    }

    /// Its lines up to the tests, without comments.
    fn code(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
        lines.filter(|line| !line.trim_start().starts_with("//"))
    }
}

/// Every Rust source and manifest.
struct Sources {
    files: Vec<Source>,
}

impl Sources {
    fn read() -> Result<Sources> {
        let mut files = Vec::new();
        for path in workspace::files()? {
            if path.extension().is_some_and(|extension| extension == "rs")
                || path.ends_with("Cargo.toml")
            {
                let text = workspace::read(&path)?;
                files.push(Source { path, text });
            }
        }
        Ok(Sources { files })
    }

    fn check(&self, rule: impl Fn(&Source) -> Option<String>) -> Vec<String> {
        let rust = self
            .files
            .iter()
            .filter(|file| file.path.extension().is_some_and(|extension| extension == "rs"));
        rust.filter_map(|file| Some(format!("{}: {}", file.path.display(), rule(file)?))).collect()
    }

    fn find(&self, path: &Path) -> Option<&Source> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Every crate says what it is on its first page and takes the workspace's lints; only one names `tch`.
    fn crates(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for manifest in self
            .files
            .iter()
            .filter(|file| file.is_in("crates") && file.path.ends_with("Cargo.toml"))
        {
            // `crates/<name>`, and no package nested in its fixtures.
            let Some(dir) = manifest.path.parent().filter(|dir| dir.components().count() == 2)
            else {
                continue;
            };
            let mut report = |what: &str| findings.push(format!("{}: {what}", dir.display()));
            let root =
                ["src/lib.rs", "src/main.rs"].iter().find_map(|name| self.find(&dir.join(name)));
            if !root.is_some_and(|root| {
                root.text.starts_with("//! ") || root.text.starts_with("#![doc")
            }) {
                report(
                    "its first page does not say what it is (`//!` on top of lib.rs or main.rs)",
                );
            }
            if !manifest.text.contains("[lints]\nworkspace = true") {
                report("does not take the workspace's lints (`[lints] workspace = true`)");
            }
            let names_tch = manifest
                .text
                .lines()
                .any(|line| line.starts_with("tch.") || line.starts_with("tch "));
            if names_tch && !dir.ends_with("pretrained-torch") {
                report("names `tch`, which only pretrained-torch may");
            }
        }
        findings
    }

    fn models_registered(&self) -> Vec<String> {
        let models = Path::new("crates/pretrained-torch/src/models");
        let Some(table) = self.find(&models.join("mod.rs")) else {
            return vec![format!("{}: no mod.rs", models.display())];
        };
        let unregistered =
            self.files.iter().filter(|file| file.path.parent() == Some(models)).filter(|file| {
                let name = file.path.file_stem().unwrap_or_default().to_string_lossy();
                name != "mod"
                    && !table
                        .text
                        .lines()
                        .any(|line| line.trim_end().ends_with(&format!("mod {name};")))
            });
        unregistered
            .map(|file| format!("{}: not registered in mod.rs", file.path.display()))
            .collect()
    }
}

const MAX_LINES: usize = 400;

const MODEL_FILES: &[&str] = &[
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
];

const TOKENIZER_FILES: &[&str] = &[
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
];
