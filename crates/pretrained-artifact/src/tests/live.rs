//! Every layout as the torch and transformers at hand write them, opened and converted.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use pretrained_safetensors::{Strictness, TensorFile};

use super::{listing, temp};
use crate::{Artifact, ConvertOptions, OpenOptions, SaveOptions, Weights, convert};

/// The Python that `cargo xtask test` tells the tests to compare with; `None`, and a word about it, without one.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PRETRAINED_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!("not compared: PRETRAINED_PYTHON is not set; `cargo xtask test` sets it");
    }
    python
}

/// The weights are what torch loads. Names that are not stored are tied to one that is, and equal.
#[track_caller]
fn check(weights: &Weights, tied: &dyn Fn(&str) -> Option<String>, expected: &Path) {
    let expected = TensorFile::read(expected).expect("written by the script");
    for (name, tensor) in expected.tensors() {
        let stored = tied(name).unwrap_or_else(|| name.to_owned());
        let info = weights.info(&stored).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!((info.dtype, info.shape), (tensor.dtype(), tensor.shape()), "{name}");
        let read = weights.read_tensor(&stored).expect("readable");
        assert!(read == tensor.data(), "{name} differs");
        let mut parts = vec![0; read.len()];
        for (i, part) in parts.chunks_mut(1 << 20).enumerate() {
            weights.read_range(&stored, i << 20, part).expect("readable");
        }
        assert!(parts == read, "{name} differs in parts");
    }
    let names = weights.names().filter(|it| expected.tensor(it).is_none());
    assert_eq!(names.count(), 0);
}

fn check_directory(dir: &Path, dest: &Path, max_shard_size: u64) {
    let name = dir.file_name().expect("named").to_string_lossy().into_owned();
    let variant = name.contains("variant").then(|| "fp16".to_owned());
    let options = OpenOptions { variant: variant.clone(), ..OpenOptions::default() };
    let expected = dir.join("expected.safetensors");
    let artifact = Artifact::open_with(dir, &options).expect("open");
    check(artifact.weights(), &|_| None, &expected);
    let save = SaveOptions { max_shard_size, variant };
    let converting = ConvertOptions { save, ..ConvertOptions::default() };
    let converted = convert(dir, dest, &converting, |_, _| {}).expect("convert");
    let artifact = Artifact::open_with(dest, &options).expect("open");
    check(artifact.weights(), &|it| converted.tied.get(it).cloned(), &expected);
}

fn check_file(source: &Path, dest: &Path, expected: &Path) {
    let weights = Weights::open_file(source, Strictness::Strict).expect("open");
    check(&weights, &|_| None, expected);
    let converted = convert(source, dest, &ConvertOptions::default(), |_, _| {}).expect("convert");
    let weights = Weights::open_file(dest, Strictness::Strict).expect("open");
    check(&weights, &|it| converted.tied.get(it).cloned(), expected);
}

#[test]
fn every_layout_that_torch_and_transformers_write() {
    let Some(python) = python() else { return };
    let (out, dest) = (temp(), temp());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/torch_layouts.py");
    let output = Command::new(python).arg(script).arg(out.path()).output().expect("run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "ok");
    let names = listing(out.path());
    assert_eq!(names.len(), 28, "{names:?}");
    for name in names {
        let dir = out.path().join(&name);
        for file in listing(&dir) {
            if ["pytorch_model.bin", "optimizer.pt", "model.safetensors"].contains(&file.as_str()) {
                let dest = dest.path().join(format!("{name}-{file}.safetensors"));
                check_file(&dir.join(&file), &dest, &dir.join("expected.safetensors"));
            }
        }
        if !name.starts_with("file-") {
            check_directory(&dir, &dest.path().join(&name), 50_000_000);
            check_directory(&dir, &dest.path().join(name + "-sharded"), 1_000);
        }
    }
    fs::metadata(out.path().join("file-optimizer/scheduler.pt")).expect("there");
}
