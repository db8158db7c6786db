//! `cargo xtask readme`: runs the README's cargo commands as they stand. (Those of `pretrained` are run by `tests/it`.)

use std::env;
use std::process::Command;

use anyhow::{Result, bail};

use crate::fences::{commands, fences};
use crate::{process, workspace};

pub(crate) fn run() -> Result<()> {
    let readme = workspace::read("README.md")?;
    let blocks = fences(&readme).into_iter().filter(|it| it.0 == "sh");
    let commands: Vec<String> = blocks.flat_map(|it| commands(&it.1)).collect();
    let commands: Vec<&String> = commands.iter().filter(|it| it.starts_with("cargo ")).collect();
    if commands.is_empty() {
        bail!("README.md has no cargo command in a fenced `sh` block");
    }
    for command in commands {
        // Through a shell, as a reader would run it, but with the variables of this `cargo run` removed.
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(workspace::root());
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                shell.env_remove(name);
            }
        }
        process::run(&mut shell)?;
    }
    Ok(())
}
