//! The rows of the table.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::Result;
use bench_harness::{Place, print};
use pretrained_checkpoint::Checkpoints;
use pretrained_safetensors::TensorSpec;

use crate::work;

pub const ROWS: &[(&str, fn(&Place) -> Result<()>)] = &[
    ("open", open),
    ("read", read),
    ("save-durable", save_durable),
    ("save", save),
    ("hash", hash),
    ("convert", convert),
];

/// Where what is not durable is written.
pub const MEMORY: &str = "/dev/shm/bench-storage";

const GIB: u64 = 1 << 30;

fn open(place: &Place) -> Result<()> {
    let file = model(place, "2g.safetensors", 1024)?;
    let results = place.race(&[
        ("map, all views", "ours", &["open", &file]),
        ("Python safe_open, keys", "python", &["open", &file]),
    ])?;
    print("open 2 GiB of 1,024 tensors, warm", Some(2 * GIB), &results);
    Ok(())
}

fn read(place: &Place) -> Result<()> {
    let file = model(place, "2g.safetensors", 1024)?;
    let competitors: [(&str, &str, &[&str]); 5] = [
        ("TensorFile::read", "ours", &["read", &file]),
        ("Python safetensors.numpy.load_file", "python", &["read", &file]),
        ("memcpy, into memory that is there", "ours", &["memcpy", &file]),
        ("memcpy, into fresh memory", "ours", &["memcpy-fresh", &file]),
        ("candle safetensors::load", "ours", &["candle", &file]),
    ];
    let results = place.race(&competitors)?;
    print("materialise 2 GiB, warm", Some(2 * GIB), &results);
    Ok(())
}

fn save_durable(place: &Place) -> Result<()> {
    let file = model(place, "1g.safetensors", 512)?;
    let (ours, dd, burn) = (place.path("ours"), place.path("dd"), place.path("burn.bpk"));
    let results = place.race(&[
        ("staged, synced, published", "ours", &["save-durable", &file, &ours]),
        ("dd conv=fsync", "ours", &["dd", &file, &dd]),
        ("burn-pack Writer::write_to_file", "ours", &["burn", &file, &burn]),
    ])?;
    print("save 1 GiB to the disk, durable", Some(GIB), &results);
    Ok(())
}

fn save(place: &Place) -> Result<()> {
    let file = model(place, "1g.safetensors", 512)?;
    let dest = |name: &str| format!("{MEMORY}/{name}");
    let (ours, python, plain) = (dest("ours"), dest("python"), dest("plain"));
    let results = place.race(&[
        ("Layout::write_parallel", "ours", &["save", &file, &ours]),
        ("Python save_file", "python", &["save", &file, &python]),
        ("one write call", "ours", &["write", &file, &plain]),
    ])?;
    print("save 1 GiB to memory (tmpfs)", Some(GIB), &results);
    Ok(())
}

fn hash(place: &Place) -> Result<()> {
    let file = model(place, "2g.safetensors", 1024)?;
    let checkpoint = place.data.join("run/checkpoint-1");
    if !checkpoint.exists() {
        let run = Checkpoints::open(&place.data.join("run"))?;
        run.save(1, |dir| fs::hard_link(&file, dir.join("model.safetensors")))?;
    }
    let checkpoint = checkpoint.to_string_lossy();
    let results = place.race(&[
        ("pretrained_checkpoint::verify", "ours", &["hash", &checkpoint]),
        ("reading every byte of memory once", "ours", &["bandwidth", &file]),
    ])?;
    print("verify (hash) 2 GiB, warm", Some(2 * GIB), &results);
    Ok(())
}

fn convert(place: &Place) -> Result<()> {
    let file = model(place, "1g.safetensors", 512)?;
    let pickle = place.path("1g.bin");
    if !Path::new(&pickle).exists() {
        place.make(&[&file, &pickle])?;
    }
    let dest = |name: &str| format!("{MEMORY}/{name}");
    let (ours, python) = (dest("ours.safetensors"), dest("python.safetensors"));
    let results = place.race(&[
        ("convert", "ours", &["convert", &pickle, &ours]),
        ("Python torch.load + save_file", "python", &["convert", &pickle, &python]),
    ])?;
    print("convert a pytorch_model.bin of 1 GiB, warm, into tmpfs", Some(GIB), &results);
    Ok(())
}

/// A file of tensors of 2 MiB each.
fn model(place: &Place, name: &str, count: usize) -> Result<String> {
    let path = place.path(name);
    if !Path::new(&path).exists() {
        let fill = |spec: &TensorSpec, offset: usize, piece: &mut [u8]| {
            let seed = spec.name.len() + offset;
            for (i, byte) in piece.iter_mut().enumerate() {
                *byte = ((i + seed).wrapping_mul(0x9e37_79b9) >> 13) as u8;
            }
            Ok(())
        };
        work::layout(count)?.write_pieces(&File::create_new(&path)?, fill)?;
    }
    Ok(path)
}
