//! A model saved and loaded again, to the bit: `cargo run -p pretrained --features torch --example save_and_reload --
//! llama-3.2-1b copy`.
#![allow(clippy::print_stdout)]

use std::{env, error::Error};

use pretrained::{prelude::*, torch::Tensor};

fn main() -> Result<(), Box<dyn Error>> {
    let dirs: Vec<String> = env::args().skip(1).collect();
    let [from, to] = dirs.as_slice() else { return Err("from where, and where to?".into()) };

    let model = AutoModelForCausalLM::from_pretrained(from, Device::Cpu)?;
    let tokenizer = AutoTokenizer::from_pretrained(from)?;
    // Weights, configuration and generation defaults; then the tokenizer, byte for byte. Each is there as a
    // whole or not at all, whatever dies in between.
    model.save_pretrained(to)?;
    tokenizer.save_pretrained(to)?;

    let again = AutoModelForCausalLM::from_pretrained(to, Device::Cpu)?;
    let ids = tokenizer.encode("Once upon a time", true)?;
    let ids: Vec<i64> = ids.into_iter().map(i64::from).collect();
    let tokens = Tensor::from_slice(&ids).unsqueeze(0); // (1, T)
    let [a, b] = [model.forward(&tokens, &mut KvCache::default())?, {
        again.forward(&tokens, &mut KvCache::default())?
    }];
    println!("the same scores: {}", a.equal(&b));
    if a.equal(&b) { Ok(()) } else { Err("scores differ".into()) }
}
