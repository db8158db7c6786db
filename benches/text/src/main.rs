//! How fast conversations are rendered, texts tokenized and tokenizers opened, beside Python: `cargo xtask bench text
//! [row]`.

mod rows;

use anyhow::Result;
use bench_harness::Bench;

fn main() -> Result<()> {
    let package = env!("CARGO_MANIFEST_DIR");
    Bench { package, rows: rows::ROWS, work: rows::work }.main()
}
