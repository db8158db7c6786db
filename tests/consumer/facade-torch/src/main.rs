//! The facade with libtorch.

use std::{env, error::Error};

use pretrained::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args().nth(1).ok_or("which model?")?;
    let model = AutoModelForCausalLM::from_pretrained(&dir, Device::cuda_if_available())?;
    println!("{} parameters", model.num_parameters());
    Ok(())
}
