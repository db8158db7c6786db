//! Batch encoding: what `encode_batch` does with a thousand pieces of source text, on two threads.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use pretrained_tokenizer::AutoTokenizer;

use super::Place;
use crate::{report, worker::Work};

pub fn row(place: &Place) -> Result<()> {
    let dir = place.make("encode", "encode")?;
    let results = place.race(&[
        ("encode_batch", "ours", &["encode", &dir]),
        ("tokenizers encode_batch", "python", &["encode", &dir]),
        ("tokenizers encode_batch_fast", "python", &["encode-fast", &dir]),
        ("transformers tokenizer(texts)", "python", &["encode-transformers", &dir]),
    ])?;
    let bytes = fs::metadata(PathBuf::from(&dir).join("texts.json"))?.len();
    report::print(&format!("encode {:.1} MB of text, batch", bytes as f64 / 1e6), &results);
    Ok(())
}

pub fn work(paths: &[PathBuf]) -> Result<Work> {
    let dir = paths.first().context("a path")?;
    let texts: Vec<String> = serde_json::from_slice(&fs::read(dir.join("texts.json"))?)?;
    let tokenizer = AutoTokenizer::from_pretrained(dir)?;
    Ok(Box::new(move || {
        let start = Instant::now();
        std::hint::black_box(tokenizer.encode_batch(&texts, true)?);
        Ok(vec![start.elapsed().as_secs_f64()])
    }))
}
