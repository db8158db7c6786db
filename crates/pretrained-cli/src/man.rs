use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Command;
use clap_mangen::Man;
use pretrained::fs::{StagedFile, create_dir_all};

use crate::output;

/// Print the manual page of this command, or write the pages of all subcommands.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained man ~/.local/share/man/man1
  pretrained man > pretrained.1")]
pub(crate) struct Args {
    /// Where to write pretrained.1, pretrained-train.1 and so on; without it, the page of the command
    /// goes to standard output
    dir: Option<PathBuf>,
}

/// `command` is the whole command.
pub(crate) fn run(args: Args, command: Command) -> Result<ExitCode> {
    // There are no pages of `help`, which has none of its own.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(dir) = args.dir else {
        output::print(String::from_utf8_lossy(&page(&command)?))?;
        return Ok(ExitCode::SUCCESS);
    };
    create_dir_all(&dir)?;
    let n = write_all(&command, &dir)?;
    output::print(format_args!("{}: {n} pages\n", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a command and those of the commands below it. How many there are.
fn write_all(command: &Command, dir: &Path) -> Result<usize> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = dir.join(format!("{name}.1"));
    let mut file = StagedFile::create(&path)?;
    file.write_all(&page(command)?).with_context(|| format!("write {}", path.display()))?;
    file.publish()?;
    output::detail(format_args!("wrote {}", path.display()));
    command.get_subcommands().try_fold(1, |n, it| Ok(n + write_all(it, dir)?))
}

fn page(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).context("render a manual page")?;
    Ok(page)
}
