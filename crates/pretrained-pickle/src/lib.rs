//! Reads PyTorch's `.bin`, `.pt` and `.pth` files as data, and writes `.pt` files.
//!
//! A pickle is a program. This crate interprets the few instructions that build data, over a few
//! globals that stand for tensors, and refuses every other by name: nothing is imported, nothing
//! is called. What a file can make this crate allocate is bounded by the file's own length and by
//! fixed budgets.
//!
//! [`PickleFile`] has every tensor by name, read when it is asked for, and the whole contents as
//! a [`Value`] tree. [`write()`] writes a tree as `torch.save` would.
//!
//! ```
//! use pretrained_pickle::{Key, PickleFile, Tensor, Value, write};
//! use pretrained_safetensors::Dtype;
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("model.pt");
//!
//! let (shape, strides) = (vec![2, 3], vec![3, 1]);
//! let tensor = Tensor { storage: 0, dtype: Dtype::F32, shape, strides, offset: 0 };
//! let value = Value::Dict(vec![(Key::Str("weight".to_owned()), Value::Tensor(tensor))]);
//! write(std::fs::File::create(&path)?, "model", &value, |_| Ok([0; 24]))?;
//!
//! let file = PickleFile::open(&path)?;
//! for name in file.names() {
//!     let bytes = file.read_tensor(name)?.ok_or("it is there")?;
//!     assert_eq!((name, bytes.len()), ("weight", 24));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checksum;
mod encode;
mod error;
mod file;
mod global;
mod legacy;
mod names;
mod object;
mod opcode;
mod rebuild;
mod source;
mod strided;
mod value;
mod vm;
mod zip;
mod zip_writer;

#[cfg(test)]
mod tests;

pub use crate::{
    checksum::Checksum,
    encode::write,
    error::{Error, FormatError},
    file::{Location, PickleFile},
    names::NamedTensors,
    value::{Array, Key, Tensor, Value},
};
