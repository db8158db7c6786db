//! Every family and every variant of its mathematics, against transformers.

use std::path::Path;

use pretrained::{
    AutoModelForCausalLM, Device, KvCache, LoadOptions,
    safetensors::TensorFile,
    torch::{Kind, Tensor},
};
use serde_json::json;

use crate::python;

/// Checks one case of `tests/python/families.py`.
#[track_caller]
fn check(name: &str) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let model_dir = dir.path().join(name);
    python::call("families.make", json!({"name": name, "out": model_dir}));
    let expected = Expected::read(&model_dir.join("expected.safetensors"));
    let ids = expected.tensor("ids");
    let time = ids.size()[1];

    let model = AutoModelForCausalLM::from_pretrained(&model_dir, Device::Cpu).expect("a model");
    for param in model.params().values() {
        let _ = param.set_requires_grad(true);
    }
    let logits = model.forward(&ids, &mut KvCache::default()).expect("logits");
    close(name, "logits", &logits, &expected.tensor("logits"), 1e-5);

    let mut cache = KvCache::remembering();
    let mut steps = vec![model.forward(&ids.narrow(1, 0, 7), &mut cache).expect("logits")];
    for t in 7..time {
        steps.push(model.forward(&ids.narrow(1, t, 1), &mut cache).expect("logits"));
    }
    close(name, "steps", &Tensor::cat(&steps, 1), &expected.tensor("steps"), 1e-5);

    let predictions = logits.narrow(1, 0, time - 1).flatten(0, 1);
    let loss = predictions.cross_entropy_for_logits(&ids.narrow(1, 1, time - 1).flatten(0, 1));
    close(name, "loss", &loss, &expected.tensor("loss"), 1e-5);
    loss.backward();
    let mut n_grads = 0;
    for (param_name, param) in model.params() {
        let of = expected.tensor(&format!("grad.{param_name}"));
        // An expert that no token was sent to has none.
        let grad = if param.grad().defined() { param.grad() } else { of.zeros_like() };
        let scale = of.abs().max().double_value(&[]).max(1e-3);
        close(name, param_name, &grad, &of, 1e-4 * scale);
        n_grads += 1;
    }
    assert_eq!(n_grads, expected.n_grads(), "{name}: parameters");

    let options = LoadOptions { dtype: Some(Kind::BFloat16), ..LoadOptions::default() };
    let bf16 = AutoModelForCausalLM::from_pretrained_with(&model_dir, &options).expect("a model");
    let ours = bf16.forward(&ids, &mut KvCache::default()).expect("logits").to_kind(Kind::Float);
    let noise = delta(&expected.tensor("bf16_logits"), &expected.tensor("logits"));
    close(name, "bf16", &ours, &expected.tensor("logits"), 2.0 * noise);

    let saved = dir.path().join("saved");
    model.save_pretrained(&saved).expect("a saved model");
    let with = json!({"model": saved, "expected": model_dir.join("expected.safetensors")});
    let reopened = python::call("families.reopen", with);
    assert!(reopened["delta"].as_f64().is_some_and(|it| it <= 1e-6), "{name}: {reopened}");
    assert_eq!(reopened["problems"], json!({}), "{name}");
}

struct Expected(TensorFile);

impl Expected {
    fn read(path: &Path) -> Expected {
        Expected(TensorFile::read(path).expect("what transformers computed"))
    }

    #[track_caller]
    fn tensor(&self, name: &str) -> Tensor {
        let view = self.0.tensor(name).unwrap_or_else(|| panic!("no {name} is expected"));
        let shape: Vec<i64> = view.shape().iter().map(|&it| it as i64).collect();
        let kind = if name == "ids" { Kind::Int64 } else { Kind::Float };
        Tensor::from_data_size(view.data(), &shape, kind)
    }

    fn n_grads(&self) -> usize {
        self.0.header().tensors().keys().filter(|it| it.starts_with("grad.")).count()
    }
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

/// Files that have all experts of a layer in two tensors, as transformers has them in memory.
#[track_caller]
fn check_stacked(name: &str) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (single, stacked) = (dir.path().join("single"), dir.path().join("stacked"));
    python::call("families.make", json!({"name": name, "out": single}));
    python::call("families.stack", json!({"model": single, "out": stacked}));
    let ids = Expected::read(&single.join("expected.safetensors")).tensor("ids");
    let load = |dir: &Path, map: bool| {
        let options = LoadOptions { map, ..LoadOptions::default() };
        AutoModelForCausalLM::from_pretrained_with(dir, &options).expect("a model")
    };
    let logits =
        |it: &AutoModelForCausalLM| it.forward(&ids, &mut KvCache::default()).expect("logits");
    let expected = logits(&load(&single, true));
    for map in [true, false] {
        let model = load(&stacked, map);
        assert_eq!(logits(&model), expected, "{name}");
        assert!(model.load_report().is_exact(), "{name}: {}", model.load_report());
        let renamed = &model.load_report().renamed;
        assert!(renamed.iter().any(|(it, _)| it.ends_with("gate_up_proj")), "{name}: {renamed:?}");
    }
    let saved = dir.path().join("saved");
    load(&stacked, true).save_pretrained(&saved).expect("saved");
    let weights = |dir: &Path| std::fs::read(dir.join("model.safetensors")).expect("a file");
    assert!(weights(&saved) == weights(&single), "{name} is saved as transformers saves it");

    // A stack of another number of experts.
    let config = std::fs::read_to_string(stacked.join("config.json")).expect("a file");
    let mut config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    for field in ["num_experts", "num_local_experts"] {
        if let Some(n) = config[field].as_i64() {
            config[field] = (n - 1).into();
        }
    }
    std::fs::write(stacked.join("config.json"), config.to_string()).expect("written");
    let error = AutoModelForCausalLM::from_pretrained(&stacked, Device::Cpu).expect_err(name);
    assert!(error.to_string().contains("shapes do not fit"), "{name}: {error}");
}

#[test]
fn experts_may_be_stacked() {
    check_stacked("mixtral");
    check_stacked("qwen3_moe_some_dense");
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)) })*

        /// Whoever adds a case in Python gets it run.
        #[test]
        fn no_case_is_left_out() {
            let mut names = vec![$(stringify!($name)),*];
            names.sort_unstable();
            assert_eq!(python::call("families.names", json!({})), json!(names));
        }
    };
}

cases! {
    llama llama_tied llama_bias llama_one_head_each llama_gelu llama_linear llama_dynamic
    llama_llama3 llama_yarn llama_yarn_mscale llama_yarn_factor llama_longrope
    gpt2 gpt2_untied gpt2_inner gpt2_unscaled gpt2_by_layer gpt2_relu gpt2_gelu
    mistral mistral_window
    qwen2 qwen2_tied qwen2_window qwen2_yarn
    qwen3 qwen3_bias qwen3_window
    phi3 phi3_window phi3_partial phi3_longrope
    gemma2 gemma2_tight gemma2_uncapped
    gemma3_text gemma3_text_scaled
    olmo2 olmo2_bias
    smollm3 smollm3_bias smollm3_window
    gpt_neox gpt_neox_sequential gpt_neox_unbiased gpt_neox_half gpt_neox_tied
    mixtral mixtral_window
    qwen3_moe qwen3_moe_normalized qwen3_moe_some_dense qwen3_moe_window
}
