//! A conversation, a line at a time: `cargo run -p pretrained --features torch --example chat -- model`.
#![allow(clippy::print_stdout)]

use std::{
    env,
    error::Error,
    io::{Write, stdin, stdout},
};

use pretrained::{prelude::*, tokenizer::ChatOptions, torch::Chat};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args().nth(1).ok_or("which model?")?;
    let tokenizer = AutoTokenizer::from_pretrained(&dir)?;
    let model = AutoModelForCausalLM::from_pretrained(&dir, Device::cuda_if_available())?;
    let mut options = GenerationOptions::new(&model)?;
    options.max_new_tokens = Some(40);

    // The model's own template; what has been read is not read again.
    let mut chat = Chat::new(&model, &tokenizer, options, ChatOptions::default());
    for line in stdin().lines() {
        for piece in chat.ask(&line?)? {
            print!("{}", piece?);
            stdout().flush()?;
        }
        println!();
    }
    Ok(())
}
