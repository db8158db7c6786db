//! `cargo xtask fixtures`: writes the committed fixtures again with Python's libraries.
//!
//! Each `tests/python/fixtures/<topic>.py` writes the files of its topic where the tests look for them, the same bytes
//! every time.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{process, venv, workspace};

pub(crate) fn run(topics: &[&str]) -> Result<()> {
    let known: Vec<String> = workspace::files()?
        .iter()
        .filter(|path| path.parent().is_some_and(|dir| dir.ends_with("tests/python/fixtures")))
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    if let Some(unknown) = topics.iter().find(|topic| !known.iter().any(|name| name == *topic)) {
        bail!("no fixtures `{unknown}`; there are: {}", known.join(", "));
    }
    let python = venv::parity()?;
    for topic in known.iter().filter(|name| topics.is_empty() || topics.contains(&name.as_str())) {
        let script = workspace::root().join("tests/python/fixtures").join(format!("{topic}.py"));
        process::run(Command::new(&python).arg(script).current_dir(workspace::root()))?;
    }
    Ok(())
}
