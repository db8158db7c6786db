//! Encoders against transformers: hidden states, the pooler, gradients, what is saved.

use pretrained::{
    AutoModel, AutoTokenizer, Device, EmbedOptions, LoadOptions, ModelInputs, embed,
    safetensors::TensorFile,
    torch::{Kind, Tensor},
};
use serde_json::json;

use crate::{
    command::{pretrained, succeeds},
    python,
};

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

/// Texts of many lengths, so that they share batches and are padded; one of them is cut.
const TEXTS: [&str; 6] =
    ["where is the station?", "", "a", "how do i get to the train, please?", "日本", LONG];
const LONG: &str =
    "the quick brown fox jumps over the lazy dog, and the lazy dog, at last, wakes up.";

#[test]
fn embeddings_are_those_that_transformers_pools() {
    let pooling =
        |mode: &str| json!({"word_embedding_dimension": 24, mode: true, "pooling_mode_x": false});
    let modules = |names: &[&str]| {
        let paths = ["", "1_Pooling", "2_Normalize"];
        let module = |(name, path)| json!({"path": path, "type": format!("sentence_transformers.models.{name}")});
        names.iter().zip(paths).map(module).collect::<Vec<_>>()
    };
    let cases = [
        (json!({}), json!({})),
        (
            json!({"modules.json": modules(&["Transformer", "Pooling"]), "1_Pooling/config.json": pooling("pooling_mode_cls_token"), "sentence_bert_config.json": {"max_seq_length": 9, "do_lower_case": false}}),
            json!({"pooling": "cls", "normalize": false, "max_length": 9}),
        ),
        (
            json!({"modules.json": modules(&["Transformer", "Pooling", "Normalize"]), "1_Pooling/config.json": pooling("pooling_mode_max_tokens")}),
            json!({"pooling": "max"}),
        ),
    ];
    for (files, expected) in cases {
        let dir = tempfile::tempdir().expect("a temporary directory");
        python::call("encoders.make", json!({"name": "bert", "out": dir.path()}));
        let mut with = json!({"model": dir.path(), "texts": TEXTS, "modules": files});
        with.as_object_mut()
            .expect("arguments")
            .extend(expected.as_object().expect("more").clone());
        let theirs = python::call("encoders.embed", with);
        let theirs: Vec<Vec<f32>> = serde_json::from_value(theirs).expect("vectors");

        let options = EmbedOptions::from_pretrained(dir.path()).expect("options");
        let options = EmbedOptions { batch_size: 4, ..options };
        let model = AutoModel::from_pretrained(dir.path(), Device::Cpu).expect("a model");
        let tokenizer = AutoTokenizer::from_pretrained(dir.path()).expect("a tokenizer");
        let ours = embed(&model, &tokenizer, &TEXTS, &options).expect("embeddings");
        assert_eq!(ours.shape, [TEXTS.len(), 24]);
        for ((ours, theirs), text) in ours.values.chunks(24).zip(&theirs).zip(TEXTS) {
            let delta = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(delta <= 1e-5, "{text:?}: {files}: off by {delta:e}");
        }
        assert_eq!(embed::<&str>(&model, &tokenizer, &[], &options).expect("none").shape, [0, 24]);
        let options = EmbedOptions { batch_size: 0, ..options };
        let error = embed(&model, &tokenizer, &TEXTS, &options).expect_err("refused").to_string();
        assert!(error.contains("batch_size is 0"), "{error}");
    }
}

#[test]
fn modules_that_are_not_known_are_refused_by_name() {
    for (modules, pooling, expected) in [
        (r#"[{"type":"sentence_transformers.models.Dense","path":"2_Dense"}]"#, "{}", "Dense"),
        (
            r#"[{"type":"sentence_transformers.models.Pooling","path":"p"}]"#,
            r#"{"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":true}"#,
            "pooling_mode",
        ),
        (r#"[{"type":"sentence_transformers.models.Pooling","path":"p"}]"#, "{", "p/config.json"),
        (r#"[{"type":"sentence_transformers.models.Pooling","path":"../p"}]"#, "{}", "../p"),
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("p")).expect("made");
        std::fs::write(dir.path().join("modules.json"), modules).expect("written");
        std::fs::write(dir.path().join("p/config.json"), pooling).expect("written");
        let error = EmbedOptions::from_pretrained(dir.path()).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn the_command_prints_and_writes_vectors() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let model = dir.path().join("model");
    python::call("encoders.make", json!({"name": "bert", "out": model}));
    let theirs = python::call("encoders.embed", json!({"model": model, "texts": TEXTS[..2]}));
    let theirs: Vec<Vec<f32>> = serde_json::from_value(theirs).expect("vectors");
    let close = |ours: &[f32], theirs: &[f32]| {
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() <= 1e-5)
    };

    let printed = succeeds(pretrained(["embed"]).arg(&model).args(&TEXTS[..2]));
    let lines: Vec<Vec<f32>> =
        printed.lines().map(|it| serde_json::from_str(it).expect("a vector")).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().zip(&theirs).all(|(a, b)| close(a, b)), "{lines:?}");

    let out = dir.path().join("vectors.safetensors");
    succeeds(pretrained(["embed"]).arg(&model).args(&TEXTS[..2]).arg("--out").arg(&out));
    let file = TensorFile::read(&out).expect("a file");
    let written = tensor(&file, "embeddings").expect("embeddings");
    assert_eq!(written.size(), [2, 24]);
    let written = Vec::<f32>::try_from(written.flatten(0, -1)).expect("numbers");
    assert!(close(&written, &theirs.concat()), "{written:?}");
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
