//! What the command's streams are connected to: how wide it is, and whether it shows colours.

use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal},
};

use clap::builder::styling::{AnsiColor, Style};

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// What a word says, which a terminal shows as a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Odd,
    Bad,
}

/// Columns that results have room for; `None` if they go to a file or another program.
pub(crate) fn width() -> Option<usize> {
    let terminal = console::Term::stdout();
    let columns = || terminal.size_checked().map(|(_, columns)| columns.into());
    terminal.is_term().then(|| chosen_width(env::var_os("COLUMNS").as_deref()).or_else(columns))?
}

/// What the user says in `COLUMNS`.
fn chosen_width(columns: Option<&OsStr>) -> Option<usize> {
    columns?.to_str()?.parse().ok().filter(|it| *it > 0)
}

/// A line in lines of `width` characters, of which those behind the first are `hang` to the right. No
/// word is cut.
pub(crate) fn wrapped(line: &str, width: usize, hang: usize) -> String {
    let (mut res, mut column, mut is_blank) = (String::with_capacity(line.len()), 0, true);
    for (i, word) in line.split(' ').enumerate() {
        let len = word.chars().count();
        if !word.is_empty() && !is_blank && column + 1 + len > width {
            res.truncate(res.trim_end().len());
            res += &format!("\n{:hang$}", "");
            column = hang;
        } else if i > 0 {
            res.push(' ');
            column += 1;
        }
        is_blank &= word.is_empty();
        res += word;
        column += len;
    }
    res
}

/// A text in the colour of its tone, where colours are shown.
pub(crate) fn toned(stream: Stream, tone: Tone, text: &str) -> String {
    match has_colours(stream) {
        true => painted(tone, text),
        false => text.to_owned(),
    }
}

/// A line whose first word says how bad it is: `error: …`, `warning: …`.
pub(crate) fn toned_line(stream: Stream, line: &str) -> String {
    let tones = [("error:", Tone::Bad), ("fault:", Tone::Bad), ("warning:", Tone::Odd)];
    let found = tones.iter().find_map(|(word, tone)| Some((word, tone, line.strip_prefix(word)?)));
    match found {
        Some((word, tone, rest)) => toned(stream, *tone, word) + rest,
        None => line.to_owned(),
    }
}

fn has_colours(stream: Stream) -> bool {
    let is_terminal = match stream {
        Stream::Out => io::stdout().is_terminal(),
        Stream::Err => io::stderr().is_terminal(),
    };
    is_terminal && wants_colours(env::var_os("NO_COLOR").as_deref(), env::var_os("TERM").as_deref())
}

/// As <https://no-color.org> asks.
fn wants_colours(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_some_and(|it| it != "dumb")
}

fn painted(tone: Tone, text: &str) -> String {
    let colour = match tone {
        Tone::Good => AnsiColor::Green,
        Tone::Odd => AnsiColor::Yellow,
        Tone::Bad => AnsiColor::Red,
    };
    let style = Style::new().bold().fg_color(Some(colour.into()));
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_a_positive_number() {
        for (columns, expected) in
            [(None, None), (Some("80"), Some(80)), (Some("0"), None), (Some("wide"), None)]
        {
            assert_eq!(chosen_width(columns.map(OsStr::new)), expected, "{columns:?}");
        }
    }

    #[test]
    fn lines_are_wrapped_between_words() {
        for (line, width, hang, expected) in [
            ("one two three", 7, 0, "one two\nthree"),
            ("one two three", 7, 2, "one two\n  three"),
            ("  one  two", 6, 4, "  one\n    two"),
            ("/a/long/path and more", 8, 1, "/a/long/path\n and\n more"),
            ("  indented", 4, 2, "  indented"),
            ("naïve ones", 10, 0, "naïve ones"),
            ("", 4, 2, ""),
        ] {
            assert_eq!(wrapped(line, width, hang), expected, "{line:?}");
        }
    }

    #[test]
    fn no_color_and_dumb_terminals_are_left_without_colours() {
        for (no_color, term, expected) in [
            (None, Some("xterm"), true),
            (Some(""), Some("xterm"), true),
            (Some("1"), Some("xterm"), false),
            (Some("0"), Some("xterm"), false),
            (None, Some("dumb"), false),
            (None, None, false),
        ] {
            let (no_color, term) = (no_color.map(OsStr::new), term.map(OsStr::new));
            assert_eq!(wants_colours(no_color, term), expected, "{no_color:?} {term:?}");
        }
    }

    #[test]
    fn a_colour_ends_where_the_word_does() {
        assert_eq!(painted(Tone::Bad, "damaged"), "\u{1b}[1m\u{1b}[31mdamaged\u{1b}[0m");
    }

    #[test]
    fn what_is_no_terminal_gets_no_colours() {
        // Cargo's tests may have one; the words stay in any case.
        assert!(toned_line(Stream::Err, "warning: odd").contains("warning:"));
        assert_eq!(toned_line(Stream::Err, "step 3: loss 1"), "step 3: loss 1");
    }
}
