//! The rows of the table.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail, ensure};
use pretrained_checkpoint::Checkpoints;
use pretrained_safetensors::TensorSpec;

use crate::{
    report::{self, Result as Measured},
    work,
    worker::Worker,
};

const ROUNDS: usize = 9;
const GIB: u64 = 1 << 30;

struct Place {
    ours: PathBuf,
    python: PathBuf,
    /// On the disk.
    disk: PathBuf,
    /// In memory.
    memory: PathBuf,
}

pub fn run(python: PathBuf, chosen: Option<&str>) -> Result<()> {
    let disk = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/data");
    let memory = PathBuf::from("/dev/shm/bench-storage");
    fs::create_dir_all(&disk)?;
    fs::create_dir_all(&memory)?;
    let place = Place { ours: env::current_exe()?, python, disk, memory };
    let rows: [(&str, fn(&Place) -> Result<()>); 6] = [
        ("open", open),
        ("read", read),
        ("save-durable", save_durable),
        ("save", save),
        ("hash", hash),
        ("convert", convert),
    ];
    if let Some(unknown) = chosen.filter(|it| !rows.iter().any(|(name, _)| name == it)) {
        let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
        bail!("no row `{unknown}`; there are: {}", names.join(", "));
    }
    println!("medians of {ROUNDS} rounds, competitors in turn; what is read is in the page cache");
    for (name, row) in rows {
        if chosen.is_none_or(|it| it == name) {
            row(&place)?;
        }
    }
    fs::remove_dir_all(&place.memory)?;
    Ok(())
}

fn open(place: &Place) -> Result<()> {
    let file = place.model("2g.safetensors", 1024)?;
    let results = place.race(&[
        ("map, all views", "ours", &["open", &file]),
        ("Python safe_open, keys", "python", &["open", &file]),
    ])?;
    report::print("open 2 GiB of 1,024 tensors, warm", 2 * GIB, &results);
    Ok(())
}

fn read(place: &Place) -> Result<()> {
    let file = place.model("2g.safetensors", 1024)?;
    let competitors: [(&str, &str, &[&str]); 5] = [
        ("TensorFile::read", "ours", &["read", &file]),
        ("Python safetensors.numpy.load_file", "python", &["read", &file]),
        ("memcpy, into memory that is there", "ours", &["memcpy", &file]),
        ("memcpy, into fresh memory", "ours", &["memcpy-fresh", &file]),
        ("candle safetensors::load", "ours", &["candle", &file]),
    ];
    let results = place.race(&competitors)?;
    report::print("materialise 2 GiB, warm", 2 * GIB, &results);
    Ok(())
}

fn save_durable(place: &Place) -> Result<()> {
    let file = place.model("1g.safetensors", 512)?;
    let (ours, dd, burn) = (place.on_disk("ours"), place.on_disk("dd"), place.on_disk("burn.bpk"));
    let results = place.race(&[
        ("staged, synced, published", "ours", &["save-durable", &file, &ours]),
        ("dd conv=fsync", "ours", &["dd", &file, &dd]),
        ("burn-pack Writer::write_to_file", "ours", &["burn", &file, &burn]),
    ])?;
    report::print("save 1 GiB to the disk, durable", GIB, &results);
    Ok(())
}

fn save(place: &Place) -> Result<()> {
    let file = place.model("1g.safetensors", 512)?;
    let dest = |name: &str| place.memory.join(name).to_string_lossy().into_owned();
    let (ours, python, plain) = (dest("ours"), dest("python"), dest("plain"));
    let results = place.race(&[
        ("Layout::write_parallel", "ours", &["save", &file, &ours]),
        ("Python save_file", "python", &["save", &file, &python]),
        ("one write call", "ours", &["write", &file, &plain]),
    ])?;
    report::print("save 1 GiB to memory (tmpfs)", GIB, &results);
    Ok(())
}

fn hash(place: &Place) -> Result<()> {
    let file = place.model("2g.safetensors", 1024)?;
    let checkpoint = place.disk.join("run/checkpoint-1");
    if !checkpoint.exists() {
        let run = Checkpoints::open(&place.disk.join("run"))?;
        run.save(1, |dir| fs::hard_link(&file, dir.join("model.safetensors")))?;
    }
    let checkpoint = checkpoint.to_string_lossy();
    let results = place.race(&[
        ("pretrained_checkpoint::verify", "ours", &["hash", &checkpoint]),
        ("reading every byte of memory once", "ours", &["bandwidth", &file]),
    ])?;
    report::print("verify (hash) 2 GiB, warm", 2 * GIB, &results);
    Ok(())
}

fn convert(place: &Place) -> Result<()> {
    let file = place.model("1g.safetensors", 512)?;
    let pickle = place.on_disk("1g.bin");
    if !Path::new(&pickle).exists() {
        let status =
            Command::new(&place.python).args([peers(), "make", &file, &pickle]).status()?;
        ensure!(status.success(), "making {pickle}");
    }
    let dest = |name: &str| place.memory.join(name).to_string_lossy().into_owned();
    let (ours, python) = (dest("ours.safetensors"), dest("python.safetensors"));
    let results = place.race(&[
        ("convert", "ours", &["convert", &pickle, &ours]),
        ("Python torch.load + save_file", "python", &["convert", &pickle, &python]),
    ])?;
    report::print("convert a pytorch_model.bin of 1 GiB, warm, into tmpfs", GIB, &results);
    Ok(())
}

impl Place {
    /// Lets competitors take turns. `who` is `ours` or `python`.
    fn race(&self, competitors: &[(&str, &str, &[&str])]) -> Result<Vec<Measured>> {
        let mut workers = Vec::new();
        for (name, who, arguments) in competitors {
            let (program, first) = match *who {
                "ours" => (&self.ours, "worker"),
                _ => (&self.python, peers()),
            };
            let arguments = [&[first][..], *arguments].concat();
            workers.push(Worker::start(name, program, &arguments)?);
        }
        let mut seconds = vec![Vec::new(); workers.len()];
        // The first round fills caches, and does not count.
        for round in 0..=ROUNDS {
            for (worker, seconds) in workers.iter_mut().zip(&mut seconds) {
                let taken = worker.round()?;
                if round > 0 {
                    seconds.push(taken);
                }
            }
        }
        let finish = |(worker, seconds): (Worker, Vec<f64>)| {
            let name = worker.name.clone();
            Ok(Measured { name, seconds, memory: worker.finish()? })
        };
        workers.into_iter().zip(seconds).map(finish).collect()
    }

    fn on_disk(&self, name: &str) -> String {
        self.disk.join(name).to_string_lossy().into_owned()
    }

    /// A file of tensors of 2 MiB each.
    fn model(&self, name: &str, count: usize) -> Result<String> {
        let path = self.disk.join(name);
        if !path.exists() {
            let fill = |spec: &TensorSpec, offset: usize, piece: &mut [u8]| {
                let seed = spec.name.len() + offset;
                for (i, byte) in piece.iter_mut().enumerate() {
                    *byte = ((i + seed).wrapping_mul(0x9e37_79b9) >> 13) as u8;
                }
                Ok(())
            };
            work::layout(count)?.write_pieces(&File::create_new(&path)?, fill)?;
        }
        Ok(path.to_string_lossy().into_owned())
    }
}

fn peers() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py")
}
