//! `cargo xtask bench <topic>`: our speed and memory beside our peers'.
//!
//! Each topic is a package `benches/<topic>` outside the workspace, so that no peer's crate is ever in our build. It gets
//! the Python environment's interpreter as `PRETRAINED_PYTHON`. What they share is a library beside them,
//! `benches/harness`.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo};
use crate::{libtorch, venv, workspace};

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let known = topics()?;
    let (chosen, rest) = match arguments {
        [] => (known.clone(), &[][..]),
        [topic, rest @ ..] if known.iter().any(|name| name == topic) => {
            (vec![(*topic).to_owned()], rest)
        }
        [topic, ..] => {
            bail!("no benchmark `{topic}` under benches/; there are: {}", known.join(", "))
        }
    };
    if chosen.is_empty() {
        bail!("there are no benchmarks under benches/ yet");
    }
    libtorch::ensure()?;
    let python = venv::parity()?;
    for topic in &chosen {
        let manifest = workspace::root().join("benches").join(topic).join("Cargo.toml");
        let mut command = cargo(["run", "--release", "--manifest-path"]);
        command.arg(manifest).arg("--").args(rest).env("PRETRAINED_PYTHON", &python);
        process::run(&mut command)?;
    }
    Ok(())
}

fn topics() -> Result<Vec<String>> {
    let dir = workspace::root().join("benches");
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))?;
    let mut topics: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("src/main.rs").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    topics.sort();
    Ok(topics)
}
