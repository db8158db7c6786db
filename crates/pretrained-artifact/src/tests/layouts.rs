//! Every layout that transformers and torch have written, by `tests/python/layouts.py`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use pretrained_safetensors::TensorFile;

use crate::{Artifact, OpenOptions, files::WeightFiles};

/// What the weights hold is what torch loads from them, byte for byte and under the same names.
#[track_caller]
fn check_opens(layout: &str, variant: Option<&str>) {
    let dir = layout_dir(layout);
    let options = OpenOptions { variant: variant.map(str::to_owned), ..OpenOptions::default() };
    let artifact = Artifact::open_with(&dir, &options).expect("open");
    assert_eq!(artifact.warnings(), []);
    let weights = artifact.weights();
    let expected = TensorFile::read(&dir.join("expected.safetensors")).expect("read");
    let names: Vec<&str> = expected.header().tensors().keys().map(String::as_str).collect();
    assert_eq!(weights.names().collect::<Vec<&str>>(), names);
    for name in names {
        let expected = expected.tensor(name).expect("listed");
        let info = weights.info(name).expect("listed");
        assert_eq!((info.dtype, info.shape), (expected.dtype(), expected.shape()), "{name}");
        let read = weights.read_tensor(name).expect("read");
        assert!(read == expected.data(), "{layout}: {name} differs");
        assert_eq!(info.byte_len(), read.len() as u64);
    }
}

pub(crate) fn layout_dir(layout: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/layouts").join(layout)
}

#[test]
fn single_file() {
    check_opens("single", None);
}

#[test]
fn shards() {
    check_opens("sharded", None);
}

#[test]
fn tied() {
    check_opens("tied", None);
    check_opens("tied-gpt2", None);
}

#[test]
fn bfloat16_and_mixed() {
    check_opens("bf16", None);
    check_opens("mixed", None);
}

#[test]
fn variants() {
    check_opens("variant", Some("fp16"));
    check_opens("variant-sharded", Some("fp16"));
}

#[test]
fn pickled() {
    check_opens("pickled", None);
    check_opens("pickled-legacy", None);
    check_opens("pickled-sharded", None);
    check_opens("pickled-tied", None);
    check_opens("pickled-tied-gpt2", None);
}

#[test]
fn pickled_views_and_dtypes() {
    check_opens("pickled-strided", None);
}

#[test]
fn a_variant_does_not_fall_back() {
    for (layout, variant) in
        [("variant", None), ("single", Some("fp16")), ("variant", Some("bf16"))]
    {
        let options = OpenOptions { variant: variant.map(str::to_owned), ..OpenOptions::default() };
        let error = Artifact::open_with(layout_dir(layout), &options).expect_err("other variant");
        assert!(error.to_string().contains("there are no weights"), "{error}");
    }
}

/// Whatever lies in a directory, the weights are those that transformers takes.
#[test]
fn the_weights_are_those_that_transformers_takes() {
    let Some(python) = std::env::var_os("PRETRAINED_PYTHON") else {
        eprintln!("not compared: PRETRAINED_PYTHON is not set; `cargo xtask test` sets it");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/resolution.py");
    let output = Command::new(python).arg(script).output().expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(lines.lines().count(), 2 * 32);
    for line in lines.lines() {
        let [variant, names, theirs] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line:?}");
        };
        let variant = Some(variant).filter(|it| *it != "-");
        let mut names: Vec<String> = names.split(',').map(str::to_owned).collect();
        names.sort();
        let ours = WeightFiles::find(&names, variant);
        assert_eq!(ours.as_ref().map_or("-", WeightFiles::name), theirs, "{line}");
    }
}
