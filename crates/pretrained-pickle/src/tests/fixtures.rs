//! Files that torch and the Trainer wrote: see `tests/python/fixtures/torch_files.py`.

use std::path::{Path, PathBuf};

use pretrained_safetensors::TensorFile;

use crate::{Key, PickleFile, Tensor, Value};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn open(name: &str) -> PickleFile {
    PickleFile::open(&data(name)).expect("written by torch")
}

/// Every tensor, by its path.
fn tensors<'a>(prefix: &str, value: &'a Value, out: &mut Vec<(String, &'a Tensor)>) {
    let join =
        |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
    match value {
        Value::Tensor(tensor) => out.push((prefix.to_owned(), tensor)),
        Value::List(items) | Value::Tuple(items) => {
            for (i, item) in items.iter().enumerate() {
                tensors(&join(&i.to_string()), item, out);
            }
        }
        Value::Dict(entries) => {
            for (key, item) in entries {
                let key = match key {
                    Key::Str(it) | Key::Other(it) => it.clone(),
                    Key::Int(it) => it.to_string(),
                };
                tensors(&join(&key), item, out);
            }
        }
        _ => {}
    }
}

#[track_caller]
fn check(name: &str) -> PickleFile {
    let file = open(name);
    file.verify().expect("intact");
    let expected = data(name).with_extension("safetensors");
    let expected = TensorFile::read(&expected).expect("written by the script");
    let mut found = Vec::new();
    tensors("", file.value(), &mut found);
    assert_eq!(found.len(), expected.header().tensors().len());
    for (path, tensor) in found {
        let view = expected.tensor(&path).expect("there are as many");
        assert_eq!(tensor.dtype, view.dtype(), "{path}");
        assert_eq!(tensor.shape, view.shape(), "{path}");
        let bytes = file.read(tensor).expect("readable");
        assert_eq!(bytes, view.data(), "{path}");
        assert_eq!(bytes, in_parts(&file, tensor), "{path}, in parts");
    }
    file
}

/// Reads a tensor three elements at a time.
fn in_parts(file: &PickleFile, tensor: &Tensor) -> Vec<u8> {
    let mut bytes = vec![0; tensor.byte_len().expect("small")];
    let part = 3 * tensor.dtype.bits() / 8;
    for (i, piece) in bytes.chunks_mut(part).enumerate() {
        file.read_range(tensor, i * part, piece).expect("readable");
    }
    bytes
}

#[test]
fn every_dtype() {
    check("dtypes.bin");
    check("dtypes-new.bin");
}

#[test]
fn views_of_shared_storages() {
    let file = check("views.bin");
    assert_eq!(file.aliases(), [["whole", "same"]]);
    assert_eq!(file.names().count(), 18);
    assert!(file.location(file.info("row").expect("there")).is_some());
    assert_eq!(file.location(file.info("column").expect("there")), None);
}

#[test]
fn the_form_before_1_6() {
    check("dtypes-legacy.bin");
    let file = check("views-legacy.bin");
    assert_eq!(file.aliases(), [["whole", "same"]]);
}

#[test]
fn every_protocol() {
    check("protocol-3.bin");
    check("protocol-4.bin");
    check("protocol-5.bin");
}

#[test]
fn modules_with_and_without_parameters() {
    check("module.bin");
    check("module-parameters.bin");
}

#[test]
fn optimizer_state() {
    let file = check("optimizer.pt");
    let groups = file.value().get("param_groups").and_then(Value::as_sequence).expect("a list");
    let group = &groups[0];
    assert_eq!(group.get("lr").and_then(Value::as_float), Some(0.00025));
    let betas = Value::Tuple(vec![Value::Float(0.9), Value::Float(0.999)]);
    assert_eq!(group.get("betas"), Some(&betas));
    assert_eq!(group.get("params").and_then(Value::as_sequence).map(<[Value]>::len), Some(4));
    assert_eq!(group.get("foreach"), Some(&Value::None));
}

#[test]
fn scheduler_state() {
    let file = open("scheduler.pt");
    let value = file.value();
    assert_eq!(value.get("last_epoch").and_then(Value::as_int), Some(3));
    assert_eq!(value.get("_step_count").and_then(Value::as_int), Some(4));
    assert_eq!(value.get("base_lrs"), Some(&Value::List(vec![Value::Float(1e-3)])));
}

#[test]
fn generator_states() {
    let file = check("rng_state.pth");
    let python = file.value().get("python").and_then(Value::as_sequence).expect("a tuple");
    assert_eq!(python[0], Value::Int(3));
    assert_eq!(python[1].as_sequence().map(<[Value]>::len), Some(625));
    let numpy = file.value().get("numpy").and_then(Value::as_sequence).expect("a tuple");
    let Value::Array(state) = &numpy[1] else { panic!("{:?}", numpy[1]) };
    assert_eq!((state.dtype.as_str(), state.shape.as_slice()), ("<u4", [624].as_slice()));
    assert_eq!(file.info("cpu").map(|it| it.shape.clone()), Some(vec![5056]));
}

#[test]
fn every_kind_of_value() {
    for name in ["values-2.pt", "values-4.pt"] {
        let file = open(name);
        let value = file.value();
        let get = |key| value.get(key).expect("there").clone();
        assert_eq!(get("none"), Value::None);
        assert_eq!(get("bools"), Value::Tuple(vec![Value::Bool(true), Value::Bool(false)]));
        let long = |bytes: [u8; 9]| Value::Long(bytes.to_vec());
        let ints = [0, 255, 256, -1, 1 << 31, i64::MIN].map(Value::Int);
        let mut expected = ints.to_vec();
        expected.push(long([0, 0, 0, 0, 0, 0, 0, 0, 1]));
        expected.push(long([0, 0, 0, 0, 0, 0, 0, 0, 0xc0]));
        assert_eq!(get("ints"), Value::List(expected));
        let floats = [0.5, f64::INFINITY, -0.0].map(Value::Float);
        assert_eq!(get("floats"), Value::List(floats.to_vec()));
        assert_eq!(get("text"), Value::Str("ä😀".to_owned()));
        assert_eq!(get("bytes"), Value::Bytes(vec![0, 255]));
        assert_eq!(get("set"), Value::Set(vec![Value::Int(1)]));
        assert_eq!(get("size"), Value::Tuple(vec![Value::Int(2), Value::Int(3)]));
        assert_eq!(get("dtype"), Value::Dtype("bfloat16".to_owned()));
        let count = |key: &str, n| (Key::Str(key.to_owned()), Value::Int(n));
        assert_eq!(get("counter"), Value::Dict(vec![count("a", 2), count("b", 1)]));
        let (key, nested) = &value.as_dict().expect("a dictionary")[10];
        assert_eq!(*key, Key::Int(7));
        let list = |items| Value::List(items);
        let innermost = list(vec![list(vec![list(vec![])])]);
        assert_eq!(nested.get("nested"), Some(&innermost));
    }
}
