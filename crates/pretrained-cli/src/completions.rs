use std::process::ExitCode;

use anyhow::Result;
use clap_complete::Shell;

use crate::output;

/// Print a script that completes this command's options in a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained completions bash > ~/.local/share/bash-completion/completions/pretrained
  pretrained completions zsh > ~/.zfunc/_pretrained
  pretrained completions fish > ~/.config/fish/completions/pretrained.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// `command` is the whole command.
pub(crate) fn run(args: Args, mut command: clap::Command) -> Result<ExitCode> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    output::print(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
