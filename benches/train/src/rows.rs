//! The rows of the table.

use std::path::Path;

use anyhow::Result;
use bench_harness::{Place, print};

pub const ROWS: &[(&str, fn(&Place) -> Result<()>)] = &[
    ("f32", |place| steps(place, "f32")),
    ("bf16", |place| steps(place, "bf16")),
    ("stall", stall),
    ("slowdown", slowdown),
    ("tokenize", tokenize),
];

fn model(place: &Place) -> Result<String> {
    let dir = place.path("gpt2");
    if !Path::new(&dir).join("model.safetensors").exists() {
        place.make(&["model", &dir])?;
    }
    Ok(dir)
}

fn steps(place: &Place, precision: &str) -> Result<()> {
    let dir = model(place)?;
    let (ours, theirs) = (place.path("runs/ours"), place.path("runs/theirs"));
    let results = place.race(&[
        ("pretrained", "ours", &["steps", &dir, &ours, precision]),
        ("Hugging Face's Trainer", "python", &["steps", &dir, &theirs, precision]),
    ])?;
    print(&format!("two optimizer steps of 4 x 256 tokens, {precision}"), None, &results);
    Ok(())
}

fn stall(place: &Place) -> Result<()> {
    let dir = model(place)?;
    let (ours, theirs) = (place.path("runs/ours"), place.path("runs/theirs"));
    let results = place.race(&[
        ("pretrained, durable", "ours", &["stall", &dir, &ours]),
        ("Hugging Face's Trainer", "python", &["stall", &dir, &theirs]),
        ("memcpy of the state", "ours", &["memcpy", &dir]),
    ])?;
    print("training stands still for a checkpoint of weights and moments", None, &results);
    Ok(())
}

/// Rounds of ten steps and a checkpoint are long.
fn slowdown(place: &Place) -> Result<()> {
    let dir = model(place)?;
    let (with, without) = (place.path("runs/with"), place.path("runs/without"));
    let results = place.race_for(
        5,
        &[
            ("without checkpoints", "ours", &["rounds", &dir, &without, "0"]),
            ("a checkpoint every 10 steps", "ours", &["rounds", &dir, &with, "10"]),
        ],
    )?;
    print("ten optimizer steps", None, &results);
    Ok(())
}

fn tokenize(place: &Place) -> Result<()> {
    let dir = place.path("text");
    let file = Path::new(&dir).join("text.txt");
    if !file.exists() {
        place.make(&["text", &dir])?;
    }
    let results = place.race_for(
        3,
        &[
            ("TextDataset into its cache", "ours", &["tokenize", &dir]),
            ("transformers in 2 processes", "python", &["tokenize", &dir]),
        ],
    )?;
    print("tokenize text", Some(file.metadata()?.len()), &results);
    Ok(())
}
