//! What every subcommand prints the same way.
//!
//! Results go to standard output, as text for people or as JSON for scripts. Everything else goes
//! to standard error: progress, notes, and the one line that says why a command ended. How much of
//! it there is, is said once, by [`set_verbosity`].

use std::{
    borrow::Cow,
    fmt::{self, Display},
    io::{self, IsTerminal, Write as _},
    process::ExitCode,
    sync::OnceLock,
};

use serde_json::Value;

use crate::terminal::{Stream, toned_line};

/// How much goes to standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Errors alone.
    Quiet,
    /// Progress, notes and warnings as well.
    #[default]
    Usual,
    /// Also what is read, where a model runs, and causes line by line.
    Verbose,
}

/// Says how much there is to be on standard error, before anything is written there.
pub(crate) fn set_verbosity(verbosity: Verbosity) {
    // The first word counts; there is no second one.
    let _ = VERBOSITY.set(verbosity);
}

/// Whether errors are all that is wanted.
pub(crate) fn is_quiet() -> bool {
    verbosity() == Verbosity::Quiet
}

/// Whether more is wanted than is needed.
pub(crate) fn is_verbose() -> bool {
    verbosity() == Verbosity::Verbose
}

fn verbosity() -> Verbosity {
    VERBOSITY.get().copied().unwrap_or_default()
}

static VERBOSITY: OnceLock<Verbosity> = OnceLock::new();

/// Prints a result for people.
pub(crate) fn print(text: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(OutputError)?;
    Ok(())
}

/// Prints a result for scripts: one JSON document, keys in the order given.
pub(crate) fn print_json(value: &Value) -> anyhow::Result<()> {
    print(format_args!("{value:#}\n"))
}

/// What printing an answer came to, where the exit code is the answer as well: that holds also if the
/// reader has seen all it wanted.
pub(crate) fn or_closed(printed: anyhow::Result<()>) -> anyhow::Result<()> {
    printed.or_else(|error| if is_closed(&error) { Ok(()) } else { Err(error) })
}

/// Whether nothing more can be printed, for whatever reason.
pub(crate) fn is_of_output(error: &anyhow::Error) -> bool {
    error.is::<OutputError>()
}

fn is_closed(error: &anyhow::Error) -> bool {
    let closed = |it: &OutputError| it.0.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref().is_some_and(closed)
}

/// Tells the user something that is not the result, unless it is to be quiet.
pub(crate) fn note(text: impl Display) {
    if !is_quiet() {
        say(text);
    }
}

/// As [`note`], only for who wants to know more.
pub(crate) fn detail(text: impl Display) {
    if is_verbose() {
        say(text);
    }
}

/// Tells the user what must not be missed, or was asked for.
pub(crate) fn say(text: impl Display) {
    let line = toned_line(Stream::Err, &one_line(&text.to_string()));
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints an error as one line, `error: a: b: c`, and gives the exit code that goes with it. With
/// `--verbose` each cause has its line.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    report_as(error, ExitCode::FAILURE)
}

/// As [`report`], where the exit code of an error is another.
pub(crate) fn report_as(error: &anyhow::Error, code: ExitCode) -> ExitCode {
    if is_closed(error) {
        // The reader has seen all it wanted: `pretrained inspect model | head`.
        return ExitCode::SUCCESS;
    }
    if !is_verbose() {
        say(format_args!("error: {error:#}"));
        return code;
    }
    say(format_args!("error: {error}"));
    for cause in error.chain().skip(1) {
        say(format_args!("  because: {cause}"));
    }
    code
}

/// A number of bytes as people read it, in the decimal units of `--max-shard-size`.
pub(crate) fn bytes(n: u64) -> String {
    let mut value = n as f64;
    let mut unit = "B";
    for next in ["KB", "MB", "GB", "TB", "PB", "EB"] {
        // Two digits that would round up to four show as the next unit's 1.00.
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    match unit {
        "B" => format!("{n} B"),
        _ if value < 9.995 => format!("{value:.2} {unit}"),
        _ if value < 99.95 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

/// A count with its thousands apart: `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut res = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            res.push(',');
        }
        res.push(digit);
    }
    res
}

/// Four digits of a number.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        1e-3..1e5 => {
            let text = format!("{value:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => format!("{value:.3e}"),
    }
}

/// Text from a file, made safe to show: a name must not move the cursor or forge a line.
pub(crate) fn one_line(text: &str) -> String {
    let mut res = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => res.push(' '),
            // Bidirectional controls reorder what stands beside them.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                res.extend(c.escape_unicode());
            }
            c if c.is_control() => res.extend(c.escape_unicode()),
            c => res.push(c),
        }
    }
    res
}

/// What a model has written, made safe to show: on a terminal, it must not do more than be read.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    static IS_TERMINAL: OnceLock<bool> = OnceLock::new();
    let harms = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !*IS_TERMINAL.get_or_init(|| io::stdout().is_terminal()) || !text.contains(harms) {
        return text.into();
    }
    let mut res = String::with_capacity(text.len());
    for c in text.chars() {
        match harms(c) {
            true => res.extend(c.escape_unicode()),
            false => res.push(c),
        }
    }
    res.into()
}

/// Writing to standard output failed.
#[derive(Debug)]
struct OutputError(io::Error);

impl Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write to standard output")
    }
}

impl std::error::Error for OutputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits() {
        for (n, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 KB"),
            (9_994, "9.99 KB"),
            (9_996, "10.0 KB"),
            (999_499, "999 KB"),
            (999_500, "1.00 MB"),
            (2_471_645_608, "2.47 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn counts_have_their_thousands_apart() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(n), text);
        }
    }

    #[test]
    fn names_from_files_cannot_forge_output() {
        assert_eq!(one_line("a\nerror: b\u{1b}[2J\u{202e}"), "a error: b\\u{1b}[2J\\u{202e}");
    }
}
