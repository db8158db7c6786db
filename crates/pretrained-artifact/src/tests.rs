//! Directories that someone else wrote, directories that we wrote, and what must not be opened.

mod cache;
mod converting;
mod diffing;
mod durability;
mod hostile;
mod inspecting;
mod layouts;
mod live;
mod saving;

use std::{borrow::Cow, fs, io, path::Path};

use pretrained_config::Config;
pub(crate) use pretrained_fs::with_causes as chain;
use pretrained_safetensors::{Dtype, Layout, Metadata, TensorSpec};

use crate::{Contents, SaveOptions, save};

pub(crate) const LLAMA: &str = r#"{"model_type": "llama"}"#;

pub(crate) fn temp() -> tempfile::TempDir {
    tempfile::tempdir().expect("temp dir")
}

pub(crate) fn spec(name: &str, shape: &[usize]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dtype: Dtype::F32, shape: shape.to_vec() }
}

/// Bytes that tell one tensor from another, and one `salt` from another.
pub(crate) fn data(spec: &TensorSpec, salt: u8) -> Vec<u8> {
    let len = spec.dtype.byte_len(&spec.shape).expect("a small tensor");
    let seed = spec.name.bytes().fold(salt, u8::wrapping_add);
    (0..len).map(|i| seed.wrapping_mul(31).wrapping_add(i as u8)).collect()
}

/// Writes a safetensors file of `F32` tensors.
pub(crate) fn write_weights(path: &Path, tensors: &[(&str, &[usize])]) {
    let specs = tensors.iter().map(|(name, shape)| spec(name, shape)).collect();
    let layout = Layout::new(specs, &Metadata::new()).expect("valid specs");
    let mut out = Vec::new();
    layout.write_to(&mut out, |it| Ok(data(it, 0))).expect("writing to memory");
    fs::write(path, out).expect("write weights");
}

/// Writes an index; `shards` is what it claims.
pub(crate) fn write_index(path: &Path, shards: &[(&str, &str)]) {
    let map: Vec<String> =
        shards.iter().map(|(tensor, shard)| format!("{tensor:?}: {shard:?}")).collect();
    let json = format!(r#"{{"metadata": {{}}, "weight_map": {{{}}}}}"#, map.join(", "));
    fs::write(path, json).expect("write index");
}

/// A model of two shards.
pub(crate) fn write_sharded(dir: &Path) {
    fs::write(dir.join("config.json"), LLAMA).expect("write config");
    write_weights(&dir.join(SHARDS[0]), &[("a", &[4])]);
    write_weights(&dir.join(SHARDS[1]), &[("b", &[2, 2])]);
    write_index(&dir.join("model.safetensors.index.json"), &[("a", SHARDS[0]), ("b", SHARDS[1])]);
}

/// Saves tensors `a` and `b` whose bytes depend on `salt`.
pub(crate) fn save_ab(dir: &Path, salt: u8, max_shard_size: u64) -> Result<(), crate::Error> {
    save_contents(dir, salt, &SaveOptions { max_shard_size, ..SaveOptions::default() })
}

pub(crate) fn save_contents(
    dir: &Path,
    salt: u8,
    options: &SaveOptions,
) -> Result<(), crate::Error> {
    let json = format!(r#"{{"model_type": "llama", "salt": {salt}}}"#);
    let config = Config::parse(&json).expect("valid config");
    let contents = Contents {
        config: &config,
        generation_config: None,
        tensors: vec![spec("a", &[4]), spec("b", &[2, 2])],
        tokenizer: None,
        total_parameters: Some(8),
    };
    let bytes = |it: &TensorSpec| -> io::Result<Cow<'_, [u8]>> { Ok(Cow::Owned(data(it, salt))) };
    save(dir, &contents, bytes, options)
}

/// Every name in a directory, sorted.
pub(crate) fn listing(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("list");
    let name = |it: io::Result<fs::DirEntry>| it.expect("list").file_name().into_string();
    let mut names: Vec<String> = entries.map(|it| name(it).expect("UTF-8")).collect();
    names.sort();
    names
}

pub(crate) const SHARDS: [&str; 2] =
    ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
