use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Command, builder::Resettable};
use clap_mangen::Man;
use pretrained::fs::{StagedFile, create_dir_all};

use crate::{help, output};

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
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    // Which would be filled, examples and all.
    let command = command.clone().after_help(Resettable::Reset);
    Man::new(command).render(&mut page).context("render a manual page")?;
    page.extend(sections(&after).into_bytes());
    Ok(page)
}

/// What is below the options in help: examples as they are typed, words beside what explains them, and
/// text.
fn sections(after: &str) -> String {
    let mut page = String::new();
    let mut is_in_notes = false;
    for paragraph in after.split("\n\n") {
        let listed = paragraph.split_once(":\n").filter(|(_, rows)| rows.starts_with("  "));
        let Some((title, rows)) = listed else {
            if !paragraph.is_empty() {
                page += if is_in_notes { ".PP\n" } else { ".SH NOTES\n" };
                page += &paragraph.lines().map(text_line).collect::<String>();
                is_in_notes = true;
            }
            continue;
        };
        is_in_notes = false;
        page += &format!(".SH {}\n", escaped(&title.to_uppercase()));
        if title == "Examples" {
            let shown: Vec<String> = rows.lines().map(|it| help::example(it, WIDTH)).collect();
            let lines: String = shown.iter().flat_map(|it| it.lines()).map(text_line).collect();
            page += &format!(".nf\n{lines}.fi\n");
            continue;
        }
        for row in rows.lines().map(str::trim_start) {
            let (word, said) = row.split_once("  ").unwrap_or((row, ""));
            page += &format!(".TP\n{}{}", text_line(word), text_line(said.trim_start()));
        }
    }
    page
}

/// A line that is no request, whatever it begins with.
fn text_line(text: &str) -> String {
    format!("\\&{}\n", escaped(text))
}

/// Characters that mean something else to roff, or are shown as others that no shell knows.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '\\' => escaped += "\\e",
            '-' => escaped += "\\-",
            '\'' => escaped += "\\(aq",
            '"' => escaped += "\\(dq",
            '`' => escaped += "\\(ga",
            '~' => escaped += "\\(ti",
            '^' => escaped += "\\(ha",
            c => escaped.push(c),
        }
    }
    escaped
}

/// What a terminal of 80 columns has room for, beside the margins of a manual page.
const WIDTH: usize = 70;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_not_filled_and_words_stay_beside_what_explains_them() {
        let long = format!("  pretrained train --text \"It's\" > ~/{}", "x".repeat(50));
        let after = format!(
            "Said `so`.\n\nExit codes:\n  0         done\n  130, 143  a `train` ended\n\n\
             Examples:\n{long}\n  pretrained man"
        );
        let command = Command::new("x").version("1").after_help(after);
        let page = String::from_utf8(page(&command).expect("a page")).expect("UTF-8");
        let end = format!(
            ".SH NOTES\n\\&Said \\(gaso\\(ga.\n.SH EXIT CODES\n.TP\n\\&0\n\\&done\n.TP\n\\&130, 143\n\
             \\&a \\(gatrain\\(ga ended\n.SH EXAMPLES\n.nf\n\
             \\&  pretrained train \\-\\-text \\(dqIt\\(aqs\\(dq \\e\n\
             \\&      > \\(ti/{}\n\\&  pretrained man\n.fi\n",
            "x".repeat(50)
        );
        assert!(page.ends_with(&end), "{page}");
        assert!(!page.contains("EXTRA"), "{page}");
    }

    #[test]
    fn a_command_with_nothing_to_add_has_no_more_sections() {
        assert_eq!(sections(""), "");
        assert_eq!(
            sections("One.\nTwo.\n\nThree."),
            ".SH NOTES\n\\&One.\n\\&Two.\n.PP\n\\&Three.\n"
        );
    }
}
