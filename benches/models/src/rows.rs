//! The rows of the table.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use bench_harness::{Place, print};

pub const ROWS: &[(&str, fn(&Place) -> Result<()>)] = &[
    ("start", start),
    ("memory", memory),
    ("decode-f32", |place| decode(place, "float32")),
    ("decode-bf16", |place| decode(place, "bfloat16")),
    ("batch-f32", |place| batch(place, "float32")),
    ("batch-bf16", |place| batch(place, "bfloat16")),
    ("prefill-f32", |place| prefill(place, "float32")),
    ("prefill-bf16", |place| prefill(place, "bfloat16")),
];

/// A network in this dtype, and how long its weights are.
fn model(place: &Place, dtype: &str) -> Result<(String, u64)> {
    let dir = place.path(dtype);
    let weights = Path::new(&dir).join("model.safetensors");
    if !weights.exists() {
        place.make(&[&dir, dtype])?;
    }
    Ok((dir, weights.metadata()?.len()))
}

fn start(place: &Place) -> Result<()> {
    let (dir, bytes) = model(place, "bfloat16")?;
    let spawn = |command: Vec<String>| [vec!["spawn".to_owned()], command].concat();
    let commands = [
        spawn(place.ours(&["first", &dir])),
        spawn(place.python(&["first", &dir])),
        spawn(place.ours(&["candle-first", &dir])),
    ];
    let [ours, python, candle] =
        commands.each_ref().map(|it| it.iter().map(String::as_str).collect::<Vec<_>>());
    let results = place.race(&[
        ("pretrained", "ours", &ours),
        ("transformers", "ours", &python),
        ("candle, f32", "ours", &candle),
    ])?;
    print("process start to first logits, bf16 weights", Some(bytes), &results);
    Ok(())
}

fn memory(place: &Place) -> Result<()> {
    for dtype in ["float32", "bfloat16"] {
        let (dir, bytes) = model(place, dtype)?;
        let command = place.ours(&["memory", &dir]);
        let output = Command::new(&command[0]).args(&command[1..]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let taken: f64 = String::from_utf8(output.stdout)?.trim().parse().context("bytes")?;
        println!(
            "\nanonymous memory after from_pretrained, {dtype}: {:.1} MiB, {:.2} % of the weights",
            taken / f64::from(1 << 20),
            taken / bytes as f64 * 100.0
        );
    }
    Ok(())
}

fn decode(place: &Place, dtype: &str) -> Result<()> {
    let (dir, bytes) = model(place, dtype)?;
    let results = place.race(&[
        ("pretrained generate", "ours", &["decode", &dir, "32", "33"]),
        ("transformers generate", "python", &["decode", &dir, "1", "32", "33"]),
        ("candle, f32", "ours", &["candle-decode", &dir, "32", "33"]),
        ("reading every weight once", "ours", &["read", &dir]),
    ])?;
    print(&format!("a token, batch 1, {dtype}"), Some(bytes), &results);
    Ok(())
}

fn batch(place: &Place, dtype: &str) -> Result<()> {
    let (dir, bytes) = model(place, dtype)?;
    let results = place.race(&[
        ("pretrained generate_batch", "ours", &["steps", &dir, "8", "32", "17"]),
        ("transformers generate", "python", &["decode", &dir, "8", "32", "17"]),
    ])?;
    print(&format!("a token of each of 8 texts, {dtype}"), Some(bytes), &results);
    Ok(())
}

fn prefill(place: &Place, dtype: &str) -> Result<()> {
    let (dir, _) = model(place, dtype)?;
    let results = place.race(&[
        ("pretrained generate, first token", "ours", &["prefill", &dir, "512"]),
        ("transformers forward, last logits", "python", &["prefill", &dir, "512"]),
    ])?;
    print(&format!("a prompt of 512 tokens, {dtype}"), None, &results);
    Ok(())
}
