//! What every subcommand prints the same way.
//!
//! Results go to standard output, as text for people or as JSON for scripts. Everything else goes
//! to standard error: progress, notes, and the one line that says why a command ended.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write as _},
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

/// Rows in aligned columns.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    align: [Align; N],
    /// What a line has room for. The first column gives way: names are long.
    room: Option<usize>,
    rows: Vec<[String; N]>,
}

/// Which side of its column a cell is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

impl<const N: usize> Table<N> {
    /// An empty table.
    pub(crate) fn new(align: [Align; N]) -> Table<N> {
        Table { align, room: None, rows: Vec::new() }
    }

    /// Shortens what is in the first column, so that lines have `width` characters if they can.
    pub(crate) fn fit(mut self, width: Option<usize>) -> Table<N> {
        self.room = width;
        self
    }

    /// Adds a row below the others.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|it| shortened(&one_line(&it), MOST_WIDTH).into_owned()));
    }
}

impl<const N: usize> Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |i: usize| self.rows.iter().map(|it| it[i].chars().count()).max().unwrap_or(0);
        let mut widths: [usize; N] = std::array::from_fn(width);
        if let (Some(room), [first, others @ ..]) = (self.room, &mut widths[..]) {
            let others: usize = others.iter().map(|it| GAP + *it).sum();
            *first = room.saturating_sub(others).max(LEAST_WIDTH).min(*first);
        }
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, &width), align) in row.iter().zip(&widths).zip(self.align) {
                let cell = shortened(cell, width);
                match align {
                    Align::Left => write!(line, "{cell:<width$}  ")?,
                    Align::Right => write!(line, "{cell:>width$}  ")?,
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// At most `width` characters of a text: its start and its end, where names differ.
fn shortened(text: &str, width: usize) -> Cow<'_, str> {
    let len = text.chars().count();
    if len <= width {
        return text.into();
    }
    let kept = width.saturating_sub(1);
    let (start, end) = (kept / 2, kept - kept / 2);
    let chars = text.chars();
    let start: String = chars.clone().take(start).collect();
    let end: String = chars.skip(len - end).collect();
    format!("{start}…{end}").into()
}

/// Between two columns.
const GAP: usize = 2;
/// What a column of names has even where there is no room.
const LEAST_WIDTH: usize = 16;
/// What no cell is longer than, so that one name of a megabyte does not make every line as long.
const MOST_WIDTH: usize = 512;

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
    fn a_cell_of_a_megabyte_does_not_make_every_line_as_long() {
        let mut table = Table::new([Align::Left, Align::Right]);
        table.row(["x".repeat(1 << 20), "[1, 2]".to_owned()]);
        table.row(["short".to_owned(), "1, ".repeat(100_000)]);
        let text = table.to_string();
        assert!(text.len() < 5 * MOST_WIDTH && text.contains("xx…xx"), "{} bytes", text.len());
    }

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

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new([Align::Left, Align::Right]);
        table.row(["a".into(), "1".into()]);
        table.row(["bcd".into(), "234".into()]);
        assert_eq!(table.to_string(), "a      1\nbcd  234\n");
    }

    #[test]
    fn a_narrow_terminal_shortens_names_in_the_middle() {
        let table = |width| {
            let mut table = Table::new([Align::Left, Align::Right]).fit(width);
            table.row(["model.layers.17.mlp.weight".into(), "12345".into()]);
            table.row(["lm_head".into(), "1".into()]);
            table.to_string()
        };
        let whole = "model.layers.17.mlp.weight  12345\nlm_head                         1\n";
        assert_eq!(table(None), whole);
        assert_eq!(table(Some(33)), whole);
        assert_eq!(table(Some(24)), "model.la…p.weight  12345\nlm_head                1\n");
        assert_eq!(table(Some(0)), "model.l…p.weight  12345\nlm_head               1\n");
    }
}
