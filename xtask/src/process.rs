//! Runs other programs, saying what is run.

use std::env;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The cargo that runs this, in the workspace's root.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace::root());
    command
}

/// Runs a command with our streams; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("start {}", spelled(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", spelled(command));
    }
    Ok(())
}

/// Runs a command quietly and hands back its stdout; its stderr becomes the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {}", spelled(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}: {}", spelled(command), output.status, stderr.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of {}", spelled(command)))
}

/// Says on stderr what is about to run.
pub(crate) fn announce(command: &Command) {
    eprintln!("\n$ {}", spelled(command));
}

/// The command as a person would type it.
pub(crate) fn spelled(command: &Command) -> String {
    let root = format!("{}/", workspace::root().display());
    let mut words = vec![match command.get_program().to_string_lossy() {
        program if program.ends_with("/cargo") => "cargo".to_owned(),
        program => program.replace(&root, ""),
    }];
    words.extend(command.get_args().map(|word| word.to_string_lossy().replace(&root, "")));
    words.join(" ")
}

/// Where `program` is, if it can be run by its bare name.
pub(crate) fn find_program(program: &str) -> Option<std::path::PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
