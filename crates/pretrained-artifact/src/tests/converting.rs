use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pretrained_safetensors::{Dtype, TensorFile, cast};

use super::{layouts::layout_dir, listing, temp};
use crate::{Artifact, ConvertOptions, Converted, Error, SaveOptions, Tie, Warning};

/// Converts a layout, and checks every tensor of the result against what torch loads from the
/// source. Tied names are among the dropped ones, and nowhere else.
#[track_caller]
fn check_converts(layout: &str, dest: &Path, options: &ConvertOptions, tied: &[(&str, &str)]) {
    let source = layout_dir(layout);
    let converted = convert(&source, dest, options).expect("convert");
    assert_eq!(converted.warnings, []);
    let tied: BTreeMap<String, String> =
        tied.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(converted.tied, tied);

    let artifact = Artifact::open(dest).expect("open");
    assert_eq!(artifact.warnings(), []);
    let expected = TensorFile::read(&source.join("expected.safetensors")).expect("read");
    let names = expected.header().tensors().keys().map(String::as_str);
    let names: Vec<&str> = names.filter(|it| !tied.contains_key(*it)).collect();
    assert_eq!(artifact.weights().names().collect::<Vec<&str>>(), names);
    for name in names {
        let expected = expected.tensor(name).expect("listed");
        let info = artifact.weights().info(name).expect("listed");
        assert_eq!(info.shape, expected.shape());
        let is_cast =
            matches!(expected.dtype(), Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64);
        let dtype = options.dtype.filter(|_| is_cast).unwrap_or(expected.dtype());
        assert_eq!(info.dtype, dtype, "{name}");
        let bytes = cast(expected.data(), expected.dtype(), dtype).expect("floats");
        assert!(artifact.weights().read_tensor(name).expect("read") == bytes, "{name} differs");
    }
    for (name, bytes) in &converted.files {
        assert_eq!(fs::metadata(name).expect("there").len(), *bytes);
    }
}

fn convert(
    source: impl AsRef<Path>,
    dest: impl AsRef<Path>,
    options: &ConvertOptions,
) -> Result<Converted, Error> {
    crate::convert(source, dest, options, |done, total| assert!(done <= total))
}

fn sharded(max_shard_size: u64) -> ConvertOptions {
    let save = SaveOptions { max_shard_size, ..SaveOptions::default() };
    ConvertOptions { save, ..ConvertOptions::default() }
}

fn to(dtype: Dtype) -> ConvertOptions {
    ConvertOptions { dtype: Some(dtype), ..ConvertOptions::default() }
}

fn copy(layout: &str, dir: &Path) -> PathBuf {
    let copy = dir.join("source");
    fs::create_dir(&copy).expect("mkdir");
    for name in listing(&layout_dir(layout)) {
        fs::copy(layout_dir(layout).join(&name), copy.join(&name)).expect("copy");
    }
    copy
}

#[test]
fn every_layout_becomes_one_file_or_shards() {
    let llama = [("lm_head.weight", "model.embed_tokens.weight")];
    let gpt2 = [("lm_head.weight", "transformer.wte.weight")];
    for (layout, tied) in [
        ("single", &[][..]),
        ("sharded", &[]),
        ("tied", &[]),
        ("bf16", &[]),
        ("mixed", &[]),
        ("pickled", &[]),
        ("pickled-legacy", &[]),
        ("pickled-sharded", &[]),
        ("pickled-strided", &[]),
        ("pickled-tied", &llama),
        ("pickled-tied-gpt2", &gpt2),
    ] {
        let temp = temp();
        let (one, many) = (temp.path().join("one"), temp.path().join("many"));
        check_converts(layout, &one, &ConvertOptions::default(), tied);
        check_converts(layout, &many, &sharded(500), tied);
        assert!(listing(&one).contains(&"model.safetensors".to_owned()));
        assert!(listing(&many).contains(&"model.safetensors.index.json".to_owned()));
        let config = |dir: &Path| fs::read(dir.join("config.json")).expect("read");
        assert_eq!(config(&one), config(&layout_dir(layout)), "byte for byte");
    }
}

#[test]
fn what_transformers_saved_comes_out_as_it_went_in() {
    for layout in ["single", "tied", "tied-gpt2", "bf16", "mixed"] {
        let temp = temp();
        let dest = temp.path().join("dest");
        convert(layout_dir(layout), &dest, &ConvertOptions::default()).expect("convert");
        for name in ["config.json", "generation_config.json", "model.safetensors"] {
            let read = |dir: &Path| fs::read(dir.join(name)).expect("read");
            assert!(read(&dest) == read(&layout_dir(layout)), "{layout}: {name} differs");
        }
    }
}

#[test]
fn floats_are_cast_and_the_config_says_so() {
    for (dtype, name) in
        [(Dtype::BF16, "bfloat16"), (Dtype::F16, "float16"), (Dtype::F32, "float32")]
    {
        for layout in ["single", "bf16", "mixed", "pickled-strided"] {
            let temp = temp();
            let dest = temp.path().join("dest");
            check_converts(layout, &dest, &to(dtype), &[]);
            let artifact = Artifact::open(&dest).expect("open");
            assert_eq!(artifact.config().dtype().expect("valid"), Some(name));
        }
    }
}

#[test]
fn a_variant_is_converted_as_such() {
    let temp = temp();
    let dest = temp.path().join("dest");
    let save = SaveOptions { variant: Some("fp16".into()), ..SaveOptions::default() };
    let options = ConvertOptions { save, ..ConvertOptions::default() };
    convert(layout_dir("variant-sharded"), &dest, &options).expect("convert");
    let expected = ["config.json", "generation_config.json", "model.fp16.safetensors"];
    assert_eq!(listing(&dest), expected);
}

#[test]
fn a_single_file_becomes_a_single_file() {
    let temp = temp();
    let source = layout_dir("pickled-tied").join("pytorch_model.bin");
    let dest = temp.path().join("new/weights.safetensors");
    let converted = convert(&source, &dest, &ConvertOptions::default()).expect("convert");
    assert_eq!(converted.files.len(), 1);
    let file = TensorFile::read(&dest).expect("read");
    assert!(file.tensor("lm_head.weight").is_none());
    let tied = file.header().metadata().get("lm_head.weight");
    assert_eq!(tied.map(String::as_str), Some("model.embed_tokens.weight"));

    let error = convert(&source, temp.path().join("x.bin"), &ConvertOptions::default());
    let error = error.expect_err("refused").to_string();
    assert!(error.ends_with("name it *.safetensors"), "{error}");
    let error = convert(&source, &dest, &sharded(100)).expect_err("refused").to_string();
    assert!(error.contains("cannot be cut into shards"), "{error}");
}

#[test]
fn shared_memory_that_the_config_does_not_tie_is_stored_twice() {
    let temp = temp();
    let source = copy("pickled-tied", temp.path());
    let config = fs::read_to_string(source.join("config.json")).expect("read");
    let untied = config.replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    assert_ne!(config, untied);
    fs::write(source.join("config.json"), untied).expect("write");
    let dest = temp.path().join("dest");
    let converted = convert(&source, &dest, &ConvertOptions::default()).expect("convert");
    assert!(converted.tied.is_empty());
    let weights = Artifact::open(&dest).expect("open");
    let tie = weights.weights().tie("model.embed_tokens.weight", "lm_head.weight");
    assert_eq!(tie.expect("read"), Tie::Equal);
}

/// `single` has both the embedding and an output layer of its own.
#[test]
fn tied_weights_that_are_stored_twice() {
    let (source, target) = ("model.embed_tokens.weight".to_owned(), "lm_head.weight".to_owned());
    let temp = temp();
    let different = copy("single", temp.path());
    let config = fs::read_to_string(different.join("config.json")).expect("read");
    let tied = config.replace("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    fs::write(different.join("config.json"), tied).expect("write");
    let dest = temp.path().join("different");
    let converted = convert(&different, &dest, &ConvertOptions::default()).expect("convert");
    let (a, b) = (source.clone(), target.clone());
    assert_eq!(converted.warnings, [Warning::TiedDifferent { source: a, target: b }]);
    assert_eq!(converted.tied.len(), 0);
    let artifact = Artifact::open(&dest).expect("open");
    assert_eq!(artifact.weights().tie(&source, &target).expect("read"), Tie::Different);

    // The same with the output layer overwritten by the embedding.
    let path = different.join("model.safetensors");
    let opened = Artifact::open(&different).expect("open");
    let at = |name: &str| opened.weights().location(name).map(|it| it.offset as usize);
    let (from, to) = (at(&source).expect("there"), at(&target).expect("there"));
    let embedding = opened.weights().read_tensor(&source).expect("read");
    let mut bytes = fs::read(&path).expect("read");
    assert_ne!(from, to);
    bytes[to..to + embedding.len()].copy_from_slice(&embedding);
    fs::write(&path, bytes).expect("write");

    let dest = temp.path().join("equal");
    let converted = convert(&different, &dest, &ConvertOptions::default()).expect("convert");
    let (a, b) = (source.clone(), target.clone());
    assert_eq!(converted.warnings, [Warning::TiedTwice { source: a, target: b }]);
    assert_eq!(converted.tied.get(&target), Some(&source));
    let artifact = Artifact::open(&dest).expect("open");
    assert_eq!(artifact.weights().tie(&source, &target).expect("read"), Tie::SourceOnly);
    assert_eq!(artifact.weights().tie(&target, &source).expect("read"), Tie::TargetOnly);
    assert_eq!(artifact.weights().tie("x", "y").expect("read"), Tie::Neither);
}

#[test]
fn a_model_is_not_converted_onto_itself() {
    let temp = temp();
    let source = copy("pickled", temp.path());
    let before = listing(&source);
    let dest = temp.path().join("source/../source");
    let error = convert(&source, dest, &ConvertOptions::default()).expect_err("refused");
    assert!(error.to_string().contains("this is the source as well"), "{error}");
    assert_eq!(listing(&source), before);
}

#[test]
fn a_damaged_pickle_is_not_passed_on() {
    let temp = temp();
    let source = copy("pickled", temp.path());
    let path = source.join("pytorch_model.bin");
    let artifact = Artifact::open(&source).expect("open");
    let offset = artifact.weights().location("lm_head.weight").expect("in one piece").offset;
    let mut bytes = fs::read(&path).expect("read");
    bytes[offset as usize] ^= 1;
    fs::write(&path, bytes).expect("write");
    let dest = temp.path().join("dest");
    convert(&source, &dest, &ConvertOptions::default()).expect_err("damaged");
    assert!(!dest.exists());
}

/// The new weights have the usual name, so the config must not send readers to the old one.
#[test]
fn a_config_that_names_its_weights_does_not_afterwards() {
    let temp = temp();
    let source = copy("single", temp.path());
    fs::rename(source.join("model.safetensors"), source.join("mine.safetensors")).expect("rename");
    let config = fs::read_to_string(source.join("config.json")).expect("read");
    let named = config.replacen('{', "{\"transformers_weights\": \"mine.safetensors\",", 1);
    fs::write(source.join("config.json"), named).expect("write");
    let dest = temp.path().join("dest");
    convert(&source, &dest, &ConvertOptions::default()).expect("convert");
    assert_eq!(fs::read_to_string(dest.join("config.json")).expect("read"), config);
    assert_eq!(Artifact::open(&dest).expect("open").weights().len(), 12);
}
