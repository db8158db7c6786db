//! `cargo xtask readme`: runs the README's cargo commands as they stand. (Those of `pretrained` are run by `tests/it`.)

use std::env;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{process, workspace};

pub(crate) fn run() -> Result<()> {
    let readme = workspace::read("README.md")?;
    let commands: Vec<&str> =
        shell_lines(&readme).filter(|line| line.starts_with("cargo ")).collect();
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

/// The lines of the fenced blocks marked `sh`, without comments and empty lines.
fn shell_lines(markdown: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    markdown.lines().filter(move |line| {
        if line.starts_with("```") {
            inside = *line == "```sh";
            return false;
        }
        inside && !line.is_empty() && !line.starts_with('#')
    })
}

#[cfg(test)]
mod tests {
    use super::shell_lines;

    #[test]
    fn only_shell_blocks_are_run() {
        let markdown =
            "text\n```sh\n# why\ncargo a\n\ncargo b\n```\ncargo c\n```rust\ncargo d\n```\n";
        assert_eq!(shell_lines(markdown).collect::<Vec<_>>(), ["cargo a", "cargo b"]);
    }
}
