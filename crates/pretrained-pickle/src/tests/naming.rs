//! What the tensors of nested contents are called. None is passed over: see also
//! `case_23_tensors_that_no_name_leads_to`.

use std::path::Path;

use pretrained_safetensors::Dtype;

use crate::{Key, PickleFile, Tensor, Value, write};

fn tensor(storage: usize) -> Value {
    Value::Tensor(Tensor::contiguous(storage, Dtype::U8, vec![1]))
}

fn dict<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Dict(entries.map(|(key, value)| (Key::Str(key.to_owned()), value)).to_vec())
}

/// Names, the wrapper, and what has no tensor.
type Found = (Vec<String>, Option<String>, Vec<String>);

fn find(value: &Value) -> Found {
    let mut out = Vec::new();
    write(&mut out, "x", value, |_| Ok([0])).expect("writing to memory");
    let file = PickleFile::from_bytes(out, Path::new("x.bin")).expect("our own");
    let named = file.named_tensors().expect("all have names");
    assert_eq!(named.others.len(), named.others_count);
    let names = named.tensors.iter().map(|(name, _)| name.clone());
    (names.collect(), named.wrapper.map(str::to_owned), named.others.clone())
}

#[track_caller]
fn check(value: Value, names: &[&str], wrapper: Option<&str>, others: &[&str]) {
    let expected = (names.iter().map(|it| (*it).to_owned()).collect(), wrapper.map(str::to_owned));
    let (found, found_wrapper, found_others) = find(&value);
    assert_eq!((found, found_wrapper), expected);
    assert_eq!(found_others, others);
}

#[test]
fn a_state_dict_has_the_names() {
    check(dict([("a.weight", tensor(0)), ("b", tensor(1))]), &["a.weight", "b"], None, &[]);
    check(dict([]), &[], None, &[]);
}

#[test]
fn nested_tensors_are_named_by_their_path() {
    let list = Value::List(vec![tensor(2), Value::Tuple(vec![Value::None, tensor(3)])]);
    let numbered = Value::Dict(vec![(Key::Int(7), dict([("exp_avg", tensor(4))]))]);
    check(
        dict([
            ("a", tensor(0)),
            ("in", dict([("b", tensor(1)), ("list", list)])),
            ("state", numbered),
        ]),
        &["a", "in.b", "in.list.0", "in.list.1.1", "state.7.exp_avg"],
        None,
        &["in.list.1.0"],
    );
    check(Value::List(vec![tensor(0), tensor(1)]), &["0", "1"], None, &[]);
}

#[test]
fn the_one_entry_with_tensors_is_a_wrapper() {
    let state = || dict([("a", tensor(0)), ("b", tensor(1))]);
    let metrics = dict([("loss", Value::Float(1.0)), ("best", Value::None)]);
    for wrapper in ["state_dict", "model_state_dict", "model", "module"] {
        check(
            dict([("epoch", Value::Int(3)), (wrapper, state()), ("metrics", metrics.clone())]),
            &["a", "b"],
            Some(wrapper),
            &["epoch", "metrics"],
        );
    }
    check(dict([("net", state())]), &["net.a", "net.b"], None, &[]);
    check(dict([("state_dict", tensor(0))]), &["state_dict"], None, &[]);
}

/// With tensors beside it, taking the wrapper away would mix or lose names.
#[test]
fn a_wrapper_beside_other_tensors_is_a_part_of_the_names() {
    check(
        dict([("state_dict", dict([("a", tensor(0))])), ("optimizer", dict([("a", tensor(1))]))]),
        &["state_dict.a", "optimizer.a"],
        None,
        &[],
    );
}

#[test]
fn what_has_no_tensor_is_mentioned_so_often() {
    let many = (0..40).map(|i| (Key::Str(format!("number{i}")), Value::Int(i)));
    let mut out = Vec::new();
    write(&mut out, "x", &Value::Dict(many.collect()), |_| Ok([0])).expect("writing to memory");
    let file = PickleFile::from_bytes(out, Path::new("x.bin")).expect("our own");
    let named = file.named_tensors().expect("there are none");
    assert_eq!((named.tensors.len(), named.others.len(), named.others_count), (0, 16, 40));
}
