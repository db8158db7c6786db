//! A network of one's own, on libtorch, saved as safetensors and loaded again: `cargo run -p pretrained --features torch
//! --example custom_architecture -- two-layers.safetensors`.
#![allow(clippy::print_stdout)]

use std::{collections::BTreeMap, env, error::Error, io, path::Path};

use pretrained::{
    fs::NewFile,
    safetensors::{Dtype, Layout, Metadata, TensorFile, TensorSpec},
    torch::{Device, Kind, Tensor},
};

/// Parameters by name: all that an architecture is to the files.
type Params = BTreeMap<String, Tensor>;

fn forward(p: &Params, x: &Tensor) -> Tensor {
    x.matmul(&p["fc.weight"].tr()).relu().matmul(&p["proj.weight"].tr())
}

fn save(p: &Params, path: &Path) -> Result<(), Box<dyn Error>> {
    let spec = |(name, it): (&String, &Tensor)| {
        let shape = it.size().iter().map(|&it| it as usize).collect();
        TensorSpec { name: name.clone(), dtype: Dtype::F32, shape }
    };
    let layout = Layout::new(p.iter().map(spec).collect(), &Metadata::default())?;
    layout.write_to(NewFile::create(path)?, |spec| {
        let numbers = p[&spec.name].flatten(0, -1).contiguous();
        let numbers = Vec::<f32>::try_from(&numbers).map_err(io::Error::other)?;
        Ok(numbers.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
    })?;
    Ok(())
}

fn load(path: &Path) -> Result<Params, Box<dyn Error>> {
    let file = TensorFile::read(path)?;
    let mut params = Params::new();
    for (name, view) in file.tensors() {
        let shape: Vec<i64> = view.shape().iter().map(|&it| it as i64).collect();
        params.insert(name.to_owned(), Tensor::from_data_size(view.data(), &shape, Kind::Float));
    }
    Ok(params)
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("which file?")?;
    let random = |out, of| Tensor::randn([out, of], (Kind::Float, Device::Cpu.into()));
    let params = [("fc.weight", random(32, 8)), ("proj.weight", random(4, 32))];
    let params = Params::from(params.map(|(name, it)| (name.to_owned(), it)));
    save(&params, Path::new(&path))?;
    let again = load(Path::new(&path))?;
    let x = random(2, 8);
    let is_same = forward(&params, &x).equal(&forward(&again, &x));
    println!("the same output: {is_same}");
    if is_same { Ok(()) } else { Err("outputs differ".into()) }
}
