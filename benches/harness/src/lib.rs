//! What the benchmarks share: competitors that take turns, and tables of medians.
//!
//! Each competitor is a process of its own, which does its work once whenever it gets a line and answers with the
//! seconds that each of its cases took. Competitors take turns, so that a slow minute of the machine is everybody's.
//! Ratios are of each case's medians.

mod place;
mod read;
mod report;
mod worker;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

pub use crate::{
    place::{Place, ROUNDS},
    read::read,
    report::{Measured, median, print},
    worker::Work,
};

/// A topic of `cargo xtask bench`.
pub struct Bench {
    /// The benchmark's package, where `peers.py` is and `target/data` will be.
    pub package: &'static str,
    /// Races our command line can name.
    pub rows: &'static [(&'static str, fn(&Place) -> Result<()>)],
    /// What our side does, in a process of its own, by name and arguments.
    pub work: fn(&str, &[PathBuf]) -> Result<Work>,
}

impl Bench {
    /// Runs the row that the command line names, or all; or, as a competitor, works.
    pub fn main(&self) -> Result<()> {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if let ["worker", work, rest @ ..] = arguments.as_slice() {
            let paths: Vec<PathBuf> = rest.iter().map(PathBuf::from).collect();
            return worker::serve((self.work)(work, &paths)?);
        }
        let chosen = arguments.first();
        let names: Vec<&str> = self.rows.iter().map(|(name, _)| *name).collect();
        ensure!(
            chosen.is_none_or(|it| names.contains(it)),
            "there is no such row; there are: {}",
            names.join(", ")
        );
        let python = env::var_os("PRETRAINED_PYTHON").context("run me with `cargo xtask bench`")?;
        let package = Path::new(self.package);
        let place = Place {
            ours: env::current_exe()?,
            python: python.into(),
            peers: package.join("peers.py"),
            data: package.join("target/data"),
        };
        fs::create_dir_all(&place.data)?;
        println!(
            "medians of {ROUNDS} rounds, competitors in turn; what is read is in the page cache"
        );
        for (name, row) in self.rows {
            if chosen.is_none_or(|it| it == name) {
                row(&place)?;
            }
        }
        Ok(())
    }
}
