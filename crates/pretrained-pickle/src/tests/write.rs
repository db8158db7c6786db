use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use pretrained_safetensors::{Dtype, Layout, Metadata, TensorSpec};
use proptest::{collection::vec, prelude::*};

use crate::{Array, Key, PickleFile, Tensor, Value, write};

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

fn dict<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Dict(entries.map(|(key, value)| (Key::Str(key.to_owned()), value)).to_vec())
}

/// The dtypes that PyTorch has.
fn dtypes() -> Vec<Dtype> {
    let lacking = [Dtype::F4, Dtype::F6_E2M3, Dtype::F6_E3M2];
    Dtype::ALL.into_iter().filter(|it| !lacking.contains(it)).collect()
}

fn bytes_of(tensor: &Tensor) -> Vec<u8> {
    let len = tensor.byte_len().expect("small");
    // Bytes that are booleans as well.
    (0..len).map(|i| (i + tensor.storage) as u8 % 2).collect()
}

fn written(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, "written", value, |it| Ok(bytes_of(it))).expect("writing to memory");
    out
}

fn read(bytes: Vec<u8>) -> PickleFile {
    let file = PickleFile::from_bytes(bytes, Path::new("written.pt")).expect("our own file");
    file.verify().expect("intact");
    file
}

fn everything() -> Value {
    let name = |dtype: Dtype| {
        let names = crate::global::torch_name(dtype);
        names.expect("PyTorch has it").to_owned()
    };
    let tensor = |(i, dtype)| {
        (Key::Str(name(dtype)), Value::Tensor(Tensor::contiguous(i, dtype, vec![2, 4])))
    };
    let mut state: Vec<_> = dtypes().into_iter().enumerate().map(tensor).collect();
    let float = state.iter().find(|(it, _)| *it == Key::Str("float32".to_owned()));
    let float = float.expect("one of them").1.clone();
    let scalar = Tensor::contiguous(100, Dtype::F32, vec![]);
    let empty = Tensor::contiguous(101, Dtype::F64, vec![3, 0, 2]);
    state.push((Key::Str("scalar".to_owned()), Value::Tensor(scalar)));
    state.push((Key::Str("empty".to_owned()), Value::Tensor(empty)));
    let ints = [0, 255, 256, -1, 1 << 31, i64::MIN].map(Value::Int).to_vec();
    let long = Value::Long(vec![0, 0, 0, 0, 0, 0, 0, 0, 0xc0]);
    let nested = Value::List(vec![Value::List(vec![]), Value::Dict(vec![]), Value::Tuple(vec![])]);
    let mut entries = vec![
        (Key::Str("state".to_owned()), Value::Dict(state)),
        (Key::Str("ints".to_owned()), Value::List([ints, vec![long]].concat())),
        (Key::Int(7), dict([("nested", nested)])),
    ];
    let more = dict([
        ("alias", float),
        ("floats", Value::Tuple([0.5, f64::NEG_INFINITY, 1e-300].map(Value::Float).to_vec())),
        ("nothing", Value::None),
        ("yes", Value::Bool(true)),
        ("no", Value::Bool(false)),
        ("text", text("ä😀")),
        ("bytes", Value::Bytes((0..=255).collect())),
        ("set", Value::Set(vec![Value::Int(1), Value::Int(2)])),
        ("dtype", Value::Dtype("bfloat16".to_owned())),
    ]);
    entries.extend(more.as_dict().expect("one").to_vec());
    Value::Dict(entries)
}

/// Numbers storages in order of appearance, as reading does.
fn generator_state() -> Value {
    let state = Array {
        dtype: "<u4".to_owned(),
        shape: vec![624],
        fortran_order: false,
        data: (0..624u32).flat_map(u32::to_le_bytes).collect(),
    };
    let numpy = vec![
        text("MT19937"),
        Value::Array(state),
        Value::Int(624),
        Value::Int(0),
        Value::Float(0.0),
    ];
    dict([("numpy", Value::Tuple(numpy))])
}

#[test]
fn what_is_written_is_read_back() {
    let file = read(written(&everything()));
    let Value::Dict(entries) = file.value() else { panic!("{:?}", file.value()) };
    let Value::Dict(expected) = everything() else { panic!("made so") };
    assert_eq!(entries.len(), expected.len());
    assert_eq!(entries[1..], expected[1..]);
    let state = entries[0].1.as_dict().expect("the state");
    assert_eq!(state.len(), dtypes().len() + 2);
    for (i, (key, value)) in state.iter().enumerate() {
        let tensor = value.as_tensor().expect("only tensors");
        assert_eq!(tensor.storage, i, "{key:?}");
        assert!(tensor.is_contiguous());
        if i < dtypes().len() {
            assert_eq!(file.read(tensor).expect("readable"), bytes_of(tensor), "{key:?}");
            let location = file.location(tensor).expect("contiguous");
            assert_eq!(location.offset % 64, 0, "{key:?}");
        }
    }
    let file = read(written(&generator_state()));
    assert_eq!(*file.value(), generator_state());
}

#[test]
fn the_same_value_gives_the_same_bytes() {
    assert!(written(&everything()) == written(&everything()));
}

#[test]
fn tensors_that_cannot_be_written_are_refused() {
    let error = |tensor: Tensor, len: usize| {
        let written = write(Vec::new(), "x", &Value::Tensor(tensor), |_| Ok(vec![0; len]));
        written.expect_err("refused").to_string()
    };
    let whole = || Tensor::contiguous(0, Dtype::F32, vec![2, 2]);
    let strided = "a tensor does not fill its storage in C order";
    assert_eq!(error(Tensor { strides: vec![1, 2], ..whole() }, 16), strided);
    assert_eq!(error(Tensor { offset: 1, ..whole() }, 16), strided);
    assert_eq!(error(whole(), 15), "a storage has another length than its tensor");
    assert_eq!(error(Tensor { dtype: Dtype::F4, ..whole() }, 2), "PyTorch lacks a dtype");
    for shape in [vec![usize::MAX, 2], vec![usize::MAX, usize::MAX, 0]] {
        let endless = Tensor::contiguous(0, Dtype::F32, shape);
        assert_eq!(error(endless, 0), "a tensor has no length in bytes");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e300..1e300).prop_map(Value::Float),
        ".{0,8}".prop_map(Value::Str),
        vec(any::<u8>(), 0..8).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::List),
            vec(inner.clone(), 0..6).prop_map(Value::Tuple),
            proptest::collection::btree_map(".{0,8}", inner, 0..6).prop_map(|it| {
                Value::Dict(it.into_iter().map(|(key, value)| (Key::Str(key), value)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_written_and_read_back(value in value()) {
        let file = read(written(&value));
        prop_assert_eq!(file.value(), &value);
    }

    #[test]
    fn any_flipped_bit_is_an_error_or_harmless(bit in any::<usize>()) {
        let mut bytes = written(&everything());
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        // Times, versions and padding mean nothing; everything else is checked twice.
        if let Ok(file) = PickleFile::from_bytes(bytes, Path::new("flipped"))
            && file.verify().is_ok()
        {
            let whole = read(written(&everything()));
            prop_assert_eq!(file.value(), whole.value());
        }
    }
}

/// The Python that `cargo xtask test` tells the tests to compare with; `None`, and a word about it, without one.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PRETRAINED_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!("not compared: PRETRAINED_PYTHON is not set; `cargo xtask test` sets it");
    }
    python
}

#[test]
fn torch_reads_what_is_written() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().expect("temp dir");
    fs::write(dir.path().join("written.pt"), written(&everything())).expect("write");
    fs::write(dir.path().join("rng.pth"), written(&generator_state())).expect("write");
    let value = everything();
    let state = value.get("state").and_then(Value::as_dict).expect("made so");
    let mut tensors = Vec::new();
    for (key, value) in state {
        let (Key::Str(name), Value::Tensor(tensor)) = (key, value) else { panic!("made so") };
        tensors.push((name.clone(), tensor));
    }
    let specs = tensors.iter().map(|(name, tensor)| TensorSpec {
        name: name.clone(),
        dtype: tensor.dtype,
        shape: tensor.shape.clone(),
    });
    let layout = Layout::new(specs.collect(), &Metadata::new()).expect("valid");
    let mut expected = Vec::new();
    let data = |spec: &TensorSpec| {
        let tensor = tensors.iter().find(|(name, _)| *name == spec.name);
        Ok(bytes_of(tensor.expect("from there").1))
    };
    layout.write_to(&mut expected, data).expect("writing to memory");
    fs::write(dir.path().join("written.safetensors"), expected).expect("write");

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/torch_reads.py");
    let output = Command::new(python).arg(script).arg(dir.path()).output().expect("run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "ok");
}
