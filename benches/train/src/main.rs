//! How fast models are trained, and how long a checkpoint stops that, beside Hugging Face's Trainer: `cargo xtask bench
//! train [row]`.
//!
//! The network has the shape of GPT-2 with 124 million parameters, its dropout included, and random weights; batches are
//! 4 texts of 256 tokens.

mod rows;
mod tokens;
mod work;

use anyhow::Result;
use bench_harness::Bench;

fn main() -> Result<()> {
    let package = env!("CARGO_MANIFEST_DIR");
    Bench { package, rows: rows::ROWS, work: work::find }.main()
}
