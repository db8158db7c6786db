//! Opening a byte-level tokenizer of 128 thousand tokens.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use bench_harness::{Place, Work, print};
use pretrained_tokenizer::AutoTokenizer;

pub fn row(place: &Place) -> Result<()> {
    let dir = place.path("load");
    place.make(&["load", &dir])?;
    let results = place.race(&[
        ("AutoTokenizer::from_pretrained", "ours", &["load", &dir]),
        ("AutoTokenizer.from_pretrained", "python", &["load", &dir]),
    ])?;
    print("load a vocabulary of 128 thousand", None, &results);
    Ok(())
}

pub fn work(paths: &[PathBuf]) -> Result<Work> {
    let dir = paths.first().context("a path")?.clone();
    Ok(Box::new(move || {
        let start = Instant::now();
        std::hint::black_box(AutoTokenizer::from_pretrained(&dir)?);
        Ok(vec![start.elapsed().as_secs_f64()])
    }))
}
