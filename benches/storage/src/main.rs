//! How fast and with how much memory files of tensors are opened, read, written and converted, beside peers: `cargo
//! xtask bench storage [row]`. What is written durably goes to the disk under `target`, the rest to `/dev/shm`.

mod rows;
mod work;

use std::fs;

use anyhow::Result;
use bench_harness::Bench;

fn main() -> Result<()> {
    fs::create_dir_all(rows::MEMORY)?;
    let package = env!("CARGO_MANIFEST_DIR");
    Bench { package, rows: rows::ROWS, work: work::find }.main()
}
