//! How fast models start, read prompts and write, beside transformers and candle: `cargo xtask bench models [row]`.
//!
//! The network has the shape of Qwen2-0.5B and random weights.

mod candle;
mod rows;
mod work;

use anyhow::Result;
use bench_harness::Bench;

fn main() -> Result<()> {
    let package = env!("CARGO_MANIFEST_DIR");
    Bench { package, rows: rows::ROWS, work: work::find }.main()
}
