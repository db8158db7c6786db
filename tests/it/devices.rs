//! Every family on a GPU, against the CPU. Where there is no GPU, the CPU is compared with itself.

use pretrained::{
    AutoModel, AutoModelForCausalLM, Config, Device, GenerationOptions, KvCache, LoadOptions,
    ModelInputs, generate_batch,
    torch::{Kind, Tensor},
};
use serde_json::{Value, json};

use crate::fields::with;

/// The least that each family is told apart by; the rest are its defaults.
fn families() -> Vec<Value> {
    let sizes = json!({
        "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.2,
    });
    let with = |model_type: &str, more: Value| {
        with(with(sizes.clone(), &json!({"model_type": model_type})), &more)
    };
    vec![
        with("llama", json!({})),
        with("mistral", json!({"sliding_window": 5})),
        with("qwen2", json!({})),
        with("qwen3", json!({})),
        json!({
            "model_type": "gpt2", "vocab_size": 97, "n_embd": 32, "n_layer": 3, "n_head": 4,
            "n_positions": 64, "eos_token_id": 2, "initializer_range": 0.2,
        }),
        with("gpt_neox", json!({"rotary_pct": 0.5})),
        with("phi3", json!({})),
        with("gemma2", json!({"sliding_window": 5, "query_pre_attn_scalar": 8})),
        with("gemma3_text", json!({"sliding_window": 5, "query_pre_attn_scalar": 8})),
        with("olmo2", json!({})),
        with("smollm3", json!({})),
        with("mixtral", json!({"num_local_experts": 4, "num_experts_per_tok": 2})),
        with(
            "qwen3_moe",
            json!({
                "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
            }),
        ),
    ]
}

fn ids() -> Tensor {
    let ids: Vec<i64> = (0..24).map(|it| it * 31 % 90 + 3).collect();
    Tensor::from_slice(&ids).view([2, 12])
}

fn delta(ours: &Tensor, theirs: &Tensor) -> f64 {
    let (ours, theirs) = (ours.to_device(theirs.device()), theirs);
    let off = (ours.to_kind(Kind::Float) - theirs.to_kind(Kind::Float)).abs();
    off.max().double_value(&[])
}

#[test]
fn every_family_is_the_same_on_every_device() {
    let other = Device::cuda_if_available();
    for (i, config) in families().iter().enumerate() {
        let name = config["model_type"].as_str().expect("a name");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let parsed = Config::parse(&config.to_string()).expect("a configuration");
        let made = AutoModelForCausalLM::from_config(parsed, i as i64, Device::Cpu);
        made.expect("a model").save_pretrained(dir.path()).expect("saved");
        let load = |device, dtype| {
            let options = LoadOptions { device, dtype: Some(dtype), ..LoadOptions::default() };
            AutoModelForCausalLM::from_pretrained_with(dir.path(), &options).expect("a model")
        };
        let (here, there) = (load(Device::Cpu, Kind::Float), load(other, Kind::Float));
        let logits = |model: &AutoModelForCausalLM, cache: &mut KvCache, ids: &Tensor| {
            model.forward(ids, cache).expect("logits")
        };
        let expected = logits(&here, &mut KvCache::default(), &ids());
        let off = delta(&logits(&there, &mut KvCache::default(), &ids()), &expected);
        assert!(off <= 1e-4, "{name}: off by {off:e}");

        let mut cache = KvCache::remembering();
        let first = logits(&there, &mut cache, &ids().narrow(1, 0, 7));
        let second = logits(&there, &mut cache, &ids().narrow(1, 7, 1));
        let off = delta(&Tensor::cat(&[first, second], 1), &expected.narrow(1, 0, 8));
        assert!(off <= 1e-4, "{name}, step by step: off by {off:e}");

        let noise = delta(
            &logits(&load(Device::Cpu, Kind::BFloat16), &mut KvCache::default(), &ids()),
            &expected,
        );
        let bf16 = logits(&load(other, Kind::BFloat16), &mut KvCache::default(), &ids());
        let off = delta(&bf16, &expected);
        assert!(off <= 3.0 * noise, "{name}, bfloat16: off by {off:e}, the CPU by {noise:e}");

        let prompts = [vec![5, 9, 31], vec![7], vec![5, 9, 31, 6, 40]];
        for num_beams in [1, 3] {
            let max_new_tokens = Some(8);
            let options = GenerationOptions { max_new_tokens, num_beams, ..Default::default() };
            let texts = |model: &AutoModelForCausalLM| {
                let texts = generate_batch(model, &prompts, &options).expect("texts");
                texts.iter().flatten().map(|it| it.tokens.clone()).collect::<Vec<Vec<u32>>>()
            };
            assert_eq!(texts(&there), texts(&here), "{name}, {num_beams} beams");
        }

        let saved = dir.path().join("again");
        there.save_pretrained(&saved).expect("saved");
        let bytes =
            |dir: &std::path::Path| std::fs::read(dir.join("model.safetensors")).expect("a file");
        assert!(bytes(&saved) == bytes(dir.path()), "{name} is saved as it was loaded");
        let outside = there.forward(&(ids() + 5000), &mut KvCache::default());
        assert!(outside.expect_err("an error").to_string().contains("outside the vocabulary"));
        assert!(delta(&logits(&there, &mut KvCache::default(), &ids()), &expected) <= 1e-4);
    }
}

#[test]
fn an_encoder_is_the_same_on_every_device() {
    let other = Device::cuda_if_available();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = json!({
        "model_type": "bert", "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 64,
    });
    std::fs::write(dir.path().join("config.json"), config.to_string()).expect("written");
    // A file of nothing: the parameters are fresh, and the same whenever they are.
    std::fs::write(dir.path().join("model.safetensors"), b"\x08\0\0\0\0\0\0\0{}      ")
        .expect("written");
    let options = LoadOptions { strict: false, ..LoadOptions::default() };
    let made = AutoModel::from_pretrained_with(dir.path(), &options).expect("a model");
    made.save_pretrained(dir.path()).expect("saved");
    let state = |device| {
        let model = AutoModel::from_pretrained(dir.path(), device).expect("a model");
        model.forward(&ids(), &ModelInputs::default()).expect("states").last_hidden_state
    };
    let off = delta(&state(other), &state(Device::Cpu));
    assert!(off <= 1e-4, "off by {off:e}");
}
