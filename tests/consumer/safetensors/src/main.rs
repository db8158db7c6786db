//! Writes a safetensors file and reads it again.

use std::{env, error::Error, fs, path::Path};

use pretrained_safetensors::{Dtype, Layout, Metadata, TensorFile, TensorSpec};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("where to?")?;
    let spec = TensorSpec { name: "x".to_owned(), dtype: Dtype::F32, shape: vec![2, 3] };
    let layout = Layout::new(vec![spec], &Metadata::default())?;
    layout.write_to(fs::File::create(&path)?, |_| Ok([7u8; 24]))?;

    let file = TensorFile::read(Path::new(&path))?;
    let x = file.tensor("x").ok_or("no x")?;
    println!("{:?} {:?} {:?}", x.dtype(), x.shape(), x.data());
    Ok(())
}
