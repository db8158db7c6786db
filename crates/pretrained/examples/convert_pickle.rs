//! PyTorch's file as safetensors, never executed: `cargo run -p pretrained --example convert_pickle --
//! pytorch_model.bin model.safetensors`. Needs no libtorch.
#![allow(clippy::print_stdout)]

use std::{env, error::Error, path::Path};

use pretrained::{
    artifact::{ConvertOptions, convert},
    safetensors::TensorFile,
};

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = env::args().skip(1).collect();
    let [from, to] = paths.as_slice() else { return Err("from where, and where to?".into()) };

    let converted = convert(Path::new(from), Path::new(to), &ConvertOptions::default(), |_, _| ())?;
    println!("{} tensors", converted.tensors);

    let file = TensorFile::open(Path::new(to))?;
    for (name, info) in file.header().tensors() {
        println!("{name}: {:?} {:?}", info.dtype, info.shape);
    }
    Ok(())
}
