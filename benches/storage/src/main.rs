//! How fast and with how much memory files of tensors are opened, read, written and converted, beside peers.
//!
//! `cargo xtask bench storage [row]`. Each competitor is a process of its own, which is asked to do its work once per
//! round; competitors take turns, so that a slow minute of the machine is everybody's. Files are in the page cache
//! (warm) throughout; what is written durably goes to the disk under `target`, the rest to `/dev/shm`.

mod report;
mod rows;
mod work;
mod worker;

use std::{env, path::PathBuf};

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["worker", work, rest @ ..] = arguments.as_slice() {
        let paths: Vec<PathBuf> = rest.iter().map(PathBuf::from).collect();
        return worker::serve(work::find(work, &paths)?);
    }
    let python =
        env::var_os("PRETRAINED_PYTHON").context("run me with `cargo xtask bench storage`")?;
    rows::run(PathBuf::from(python), arguments.first().copied())
}
