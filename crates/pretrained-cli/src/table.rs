//! Results in columns.

use std::{
    borrow::Cow,
    cmp::Reverse,
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
    /// Columns that are left out where there is no room, the first one first.
    spare: &'static [usize],
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
        Table { align, room: None, names: 0, sides: None, spare: &[], rows: Vec::new() }
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

    /// Says which columns are left out where there is no room for all, the first of these first.
    pub(crate) fn spare(mut self, columns: &'static [usize]) -> Table<N> {
        self.spare = columns;
        self
    }

    /// Adds a row below the others.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|it| one_line(&it)));
    }

    /// Widths for which a line has `room`, as far as there are any, and the columns that are left out.
    fn fitted(&self, whole: &[usize; N], room: usize) -> ([usize; N], &'static [usize]) {
        for n in 0..=self.spare.len() {
            let (mut widths, left_out) = (*whole, &self.spare[..n]);
            if self.narrow(&mut widths, left_out, room, LEAST_WIDTH) {
                return (widths, left_out);
            }
        }
        let mut widths = *whole;
        self.narrow(&mut widths, self.spare, room, LEAST_WIDTH);
        self.narrow(&mut widths, self.spare, room, LAST_WIDTH);
        (widths, self.spare)
    }

    /// Makes columns narrower until a line has `room` for them: that of the names as far as it goes, and
    /// then the widest others. Numbers stay whole, as half of one is another. Whether that is enough.
    fn narrow(
        &self,
        widths: &mut [usize; N],
        left_out: &[usize],
        room: usize,
        least: usize,
    ) -> bool {
        let is_shown = |it: &usize| !left_out.contains(it);
        let excess = |widths: &[usize; N]| {
            let all = (0..N).filter(is_shown).map(|it| GAP + widths[it]).sum::<usize>();
            all.saturating_sub(GAP + room)
        };
        let gives_way = |it: &usize| *it == self.names || self.align[*it] == Align::Left;
        let mut columns: Vec<usize> = (0..N).filter(is_shown).filter(gives_way).collect();
        columns.sort_by_key(|it| (*it != self.names, Reverse(widths[*it])));
        for column in columns {
            let narrower = widths[column].saturating_sub(excess(widths));
            widths[column] = narrower.max(least.min(widths[column]));
        }
        excess(widths) == 0
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
        let whole: [usize; N] = std::array::from_fn(|i| width(i).min(MOST_WIDTH));
        let (widths, left_out) = match self.room {
            Some(room) => self.fitted(&whole, room),
            None => (whole, &[][..]),
        };
        for cells in self.shown(&widths) {
            let mut line = String::new();
            for i in (0..N).filter(|it| !left_out.contains(it)) {
                let (cell, width) = (&cells[i], widths[i]);
                match self.align[i] {
                    Align::Left => write!(line, "{cell:<width$}  ")?,
                    Align::Right => write!(line, "{cell:>width$}  ")?,
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Between two columns.
const GAP: usize = 2;
/// What a column has of a longer text, where others can be left out for it.
const LEAST_WIDTH: usize = 16;
/// What it has where there is no room even so.
const LAST_WIDTH: usize = 8;
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
        assert_eq!(table(Some(0)), "mod…ight  12345\nlm_head       1\n");
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

    #[test]
    fn columns_are_left_out_before_lines_are_too_long_and_numbers_stay_whole() {
        let table = |width| {
            let mut table = Table::new([Align::Left, Align::Right, Align::Right, Align::Left])
                .spare(&[2, 1])
                .fit(Some(width));
            table.row(["tensor", "differing", "mean", "values"].map(str::to_owned));
            table.row(["model.norm.weight", "1,234,567", "0.25", "other"].map(str::to_owned));
            table.to_string()
        };
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<String>>();
        assert_eq!(lines(&table(42))[0], "tensor             differing  mean  values");
        assert_eq!(lines(&table(41))[1], "model.n…m.weight  1,234,567  0.25  other");
        assert_eq!(lines(&table(40))[1], "model.norm.weight  1,234,567  other");
        assert_eq!(lines(&table(34))[1], "model.norm.weight  other");
        assert_eq!(lines(&table(20))[1], "model…weight  other");
        for width in 16..60 {
            let text = table(width);
            assert!(text.lines().all(|it| it.chars().count() <= width), "{width}: {text}");
        }
    }
}
