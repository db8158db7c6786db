//! Help that fits the terminal.

use clap::Command;

use crate::terminal::wrapped;

/// A command, and all below it, whose help has lines of `width` characters; of as many as are easy to
/// read, where that is more or nobody says. So help in a file is the same from every terminal.
pub(crate) fn fitted(command: Command, width: Option<usize>) -> Command {
    let width = width.map_or(MOST_WIDTH, |it| it.min(MOST_WIDTH));
    let after = command.get_after_help().map(ToString::to_string);
    let command = match after {
        Some(text) => {
            let lines: Vec<String> = text.lines().map(|it| line(it, width)).collect();
            // In the template, as clap wraps once more what it is given as `after_help`, and a line of
            // shell that is broken without a backslash is another one.
            command.help_template(format!("{TEMPLATE}\n\n{}", lines.join("\n")))
        }
        None => command,
    };
    // Beside the options there would be room for one word in a line.
    let command = if width < LEAST_WIDTH { command.next_line_help(true) } else { command };
    command.term_width(width).mut_subcommands(|it| fitted(it, Some(width)))
}

/// Beneath itself, if it is too long: an example so that it can be copied, what explains a word beside
/// that word.
fn line(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    if text.starts_with("  pretrained ") {
        return example(text, width);
    }
    let body = text.trim_start();
    let indent = text.len() - body.len();
    let gap = body.find("  ").filter(|_| indent > 0);
    let beside = gap.map(|at| text.len() - body[at..].trim_start().len());
    wrapped(text, width, beside.filter(|it| it * 2 < width).unwrap_or(indent))
}

/// A command for a shell, with a backslash at the end of every line but the last. A word that is longer
/// than a line is whole.
pub(crate) fn example(text: &str, width: usize) -> String {
    let (mut lines, mut line) = (Vec::new(), " ".to_owned());
    let mut parts = parts(text.trim_start(), width.saturating_sub(8)).into_iter().peekable();
    while let Some(part) = parts.next() {
        let backslash = if parts.peek().is_some() { 2 } else { 0 };
        let is_full = line.chars().count() + 1 + part.chars().count() + backslash > width;
        if is_full && !line.trim().is_empty() {
            lines.push(std::mem::replace(&mut line, " ".repeat(5)));
        }
        line = format!("{line} {part}");
    }
    lines.push(line);
    lines.join(" \\\n")
}

/// What is best left in one line: an option and its value, an arrow and its file, if they are no longer
/// than `most`; else a word.
fn parts(text: &str, most: usize) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut has_room = false;
    for word in words(text) {
        let len = |it: &str| it.chars().count();
        match parts.last_mut().filter(|_| has_room && !word.starts_with('-')) {
            Some(part) if len(part) + 1 + len(&word) <= most => {
                *part += &format!(" {word}");
                has_room = false;
            }
            _ => {
                has_room = word.starts_with(['-', '<', '>', '|']);
                parts.push(word);
            }
        }
    }
    parts
}

/// The words of a line of shell, with their quotes.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quote = None;
    let mut is_new = true;
    for c in text.chars() {
        match (c, quote) {
            (' ', None) => {
                is_new = true;
                continue;
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            _ => (),
        }
        match words.last_mut() {
            Some(word) if !is_new => word.push(c),
            _ => words.push(c.into()),
        }
        is_new = false;
    }
    words
}

/// Clap's own, without `{after-help}` at its end.
const TEMPLATE: &str = "\
{before-help}{about-with-newline}
{usage-heading} {usage}

{all-args}";

/// From here on help has room beside the options; else it is beneath them.
const LEAST_WIDTH: usize = 60;

/// Longer lines are hard to read.
const MOST_WIDTH: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_can_be_copied_from_any_terminal() {
        let text = "  pretrained generate m --prompt \"Once -- upon\" --num-beams 4 --json < a.txt";
        assert_eq!(line(text, 80), text);
        assert_eq!(
            line(text, 40),
            "  pretrained generate m \\\n      --prompt \"Once -- upon\" \\\n      --num-beams 4 --json < a.txt"
        );
        let file = "  pretrained completions bash > ~/.local/share/bash-completion/pretrained -v";
        assert_eq!(
            line(file, 40),
            "  pretrained completions bash > \\\n      \
             ~/.local/share/bash-completion/pretrained \\\n      -v"
        );
        for width in 1..80 {
            let joined = line(text, width).replace(" \\\n     ", "");
            assert_eq!(joined, text, "{width}");
        }
    }

    #[test]
    fn what_explains_a_word_stays_beside_it() {
        assert_eq!(line("  1  an error, or more", 16), "  1  an error,\n     or more");
        assert_eq!(line("  --a-long-word  said of it", 20), "  --a-long-word\n  said of it");
        assert_eq!(line("One. Two. Three.", 10), "One. Two.\nThree.");
        assert_eq!(line("", 10), "");
    }

    #[test]
    fn help_is_beneath_an_option_where_there_is_no_room_beside_it() {
        let option = clap::Arg::new("x").long("an-option-of-many-words").help("word ".repeat(9));
        let help = fitted(Command::new("x").arg(option), Some(30)).render_help().to_string();
        assert!(help.contains("\n          word word word word\n"), "{help}");
    }

    #[test]
    fn help_fits_and_is_no_wider_than_can_be_read() {
        let command = || Command::new("x").about("word ".repeat(60)).after_help("word ".repeat(60));
        for (width, most) in [(Some(40), 40), (Some(300), 100), (None, 100)] {
            let help = fitted(command(), width).render_long_help().to_string();
            let widest = help.lines().map(|it| it.chars().count()).max();
            assert!(widest.is_some_and(|it| it <= most && it > most - 6), "{width:?}: {help}");
        }
    }
}
