//! Encoders against transformers: hidden states, the pooler, gradients, what is saved.

use pretrained::{
    AutoModel, Device, LoadOptions, ModelInputs,
    safetensors::TensorFile,
    torch::{Kind, Tensor},
};
use serde_json::json;

use crate::python;

/// Checks one case of `tests/python/encoders.py`.
#[track_caller]
fn check(name: &str) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let model_dir = dir.path().join(name);
    python::call("encoders.make", json!({"name": name, "out": model_dir}));
    let expected = TensorFile::read(&model_dir.join("expected.safetensors")).expect("expected");
    let given = |name: &str| tensor(&expected, name).expect("given to both");
    let (ids, mask, types) = (given("ids"), given("mask"), given("types"));
    let inputs = ModelInputs {
        attention_mask: Some(&mask),
        token_type_ids: Some(&types),
        output_hidden_states: true,
    };

    let model = AutoModel::from_pretrained(&model_dir, Device::Cpu).expect("a model");
    for param in model.params().values() {
        let _ = param.set_requires_grad(true);
    }
    let output = model.forward(&ids, &inputs).expect("hidden states");
    close(name, "last", &output.last_hidden_state, &given("last"), 1e-5);
    assert_eq!(output.hidden_states.len(), 4, "{name}: the embeddings and three layers");
    for (i, state) in output.hidden_states.iter().enumerate() {
        close(name, &format!("state {i}"), state, &given(&format!("state.{i}")), 1e-5);
    }
    let pooler = tensor(&expected, "pooler");
    assert_eq!(output.pooler_output.is_some(), pooler.is_some(), "{name}: a pooler");
    let mut total = (&output.last_hidden_state * given("weight")).sum(Kind::Float);
    if let (Some(ours), Some(theirs)) = (&output.pooler_output, &pooler) {
        close(name, "pooler", ours, theirs, 1e-5);
        total += (ours * given("pooler_weight")).sum(Kind::Float);
    }
    total.backward();
    for (param_name, param) in model.params() {
        let of = given(&format!("grad.{param_name}"));
        // The bias of the keys changes nothing: its gradient is what rounding leaves.
        let scale = of.abs().max().double_value(&[]).max(1e-2);
        close(name, param_name, &param.grad(), &of, 1e-4 * scale);
    }
    let n_grads = expected.header().tensors().keys().filter(|it| it.starts_with("grad.")).count();
    assert_eq!(model.params().len(), n_grads, "{name}: parameters");

    let plain = model.forward(&ids, &ModelInputs::default()).expect("hidden states");
    close(name, "plain", &plain.last_hidden_state, &given("plain"), 1e-5);
    assert!(plain.hidden_states.is_empty(), "{name}: nobody asked for them");

    let options = LoadOptions { dtype: Some(Kind::BFloat16), ..LoadOptions::default() };
    let bf16 = AutoModel::from_pretrained_with(&model_dir, &options).expect("a model");
    let ours = bf16.forward(&ids, &inputs).expect("hidden states").last_hidden_state;
    let noise = delta(&given("bf16"), &given("last"));
    close(name, "bf16", &ours.to_kind(Kind::Float), &given("last"), 2.0 * noise);

    let saved = dir.path().join("saved");
    model.save_pretrained(&saved).expect("a saved model");
    let with = json!({
        "name": name, "model": saved, "expected": model_dir.join("expected.safetensors"),
    });
    let reopened = python::call("encoders.reopen", with);
    assert!(reopened["delta"].as_f64().is_some_and(|it| it <= 1e-6), "{name}: {reopened}");
    assert_eq!(reopened["problems"], json!({}), "{name}");
    assert_eq!(reopened["architectures"], json!(["BertModel"]), "{name}");
    let again = AutoModel::from_pretrained(&saved, Device::Cpu).expect("a model");
    let again = again.forward(&ids, &inputs).expect("hidden states");
    assert_eq!(again.last_hidden_state, output.last_hidden_state, "{name}");
}

#[test]
fn what_is_no_input_of_an_encoder_is_an_error_and_it_goes_on() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    python::call("encoders.make", json!({"name": "bert", "out": dir.path()}));
    let model = AutoModel::from_pretrained(dir.path(), Device::Cpu).expect("a model");
    let tokens = |ids: &[i64]| Tensor::from_slice(ids).unsqueeze(0);
    let refused = |ids: &Tensor, inputs: &ModelInputs<'_>, expected: &str| {
        let error = model.forward(ids, inputs).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    };
    let plain = ModelInputs::default();
    refused(&tokens(&[5, 61]), &plain, "61");
    refused(&tokens(&[-1]), &plain, "-1");
    refused(&tokens(&[]), &plain, "[1, 0]");
    refused(&tokens(&[7; 41]), &plain, "41");
    let (ids, short) = (tokens(&[5, 6, 7]), tokens(&[1, 1]));
    let types = tokens(&[0, 3, 0]);
    let masked = ModelInputs { attention_mask: Some(&short), ..ModelInputs::default() };
    refused(&ids, &masked, "attention_mask");
    let typed = ModelInputs { token_type_ids: Some(&types), ..ModelInputs::default() };
    refused(&ids, &typed, "token_type_ids");
    model.forward(&ids, &plain).expect("the model goes on");
}

fn tensor(file: &TensorFile, name: &str) -> Option<Tensor> {
    let view = file.tensor(name)?;
    let shape: Vec<i64> = view.shape().iter().map(|&it| it as i64).collect();
    let kind = if ["ids", "mask", "types"].contains(&name) { Kind::Int64 } else { Kind::Float };
    Some(Tensor::from_data_size(view.data(), &shape, kind))
}

fn delta(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[track_caller]
fn close(case: &str, what: &str, ours: &Tensor, theirs: &Tensor, at_most: f64) {
    assert_eq!(ours.size(), theirs.size(), "{case}: {what}");
    let delta = delta(ours, theirs);
    assert!(delta <= at_most, "{case}: {what} is off by {delta:e}, {at_most:e} is allowed");
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)) })*

        /// Whoever adds a case in Python gets it run.
        #[test]
        fn no_case_is_left_out() {
            let mut names = vec![$(stringify!($name)),*];
            names.sort_unstable();
            assert_eq!(python::call("encoders.names", json!({})), json!(names));
        }
    };
}

cases! { bert bert_relu bert_gelu_new bert_no_pooler bert_masked_lm bert_classifier bert_legacy }
