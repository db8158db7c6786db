//! What is in a model directory: `cargo run -p pretrained --example inspect -- llama-3.2-1b`. Needs no libtorch.
#![allow(clippy::print_stdout)]

use std::{env, error::Error};

use pretrained::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args().nth(1).ok_or("which directory?")?;

    // Headers only: the weights are not read.
    let artifact = Artifact::open(&dir)?;
    println!("{}", artifact.config().to_json());
    for name in artifact.weights().names() {
        if let Some(info) = artifact.weights().info(name) {
            println!("{name}: {:?} {:?}", info.dtype, info.shape);
        }
    }

    let tokenizer = AutoTokenizer::from_pretrained(&dir)?;
    let ids = tokenizer.encode("Once upon a time", true)?;
    println!("{ids:?} is {:?}", tokenizer.decode(&ids, false)?);
    Ok(())
}
