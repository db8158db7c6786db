use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pretrained_pickle::{Key, Tensor, Value};
use pretrained_safetensors::{Dtype, TensorFile, cast};

use super::{layouts::layout_dir, listing, save_ab, temp};
use crate::{Artifact, ConvertOptions, Converted, Error, SaveOptions, Strictness, Tie, Warning};

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
}

#[test]
fn a_single_file_becomes_shards_where_it_is_too_long() {
    let temp = temp();
    let source = layout_dir("pickled-tied").join("pytorch_model.bin");
    let dest = temp.path().join("model.safetensors");
    convert(&source, &dest, &ConvertOptions::default()).expect("convert");
    let one = TensorFile::read(&dest).expect("read");
    let converted = convert(&source, &dest, &sharded(500)).expect("convert");
    assert!(converted.files.len() > 1);
    // The single file would come before its shards.
    assert!(!dest.exists());
    let config = layout_dir("pickled-tied").join("config.json");
    fs::copy(config, temp.path().join("config.json")).expect("copy");
    let artifact = Artifact::open(temp.path()).expect("open");
    assert_eq!(artifact.warnings(), []);
    assert_eq!(artifact.weights().len(), one.header().tensors().len());
    for (name, tensor) in one.tensors() {
        assert_eq!(artifact.weights().read_tensor(name).expect("read"), tensor.data());
    }
    for (path, bytes) in &converted.files {
        assert_eq!(fs::metadata(path).expect("there").len(), *bytes);
    }

    // Fewer shards replace more of them, and none of them is its own source.
    let fewer = convert(&source, &dest, &sharded(1000)).expect("convert");
    let kept: Vec<String> =
        listing(temp.path()).into_iter().filter(|it| it.ends_with(".safetensors")).collect();
    assert_eq!(kept.len(), fewer.files.len());
    let error = convert(&fewer.files[0].0, &dest, &sharded(100)).expect_err("refused");
    assert!(error.to_string().contains("this is the source as well"), "{error}");
    assert_eq!(listing(temp.path()).len(), fewer.files.len() + 2);
}

/// Writes a pickled state dict of bytes: names, and which storage each of them views.
fn pickled(path: &Path, names: &[(&str, usize)], wrapper: Option<&str>) {
    let key = |name: &str| Key::Str(name.to_owned());
    let tensor = |storage| Value::Tensor(Tensor::contiguous(storage, Dtype::U8, vec![3]));
    let mut value =
        Value::Dict(names.iter().map(|(name, storage)| (key(name), tensor(*storage))).collect());
    if let Some(wrapper) = wrapper {
        value = Value::Dict(vec![(key("epoch"), Value::Int(3)), (key(wrapper), value)]);
    }
    let file = fs::File::create(path).expect("create");
    pretrained_pickle::write(file, "x", &value, |it| Ok([it.storage as u8; 3])).expect("write");
}

fn names_of(path: &Path) -> Vec<String> {
    TensorFile::read(path).expect("read").header().tensors().keys().cloned().collect()
}

#[test]
fn three_names_of_one_tensor_are_stored_once() {
    let temp = temp();
    let (source, dest) = (temp.path().join("x.bin"), temp.path().join("x.safetensors"));
    let names = [
        ("decoder.embed_tokens.weight", 0),
        ("lm_head.weight", 0),
        ("norm.weight", 1),
        ("shared.weight", 0),
        ("a", 2),
        ("b", 2),
        ("c", 2),
    ];
    pickled(&source, &names, None);
    let converted = convert(&source, &dest, &ConvertOptions::default()).expect("convert");
    assert_eq!(names_of(&dest), ["a", "norm.weight", "shared.weight"]);
    let tied = [
        ("b", "a"),
        ("c", "a"),
        ("decoder.embed_tokens.weight", "shared.weight"),
        ("lm_head.weight", "shared.weight"),
    ];
    let tied = BTreeMap::from(tied.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(converted.tied, tied);
    // The file says it as well, to whoever ties its names.
    let file = TensorFile::read(&dest).expect("read");
    let mut metadata = file.header().metadata().clone();
    metadata.remove("format");
    assert_eq!(metadata, tied);

    // Beside a config that ties the embeddings, only those are found again by one name.
    let dir = temp.path().join("model");
    fs::create_dir(&dir).expect("mkdir");
    fs::copy(layout_dir("pickled-tied").join("config.json"), dir.join("config.json"))
        .expect("copy");
    let names = [("lm_head.weight", 0), ("model.embed_tokens.weight", 0), ("other", 0)];
    pickled(&dir.join("pytorch_model.bin"), &names, None);
    let dest = temp.path().join("dest");
    let converted = convert(&dir, &dest, &ConvertOptions::default()).expect("convert");
    let pair = ("lm_head.weight".to_owned(), "model.embed_tokens.weight".to_owned());
    assert_eq!(converted.tied, BTreeMap::from([pair]));
    let names = vec!["model.embed_tokens.weight".to_owned(), "other".to_owned()];
    assert_eq!(converted.warnings, [Warning::Shared { names: names.clone() }]);
    assert_eq!(names_of(&dest.join("model.safetensors")), names);
}

/// As OPT has it: the only embedding is called as another family's second one.
#[test]
fn a_decoders_embedding_is_the_source_of_a_head_where_there_is_no_other() {
    let temp = temp();
    let dir = temp.path().join("model");
    fs::create_dir(&dir).expect("mkdir");
    let config = r#"{"model_type": "opt", "tie_word_embeddings": true}"#;
    fs::write(dir.join("config.json"), config).expect("write");
    let (source, head) = ("model.decoder.embed_tokens.weight", "lm_head.weight");
    pickled(&dir.join("pytorch_model.bin"), &[(head, 0), (source, 0)], None);
    let dest = temp.path().join("dest");
    let converted = convert(&dir, &dest, &ConvertOptions::default()).expect("convert");
    assert_eq!(converted.tied, BTreeMap::from([(head.to_owned(), source.to_owned())]));
    assert_eq!(converted.warnings, []);
    assert_eq!(names_of(&dest.join("model.safetensors")), [source]);
}

#[test]
fn an_output_layer_alone_keeps_its_name() {
    let temp = temp();
    let dir = temp.path().join("model");
    fs::create_dir(&dir).expect("mkdir");
    fs::copy(layout_dir("pickled-tied").join("config.json"), dir.join("config.json"))
        .expect("copy");
    pickled(&dir.join("pytorch_model.bin"), &[("lm_head.weight", 0)], None);
    let dest = temp.path().join("dest");
    let converted = convert(&dir, &dest, &ConvertOptions::default()).expect("convert");
    assert_eq!((converted.tied.len(), converted.warnings), (0, vec![]));
    assert_eq!(names_of(&dest.join("model.safetensors")), ["lm_head.weight"]);
    let artifact = Artifact::open(&dest).expect("open");
    let tie = artifact.weights().tie("model.embed_tokens.weight", "lm_head.weight");
    assert_eq!(tie.expect("read"), Tie::TargetOnly);
}

#[test]
fn what_a_pickle_has_beside_its_tensors_is_said() {
    let temp = temp();
    let (source, dest) = (temp.path().join("x.ckpt"), temp.path().join("x.safetensors"));
    pickled(&source, &[("a", 0), ("b", 1)], Some("state_dict"));
    let converted = convert(&source, &dest, &ConvertOptions::default()).expect("convert");
    assert_eq!(names_of(&dest), ["a", "b"]);
    let (file, wrapper) = ("x.ckpt".to_owned(), "state_dict".to_owned());
    let wrapped = Warning::Wrapped { file: file.clone(), wrapper };
    let others = Warning::NotTensors { file, entries: vec!["epoch".to_owned()], count: 1 };
    assert_eq!(converted.warnings, [wrapped.clone(), others.clone()]);
    let verified = crate::verify(&source, &crate::VerifyOptions::default()).expect("verify");
    assert_eq!((verified.tensors, verified.warnings), (2, vec![wrapped, others]));
}

/// Whichever part of a file is damaged, and whether or not it is cast on the way.
#[test]
fn a_damaged_file_leaves_the_destination_as_it_was() {
    let temp = temp();
    let source = temp.path().join("pytorch_model.bin");
    let dest = temp.path().join("x.safetensors");
    let whole = fs::read(layout_dir("pickled-strided").join("pytorch_model.bin")).expect("read");
    fs::write(&source, &whole).expect("write");
    convert(&source, &dest, &ConvertOptions::default()).expect("whole");
    let before = fs::read(&dest).expect("read");
    let file = pretrained_pickle::PickleFile::open(&source).expect("open");
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    let place = |name: &String| file.location(file.info(name)?).filter(|it| it.len > 0);
    for offset in names.iter().filter_map(place).map(|it| it.offset) {
        let mut damaged = whole.clone();
        damaged[offset as usize] ^= 1;
        fs::write(&source, damaged).expect("write");
        for options in [ConvertOptions::default(), to(Dtype::BF16)] {
            let error = convert(&source, &dest, &options).expect_err("damaged");
            let cause = std::error::Error::source(&error).expect("the format").to_string();
            assert!(cause.ends_with("its checksum is not that of its bytes"), "{cause}");
        }
    }
    assert!(fs::read(&dest).expect("read") == before);
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

#[test]
fn named_chat_templates_change_with_the_model() {
    let (temp, template) = (temp(), "additional_chat_templates/tool_use.jinja");
    let model = |name: &str, files: &[(&str, &str)]| {
        let dir = temp.path().join(name);
        save_ab(&dir, 1, 1000).expect("save");
        fs::create_dir(dir.join("additional_chat_templates")).expect("mkdir");
        for (name, content) in files {
            fs::write(dir.join(name), content).expect("write");
        }
        dir
    };
    let with = model("with", &[("tokenizer_config.json", "{}"), (template, "new")]);
    let without = model("without", &[("tokenizer_config.json", "{ }")]);
    let dest = model("dest", &[("tokenizer_config.json", "old"), (template, "old")]);
    let convert = |from: &Path| {
        crate::convert(from, &dest, &ConvertOptions::default(), |_, _| {}).expect("convert");
        let read = |name: &str| fs::read_to_string(dest.join(name)).ok();
        (read("tokenizer_config.json"), read(template))
    };
    assert_eq!(convert(&with), (Some("{}".into()), Some("new".into())));
    assert_eq!(convert(&without), (Some("{ }".into()), None));
    assert!(!dest.join("additional_chat_templates").exists());
}

/// Weights of a directory, or of an index, without a config.
#[test]
fn weights_alone_become_a_file() {
    let temp = temp();
    let (dir, expected) = (temp.path().join("shards"), temp.path().join("expected.safetensors"));
    fs::create_dir(&dir).expect("mkdir");
    for name in listing(&layout_dir("pickled-sharded")) {
        fs::copy(layout_dir("pickled-sharded").join(&name), dir.join(&name)).expect("copy");
    }
    let tensors = |path: &Path| {
        let file = TensorFile::read(path).expect("valid");
        let all = file.tensors().map(|(name, it)| (name.to_owned(), it.data().to_vec()));
        all.collect::<BTreeMap<_, _>>()
    };
    // One with a config is no other.
    convert(&dir, &expected, &ConvertOptions::default()).expect("convert");
    fs::remove_file(dir.join("config.json")).expect("remove");
    let dest = temp.path().join("out.safetensors");
    for source in [dir.clone(), dir.join("pytorch_model.bin.index.json")] {
        let converted = convert(&source, &dest, &ConvertOptions::default()).expect("convert");
        assert_eq!(converted.files.len(), 1);
        assert_eq!(tensors(&dest), tensors(&expected));
    }
    let error = convert(&dir, temp.path().join("model"), &ConvertOptions::default());
    assert!(error.expect_err("no config").to_string().contains("config.json"));
}

#[test]
fn a_file_that_only_the_reference_lets_pass_is_converted_on_request() {
    let temp = temp();
    let (source, dest) = (temp.path().join("odd.safetensors"), temp.path().join("new.safetensors"));
    // Not padded: the data begins at an odd place.
    let header = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]} }"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(1.5f32.to_le_bytes());
    fs::write(&source, bytes).expect("write");
    let error = convert(&source, &dest, &ConvertOptions::default()).expect_err("strict");
    assert!(error.to_string().contains("odd.safetensors"), "{error}");
    let compat = ConvertOptions { strictness: Strictness::Compat, ..ConvertOptions::default() };
    let converted = convert(&source, &dest, &compat).expect("convert");
    assert_eq!(converted.warnings.len(), 1, "{:?}", converted.warnings);
    let data = TensorFile::read(&dest).expect("strict").tensor("w").map(|it| it.data().to_vec());
    assert_eq!(data, Some(1.5f32.to_le_bytes().to_vec()));
}

#[test]
fn what_has_no_tensors_is_not_converted() {
    let temp = temp();
    let empty = b"\x08\0\0\0\0\0\0\0{}      ";
    fs::write(temp.path().join("empty.safetensors"), empty).expect("write");
    let dest = temp.path().join("out.safetensors");
    let error = convert(temp.path().join("empty.safetensors"), &dest, &ConvertOptions::default());
    let error = error.expect_err("no tensors").to_string();
    assert!(error.ends_with("there are no tensors in it, so there is nothing to write"), "{error}");
    assert!(!dest.exists());
}

#[test]
fn a_tensor_is_read_as_another_type() {
    for layout in ["single", "pickled-strided"] {
        let artifact = Artifact::open(layout_dir(layout)).expect("open");
        let weights = artifact.weights();
        for name in weights.names() {
            let from = weights.info(name).expect("there").dtype;
            let read = weights.read_tensor_as(name, Dtype::BF16);
            let whole = weights.read_tensor(name).expect("read");
            match cast(&whole, from, Dtype::BF16) {
                Ok(expected) => assert_eq!(read.expect("read"), expected, "{name}"),
                Err(_) => {
                    let error = read.expect_err("no float").to_string();
                    assert!(error.starts_with(&format!("tensor `{name}`: ")), "{error}");
                }
            }
        }
    }
}
