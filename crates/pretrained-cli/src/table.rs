//! Results in columns.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write as _},
};

use crate::{
    output::one_line,
    shorten::{distinct, shortened},
};

/// Rows in aligned columns.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    align: [Align; N],
    /// What a line has room for.
    room: Option<usize>,
    /// The column that gives way where there is none: names are long.
    names: usize,
    /// Two columns whose cells in one row are compared.
    sides: Option<[usize; 2]>,
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
        Table { align, room: None, names: 0, sides: None, rows: Vec::new() }
    }

    /// Shortens what is in the column of names, so that lines have `width` characters if they can. No
    /// two names are shown alike.
    pub(crate) fn fit(mut self, width: Option<usize>) -> Table<N> {
        self.room = width;
        self
    }

    /// Says which column has the names, if not the first.
    pub(crate) fn names_in(mut self, column: usize) -> Table<N> {
        self.names = column;
        self
    }

    /// Says which columns are compared row by row: what differs in them is not shown alike.
    pub(crate) fn sides_in(mut self, columns: [usize; 2]) -> Table<N> {
        self.sides = Some(columns);
        self
    }

    /// Adds a row below the others.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|it| one_line(&it)));
    }

    /// The cells of each row in these widths.
    fn shown(&self, widths: &[usize; N]) -> Vec<[Cow<'_, str>; N]> {
        let of_names = |i: usize| (self.rows[i][self.names].as_str(), widths[self.names]);
        let names: Vec<(&str, usize)> = (0..self.rows.len()).map(of_names).collect();
        let rows = self.rows.iter().zip(distinct(&names)).map(|(row, name)| {
            let mut cells: [Cow<'_, str>; N] =
                std::array::from_fn(|i| shortened(&row[i], widths[i]));
            cells[self.names] = name;
            if let Some(sides) = self.sides {
                let of_sides = distinct(&sides.map(|i| (row[i].as_str(), widths[i])));
                sides.into_iter().zip(of_sides).for_each(|(i, it)| cells[i] = it);
            }
            cells
        });
        rows.collect()
    }
}

impl<const N: usize> Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |i: usize| self.rows.iter().map(|it| it[i].chars().count()).max().unwrap_or(0);
        let mut widths: [usize; N] = std::array::from_fn(|i| width(i).min(MOST_WIDTH));
        if let Some(room) = self.room {
            narrow(&mut widths, self.names, room);
        }
        for cells in self.shown(&widths) {
            let mut line = String::new();
            for ((cell, &width), align) in cells.iter().zip(&widths).zip(self.align) {
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

/// Makes columns narrower until a line has `room` for them: that of the names as far as it goes, and
/// then the widest others.
fn narrow(widths: &mut [usize], names: usize, room: usize) {
    let mut candidates: Vec<usize> = (0..widths.len()).filter(|it| *it != names).collect();
    candidates.sort_by_key(|it| std::cmp::Reverse(widths[*it]));
    candidates.insert(0, names);
    for column in candidates {
        let all = widths.iter().map(|it| GAP + *it).sum::<usize>().saturating_sub(GAP);
        let excess = all.saturating_sub(room);
        let least = LEAST_WIDTH.min(widths[column]);
        widths[column] = widths[column].saturating_sub(excess).max(least);
    }
}

/// Between two columns.
const GAP: usize = 2;
/// What a column has of a longer text even where there is no room.
const LEAST_WIDTH: usize = 16;
/// What no cell is longer than, so that one name of a megabyte does not make every line as long.
const MOST_WIDTH: usize = 512;

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

    #[test]
    fn no_two_names_and_no_two_sides_are_shown_alike() {
        let mut table = Table::new([Align::Left; 4]).sides_in([1, 3]).fit(Some(60));
        for layer in [10, 11] {
            let name = format!("model.layers.{layer}.mlp.up_proj.weight.of.a.long.name");
            let path = |i| format!("/home/u/models/of/{i}/with/a/long/way/to/{layer}/the/end");
            table.row([name, path(1), "→".into(), path(2)]);
        }
        let text = table.to_string();
        assert!(text.lines().all(|it| it.chars().count() <= 60), "{text}");
        let rows: Vec<Vec<&str>> = text.lines().map(|it| it.split("  ").collect()).collect();
        assert_ne!(rows[0][0], rows[1][0], "{text}");
        assert!(rows.iter().all(|it| it[1] != it[3]), "{text}");
        let mut table = Table::new([Align::Left]);
        for c in ['a', 'b'] {
            table.row([format!("{}{c}{}", "x".repeat(MOST_WIDTH), "x".repeat(MOST_WIDTH))]);
        }
        let text = table.to_string();
        assert!(text.contains('a') && text.contains('b'), "{text}");
    }

    #[test]
    fn names_give_way_first_and_then_the_widest_column() {
        let mut table = Table::new([Align::Left; 3]).names_in(2).fit(Some(60));
        table.row(["1".into(), "v".repeat(40), "n".repeat(40)]);
        let line = table.to_string();
        assert_eq!(line.trim_end().chars().count(), 60, "{line}");
        let cells: Vec<usize> = line.split_whitespace().map(|it| it.chars().count()).collect();
        assert_eq!(cells, [1, 39, 16], "{line}");
    }
}
