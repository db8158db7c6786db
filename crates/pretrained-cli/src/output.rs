//! What every subcommand prints the same way.
//!
//! Results go to standard output, as text for people or as JSON for scripts. Everything else goes
//! to standard error: progress, notes, and the one line that says why a command ended.

use std::{
    borrow::Cow,
    fmt::{self, Display},
    io::{self, IsTerminal, Write as _},
    process::ExitCode,
    sync::OnceLock,
};

use serde_json::Value;

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

/// Tells the user something that is not the result.
pub(crate) fn note(text: impl Display) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{}", one_line(&text.to_string()));
}

/// Prints an error as one line, `error: a: b: c`, and gives the exit code that goes with it.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let closed = |it: &OutputError| it.0.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<OutputError>().is_some_and(closed) {
        // The reader has seen all it wanted: `pretrained inspect model | head`.
        return ExitCode::SUCCESS;
    }
    note(format_args!("error: {error:#}"));
    ExitCode::FAILURE
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

/// Columns of the terminal that results go to; `None` if they go to a file or another program.
pub(crate) fn width() -> Option<usize> {
    let terminal = console::Term::stdout();
    let (_, columns) = terminal.is_term().then(|| terminal.size_checked())??;
    Some(columns.into())
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
