//! The same network in candle. Its matrices are not multiplied in bf16 on the CPU, so it gets f32.

use std::{fs, path::Path};

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::qwen2::{Config, ModelForCausalLM};

pub struct Model(ModelForCausalLM);

impl Model {
    pub fn load(dir: &Path) -> Result<Model> {
        let mut config: serde_json::Value =
            serde_json::from_slice(&fs::read(dir.join("config.json"))?)?;
        // It reads the older dialect.
        config["rope_theta"] = config["rope_parameters"]["rope_theta"].clone();
        config["sliding_window"] = config["max_position_embeddings"].clone();
        let config: Config = serde_json::from_value(config)?;
        let weights = dir.join("model.safetensors");
        // SAFETY: The file is the benchmark's own.
        let vars =
            unsafe { VarBuilder::from_mmaped_safetensors(&[weights], DType::F32, &Device::Cpu)? };
        Ok(Model(ModelForCausalLM::new(&config, vars)?))
    }

    /// The likeliest next token.
    pub fn step(&mut self, tokens: &[u32], position: usize) -> Result<u32> {
        if position == 0 {
            self.0.clear_kv_cache();
        }
        let tokens = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let logits = self.0.forward(&tokens, position)?.flatten_all()?;
        Ok(logits.argmax(0)?.to_scalar()?)
    }
}
