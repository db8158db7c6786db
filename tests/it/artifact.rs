//! Model directories without libtorch: saved, opened again, replaced.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pretrained::artifact::{self, Artifact, Contents, SaveOptions};
use pretrained::config::Config;
use pretrained::safetensors::{Dtype, TensorSpec};

#[test]
fn saved_opened_and_saved_again_is_the_same() {
    for max_shard_size in [u64::MAX, 200, 1] {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let (first, second) = (scratch.path().join("first"), scratch.path().join("second"));
        save(&first, max_shard_size);

        let artifact = Artifact::open(&first).expect("what was saved opens");
        for spec in tensors() {
            let info = artifact.weights().info(&spec.name).expect("every tensor is there");
            assert_eq!((info.dtype, info.shape), (spec.dtype, &spec.shape[..]), "{}", spec.name);
            assert_eq!(
                artifact.weights().read_tensor(&spec.name).expect("it reads"),
                bytes(&spec),
                "{}",
                spec.name
            );
        }
        assert_eq!(artifact.weights().len(), tensors().len());
        assert!(artifact.warnings().is_empty(), "{:?}", artifact.warnings());

        let contents = Contents {
            config: artifact.config(),
            generation_config: None,
            tensors: tensors(),
            tokenizer: None,
            total_parameters: Some(PARAMETERS),
        };
        let read = |spec: &TensorSpec| {
            artifact
                .weights()
                .read_tensor(&spec.name)
                .map(Cow::Owned)
                .map_err(std::io::Error::other)
        };
        let options = SaveOptions { max_shard_size, ..SaveOptions::default() };
        artifact::save(&second, &contents, read, &options).expect("it saves again");
        assert_eq!(everything(&first), everything(&second), "shards of {max_shard_size} bytes");
    }
}

#[test]
fn the_new_model_takes_the_place_of_the_old_whatever_their_shards() {
    for (before, after) in [(1, u64::MAX), (u64::MAX, 1), (200, 1)] {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let (model, fresh) = (scratch.path().join("model"), scratch.path().join("fresh"));
        save(&model, before);
        fs::write(model.join("README.md"), "mine").expect("a file of the user's");
        save(&model, after);
        save(&fresh, after);

        let mut expected = everything(&fresh);
        expected.insert("README.md".to_owned(), b"mine".to_vec());
        assert_eq!(everything(&model), expected, "from {before} to {after}");
    }
}

#[test]
fn a_model_type_nobody_knows_opens_and_keeps_its_words() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    save(scratch.path(), u64::MAX);
    let text = "{\n  \"depth\": 1.0,\n  \"model_type\": \"tomorrow\",\n  \"odd\": [\n    null,\n    \"\\u00e9\"\n  ]\n}\n";
    fs::write(scratch.path().join("config.json"), text).expect("the configuration is written");
    let artifact = Artifact::open(scratch.path()).expect("it opens");
    assert_eq!(artifact.config().model_type(), Some("tomorrow"));
    assert_eq!(artifact.config().to_json(), text);
    assert_eq!(artifact.weights().len(), tensors().len());
}

fn save(dir: &Path, max_shard_size: u64) {
    let config = Config::parse(r#"{"model_type": "llama", "hidden_size": 4, "unknown": 1.0}"#)
        .expect("a configuration");
    let contents = Contents {
        config: &config,
        generation_config: None,
        tensors: tensors(),
        tokenizer: None,
        total_parameters: Some(PARAMETERS),
    };
    let options = SaveOptions { max_shard_size, ..SaveOptions::default() };
    artifact::save(dir, &contents, |spec| Ok(Cow::Owned(bytes(spec))), &options).expect("it saves");
}

/// One of each size of element, an empty one and a scalar.
fn tensors() -> Vec<TensorSpec> {
    let spec = |name: &str, dtype, shape: &[usize]| TensorSpec {
        name: name.to_owned(),
        dtype,
        shape: shape.to_vec(),
    };
    vec![
        spec("embed.weight", Dtype::F32, &[8, 4]),
        spec("layers.0.mlp.weight", Dtype::BF16, &[4, 6]),
        spec("layers.0.norm.weight", Dtype::F32, &[4]),
        spec("layers.1.mask", Dtype::BOOL, &[3]),
        spec("layers.10.count", Dtype::I64, &[]),
        spec("layers.2.nothing", Dtype::F16, &[0, 4]),
    ]
}

/// Bytes that tell where they belong.
fn bytes(spec: &TensorSpec) -> Vec<u8> {
    let bits = spec.shape.iter().product::<usize>() * spec.dtype.bits();
    (0..bits / 8)
        .map(|i| {
            if spec.dtype == Dtype::BOOL { (i % 2) as u8 } else { (i * 7 + spec.name.len()) as u8 }
        })
        .collect()
}

fn everything(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("the directory is there");
    entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let bytes = fs::read(entry.path()).expect("a file");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect()
}

const PARAMETERS: u64 = 8 * 4 + 4 * 6 + 4 + 3 + 1;
