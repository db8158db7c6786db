//! How fast conversations are rendered, texts tokenized and tokenizers opened, beside Python.
//!
//! `cargo xtask bench text [row]`. Each competitor is a process of its own, which is asked to do its work once per
//! round; competitors take turns, so that a slow minute of the machine is everybody's. A competitor answers with as
//! many times as its row has cases; the ratios are of each case's medians.

mod report;
mod rows;
mod worker;

use std::{env, path::PathBuf};

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["worker", work, rest @ ..] = arguments.as_slice() {
        let paths: Vec<PathBuf> = rest.iter().map(PathBuf::from).collect();
        return worker::serve(rows::work(work, &paths)?);
    }
    let python =
        env::var_os("PRETRAINED_PYTHON").context("run me with `cargo xtask bench text`")?;
    rows::run(PathBuf::from(python), arguments.first().copied())
}
