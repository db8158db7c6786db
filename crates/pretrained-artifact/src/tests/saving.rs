use std::fs;

use super::{SHARDS, data, listing, save_ab, save_contents, spec, temp};
use crate::{Artifact, OpenOptions, SaveOptions};

#[test]
fn a_saved_model_opens_with_the_same_tensors() {
    for max_shard_size in [1, 16, 1000] {
        let temp = temp();
        let dir = temp.path().join("new/model");
        save_ab(&dir, 1, max_shard_size).expect("save");
        let artifact = Artifact::open(&dir).expect("open");
        assert_eq!(artifact.warnings(), []);
        assert_eq!(artifact.weights().names().collect::<Vec<_>>(), ["a", "b"]);
        for spec in [spec("a", &[4]), spec("b", &[2, 2])] {
            let info = artifact.weights().info(&spec.name).expect("there");
            assert_eq!((info.dtype, info.shape), (spec.dtype, spec.shape.as_slice()));
            let read = artifact.weights().read_tensor(&spec.name).expect("read");
            assert_eq!(read, data(&spec, 1));
        }
    }
}

#[test]
fn one_file_has_no_index_and_shards_have_one() {
    let temp = temp();
    save_ab(&temp.path().join("one"), 1, 1000).expect("save");
    assert_eq!(listing(&temp.path().join("one")), ["config.json", "model.safetensors"]);

    save_ab(&temp.path().join("two"), 1, 16).expect("save");
    let mut expected = vec!["config.json".to_owned()];
    expected.extend(SHARDS.map(str::to_owned));
    expected.push("model.safetensors.index.json".to_owned());
    assert_eq!(listing(&temp.path().join("two")), expected);
    let index = fs::read_to_string(temp.path().join("two/model.safetensors.index.json"));
    let expected = r#"{
  "metadata": {
    "total_parameters": 8,
    "total_size": 32
  },
  "weight_map": {
    "a": "model-00001-of-00002.safetensors",
    "b": "model-00002-of-00002.safetensors"
  }
}
"#;
    assert_eq!(index.expect("read"), expected);
}

/// Whatever an earlier save left, the directory afterwards is as if it had been empty before,
/// but for what is none of the model's.
#[test]
fn an_earlier_save_of_any_layout_is_replaced() {
    let stale = [
        "model.safetensors",
        "model.safetensors.index.json",
        "model-00001-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "pytorch_model-00001-of-00002.bin",
        "generation_config.json",
    ];
    let foreign = [
        "README.md",
        "adapter_model.safetensors",
        "model.fp16.safetensors",
        "model-one.safetensors",
        "optimizer.safetensors",
        "tokenizer.json",
    ];
    for max_shard_size in [16, 1000] {
        let temp = temp();
        let fresh = temp.path().join("fresh");
        save_ab(&fresh, 2, max_shard_size).expect("save");

        let dir = temp.path().join("model");
        save_ab(&dir, 1, 1000).expect("save");
        for name in stale.iter().chain(&foreign) {
            fs::write(dir.join(name), "old").expect("write");
        }
        save_ab(&dir, 2, max_shard_size).expect("save");

        let mut expected = listing(&fresh);
        for name in &expected {
            let read = |dir: &std::path::Path| fs::read(dir.join(name)).expect("read");
            assert_eq!(read(&dir), read(&fresh), "{name}");
        }
        expected.extend(foreign.map(str::to_owned));
        expected.sort();
        assert_eq!(listing(&dir), expected);
        for name in foreign {
            assert_eq!(fs::read(dir.join(name)).expect("read"), b"old", "{name}");
        }
        assert!(Artifact::open(&dir).expect("open").warnings().is_empty());
    }
}

#[test]
fn a_variant_stands_beside_the_plain_weights() {
    for (max_shard_size, first) in
        [(1000, "model.fp16.safetensors"), (16, "model.fp16-00001-of-00002.safetensors")]
    {
        let temp = temp();
        let dir = temp.path().join("model");
        save_ab(&dir, 1, 1000).expect("save");
        let variant = Some("fp16".to_owned());
        let options = SaveOptions { variant: variant.clone(), max_shard_size };
        save_contents(&dir, 2, &options).expect("save");
        assert!(listing(&dir).iter().any(|it| it == first), "{:?}", listing(&dir));

        let plain = Artifact::open(&dir).expect("open");
        let options = OpenOptions { variant, ..OpenOptions::default() };
        let variant = Artifact::open_with(&dir, &options).expect("open");
        let a = spec("a", &[4]);
        assert_eq!(plain.weights().read_tensor("a").expect("read"), data(&a, 1));
        assert_eq!(variant.weights().read_tensor("a").expect("read"), data(&a, 2));
        assert_eq!((plain.warnings(), variant.warnings()), (&[][..], &[][..]));
    }
}

#[test]
fn a_variant_cannot_leave_the_directory() {
    let temp = temp();
    let dir = temp.path().join("model");
    let options = SaveOptions { variant: Some("/../../x".into()), ..SaveOptions::default() };
    let error = save_contents(&dir, 1, &options).expect_err("refused");
    let expected = "refused: a file of a model must be named by a plain file name";
    assert!(error.to_string().ends_with(expected), "{error}");
    assert_eq!(listing(temp.path()), [] as [&str; 0]);
}

#[test]
fn an_output_directory_that_is_a_file_is_left_alone() {
    let temp = temp();
    let path = temp.path().join("out");
    fs::write(&path, "precious").expect("write");
    let error = save_ab(&path, 1, 1000).expect_err("it is a file");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    assert_eq!(fs::read(&path).expect("read"), b"precious");
    assert_eq!(listing(temp.path()), ["out"]);
}

#[test]
fn data_that_fails_leaves_the_old_model() {
    let temp = temp();
    let dir = temp.path().join("model");
    save_ab(&dir, 1, 16).expect("save");
    let before = listing(&dir);
    let artifact = Artifact::open(&dir).expect("open");
    let contents = crate::Contents {
        config: artifact.config(),
        generation_config: None,
        tensors: artifact.weights().specs(),
        tokenizer: None,
        total_parameters: None,
    };
    let fail = |_: &_| Err(std::io::Error::other("out of memory on the device"));
    let error = crate::save(&dir, &contents, fail, &SaveOptions::default()).expect_err("fails");
    assert!(error.to_string().contains("write"), "{error}");
    assert_eq!(listing(&dir), before);
    let a = artifact.weights().read_tensor("a").expect("read");
    assert_eq!(a, data(&spec("a", &[4]), 1));
}
