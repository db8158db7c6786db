//! The rows of the table, one file each.

mod encode;
mod load;
mod render;

use std::path::PathBuf;

use anyhow::{Result, bail};
use bench_harness::{Place, Work};

pub const ROWS: &[(&str, fn(&Place) -> Result<()>)] =
    &[("render", render::row), ("encode", encode::row), ("load", load::row)];

/// What our side of a row does, in a process of its own.
pub fn work(name: &str, paths: &[PathBuf]) -> Result<Work> {
    match name {
        "render" => render::work(paths),
        "encode" => encode::work(paths, true),
        "encode-with" => encode::work(paths, false),
        "load" => load::work(paths),
        _ => bail!("no work {name}"),
    }
}
