//! The facade without libtorch.

use std::{env, error::Error};

use pretrained::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args().nth(1).ok_or("which model?")?;
    let artifact = Artifact::open(&dir)?;
    println!("{} tensors", artifact.weights().names().count());
    Ok(())
}
