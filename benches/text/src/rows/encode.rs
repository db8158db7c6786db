//! Batch encoding: what `encode_batch` does with a thousand pieces of source text, on two threads.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use bench_harness::{Place, Work, print};
use pretrained_tokenizer::{AutoTokenizer, EncodeOptions, OffsetUnit};

pub fn row(place: &Place) -> Result<()> {
    let dir = place.path("encode");
    place.make(&["encode", &dir])?;
    let results = place.race(&[
        ("encode_batch", "ours", &["encode", &dir]),
        ("encode_with, no offsets", "ours", &["encode-with", &dir]),
        ("tokenizers encode_batch", "python", &["encode", &dir]),
        ("tokenizers encode_batch_fast", "python", &["encode-fast", &dir]),
        ("transformers tokenizer(texts)", "python", &["encode-transformers", &dir]),
    ])?;
    let bytes = fs::metadata(PathBuf::from(&dir).join("texts.json"))?.len();
    print(&format!("encode {:.1} MB of text, batch", bytes as f64 / 1e6), Some(bytes), &results);
    Ok(())
}

/// Either ids alone, or all that transformers' call returns.
pub fn work(paths: &[PathBuf], ids_alone: bool) -> Result<Work> {
    let dir = paths.first().context("a path")?;
    let texts: Vec<String> = serde_json::from_slice(&fs::read(dir.join("texts.json"))?)?;
    let tokenizer = AutoTokenizer::from_pretrained(dir)?;
    let options = EncodeOptions { offsets: OffsetUnit::None, ..EncodeOptions::default() };
    Ok(Box::new(move || {
        let start = Instant::now();
        if ids_alone {
            std::hint::black_box(tokenizer.encode_batch(&texts, true)?);
        } else {
            let inputs: Vec<&str> = texts.iter().map(String::as_str).collect();
            std::hint::black_box(tokenizer.encode_with(&inputs, &options)?);
        }
        Ok(vec![start.elapsed().as_secs_f64()])
    }))
}
