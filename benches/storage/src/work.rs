//! What we, and the peers that are crates, do.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use bench_harness::Work;
use burn_pack::{Bytes, DType};
use pretrained_artifact::ConvertOptions;
use pretrained_fs::{NewFile, StagedDir};
use pretrained_safetensors::{Dtype, Layout, Metadata, TensorFile, TensorInfo, TensorSpec};

pub fn find(name: &str, paths: &[PathBuf]) -> Result<Work> {
    let path = paths.first().context("a path")?.clone();
    let dest = paths.get(1).cloned().unwrap_or_default();
    Ok(match name {
        "open" => Box::new(move || {
            timed(|| {
                // SAFETY: The file is the benchmark's own.
                let file = unsafe { TensorFile::map(&path) }?;
                let bytes: usize = file.tensors().map(|(_, view)| view.data().len()).sum();
                Ok((file, bytes))
            })
        }),
        "read" => Box::new(move || timed(|| Ok(TensorFile::read(&path)?))),
        "candle" => Box::new(move || {
            timed(|| Ok(candle_core::safetensors::load(&path, &candle_core::Device::Cpu)?))
        }),
        "memcpy" => {
            let mut from = Vec::new();
            File::open(&path)?.read_to_end(&mut from)?;
            let mut to = from.clone();
            Box::new(move || {
                timed(|| {
                    to.copy_from_slice(std::hint::black_box(&from));
                    Ok(())
                })
            })
        }
        "memcpy-fresh" => {
            let mut from = Vec::new();
            File::open(&path)?.read_to_end(&mut from)?;
            Box::new(move || timed(|| Ok(std::hint::black_box(&from).clone())))
        }
        "save" | "save-durable" => {
            let durable = name == "save-durable";
            let source = TensorFile::read(&path)?;
            Box::new(move || {
                let seconds = timed(|| save(&source, &dest, durable))?;
                clear(&dest)?;
                Ok(seconds)
            })
        }
        "dd" => Box::new(move || {
            let out = format!("of={}", dest.display());
            let from = format!("if={}", path.display());
            let seconds = timed(|| {
                let mut dd = Command::new("dd");
                dd.args([&from, &out, "bs=4M", "conv=fsync", "status=none"]);
                ensure!(dd.status()?.success(), "dd");
                Ok(())
            })?;
            clear(&dest)?;
            Ok(seconds)
        }),
        "burn" => {
            let source = Arc::new(TensorFile::read(&path)?);
            Box::new(move || {
                let seconds = timed(|| burn(&source, &dest))?;
                clear(&dest)?;
                Ok(seconds)
            })
        }
        "write" => {
            let bytes = fs::read(&path)?;
            Box::new(move || {
                let seconds = timed(|| Ok(File::create(&dest)?.write_all(&bytes)?))?;
                clear(&dest)?;
                Ok(seconds)
            })
        }
        "hash" => Box::new(move || {
            timed(|| {
                let report = pretrained_checkpoint::verify(&path)?;
                ensure!(report.is_whole(), "{report:?}");
                Ok(report)
            })
        }),
        "bandwidth" => {
            let bytes = fs::read(&path)?;
            Box::new(move || {
                use rayon::prelude::*;
                timed(|| {
                    let sum = |it: &[u8]| {
                        it.as_chunks().0.iter().fold(0, |a: u64, b| a ^ u64::from_le_bytes(*b))
                    };
                    Ok(std::hint::black_box(&bytes)
                        .par_chunks(1 << 20)
                        .map(sum)
                        .reduce(|| 0, |a, b| a ^ b))
                })
            })
        }
        "convert" => Box::new(move || {
            let seconds = timed(|| convert(&path, &dest))?;
            clear(&dest)?;
            Ok(seconds)
        }),
        _ => bail!("no work {name}"),
    })
}

/// Tensors of 2 MiB.
pub fn layout(count: usize) -> Result<Layout> {
    let spec = |i| TensorSpec {
        name: format!("model.layers.{i}.weight"),
        dtype: Dtype::F32,
        shape: vec![512, 1024],
    };
    Ok(Layout::new((0..count).map(spec).collect(), &Metadata::new())?)
}

fn save(source: &TensorFile, dest: &PathBuf, durable: bool) -> Result<()> {
    let specs = source.header().tensors().iter().map(|(name, info)| TensorSpec {
        name: name.clone(),
        dtype: info.dtype,
        shape: info.shape.clone(),
    });
    let layout = Layout::new(specs.collect(), source.header().metadata())?;
    let data = |spec: &TensorSpec| {
        let view = source.tensor(&spec.name).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(view.data())
    };
    if durable {
        let staged = StagedDir::create(dest)?;
        let file = NewFile::create(&staged.path().join("model.safetensors"))?;
        layout.write_parallel(&file, data)?;
        drop(file);
        staged.publish()?;
    } else {
        layout.write_parallel(&File::create_new(dest)?, data)?;
    }
    Ok(())
}

/// The same tensors, each copied when burn-pack asks for it: it takes owned bytes only.
fn burn(source: &Arc<TensorFile>, dest: &Path) -> Result<()> {
    let tensor = |(name, info): (&String, &TensorInfo)| {
        let (source, name) = (Arc::clone(source), name.clone());
        let len = info.range.len();
        let shape = info.shape.clone();
        burn_pack::Tensor::deferred(name.clone(), DType::F32, shape, None, len, move || {
            let data = source.tensor(&name).map_or(&[][..], |view| view.data());
            Ok(Bytes::from_bytes_vec(data.to_vec()))
        })
    };
    let tensors = source.header().tensors().iter().map(tensor).collect();
    Ok(burn_pack::Writer::new(tensors).write_to_file(dest)?)
}

/// What `pretrained convert` does to a single file.
fn convert(path: &Path, dest: &Path) -> Result<()> {
    pretrained_artifact::convert(path, dest, &ConvertOptions::default(), |_, _| {})?;
    Ok(())
}

fn clear(dest: &PathBuf) -> Result<()> {
    if dest.is_dir() {
        fs::remove_dir_all(dest)?
    } else {
        fs::remove_file(dest)?
    }
    Ok(())
}

/// Only the making is timed: what was made is dropped afterwards.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<Vec<f64>> {
    let start = Instant::now();
    let made = work()?;
    let seconds = start.elapsed().as_secs_f64();
    drop(std::hint::black_box(made));
    Ok(vec![seconds])
}
