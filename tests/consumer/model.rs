//! Makes what the book's programs speak of, in the working directory: texts, and a small model with a tokenizer. The
//! programs are made into packages beside this one by `cargo xtask consumer`, from README and docs.

use std::{borrow::Cow, error::Error, fs};

use pretrained::{
    artifact::{Contents, SaveOptions, save},
    config::Config,
    safetensors::{Dtype, TensorSpec},
    tokenizer::TokenizerTrainer,
};

fn main() -> Result<(), Box<dyn Error>> {
    for name in ["notes.txt", "held-out.txt"] {
        fs::write(name, "The quick brown fox jumps over the lazy dog.\n".repeat(200))?;
    }
    let trainer = TokenizerTrainer { vocab_size: 300, ..Default::default() };
    let tokenizer = trainer.train_files(&["notes.txt".into()], |_| ())?;

    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let tensors = [
        ("model.embed_tokens.weight".to_owned(), vec![300, 16]),
        (layer("input_layernorm"), vec![16]),
        (layer("self_attn.q_proj"), vec![16, 16]),
        (layer("self_attn.k_proj"), vec![8, 16]),
        (layer("self_attn.v_proj"), vec![8, 16]),
        (layer("self_attn.o_proj"), vec![16, 16]),
        (layer("post_attention_layernorm"), vec![16]),
        (layer("mlp.gate_proj"), vec![24, 16]),
        (layer("mlp.up_proj"), vec![24, 16]),
        (layer("mlp.down_proj"), vec![16, 24]),
        ("model.norm.weight".to_owned(), vec![16]),
    ];
    let specs = tensors.map(|(name, shape)| TensorSpec { name, dtype: Dtype::F32, shape });
    let contents = Contents {
        config: &Config::parse(CONFIG)?,
        generation_config: None,
        tensors: specs.into(),
        tokenizer: Some(tokenizer.files()),
        total_parameters: None,
    };
    save("llama-3.2-1b", &contents, |spec| Ok(Cow::Owned(numbers(spec))), &SaveOptions::default())?;
    Ok(())
}

/// Numbers of either sign, of which few are alike.
fn numbers(spec: &TensorSpec) -> Vec<u8> {
    let n: usize = spec.shape.iter().product();
    let number = |i: usize| (i * 7919 % 1009) as f32 / 1009.0 - 0.5;
    (0..n).flat_map(|i| number(i).to_le_bytes()).collect()
}

const CONFIG: &str = r#"{
  "architectures": ["LlamaForCausalLM"],
  "model_type": "llama",
  "dtype": "float32",
  "vocab_size": 300,
  "hidden_size": 16,
  "intermediate_size": 24,
  "num_hidden_layers": 1,
  "num_attention_heads": 2,
  "num_key_value_heads": 1,
  "max_position_embeddings": 512,
  "bos_token_id": 0,
  "eos_token_id": 0,
  "tie_word_embeddings": true
}"#;
