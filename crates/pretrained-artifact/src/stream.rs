//! Tensors on their way from one set of files to another, piece by piece.

use std::{
    cmp,
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use pretrained_safetensors::{Dtype, TensorSpec, cast_into};

use crate::{Converted, Warning, Weights, convert::Progress};

/// The tensors of some weights, without some of them, perhaps as another type.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    weights: &'a Weights,
    /// Every tensor that is stored, and the type that it has in the source.
    tensors: BTreeMap<&'a str, (TensorSpec, Dtype)>,
    /// Bytes that were asked for so far.
    filled: AtomicU64,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(
        weights: &'a Weights,
        dropped: &BTreeMap<String, String>,
        dtype: Option<Dtype>,
    ) -> Stream<'a> {
        let tensor = |name: &'a str| {
            let info = weights.info(name).filter(|_| !dropped.contains_key(name))?;
            let can_cast = |it: Dtype| CASTABLE.contains(&it);
            let dtype = dtype.filter(|_| can_cast(info.dtype)).unwrap_or(info.dtype);
            let spec = TensorSpec { name: name.to_owned(), dtype, shape: info.shape.to_vec() };
            Some((name, (spec, info.dtype)))
        };
        let tensors = weights.names().filter_map(tensor).collect();
        Stream { weights, tensors, filled: AtomicU64::new(0) }
    }

    /// The tensors as they are to be stored, in the order in which transformers would take them
    /// from a model that it had loaded.
    pub(crate) fn specs(&self) -> Vec<TensorSpec> {
        let mut specs: Vec<TensorSpec> = self.tensors.values().map(|it| it.0.clone()).collect();
        specs.sort_by(|a, b| natural_order(&a.name, &b.name));
        specs
    }

    /// Number of elements of all tensors.
    pub(crate) fn elements(&self) -> u64 {
        let elements = self.tensors.keys().filter_map(|it| self.weights.info(it));
        elements.fold(0, |sum: u64, it| sum.saturating_add(it.elements()))
    }

    /// Puts a part of a tensor, as it is to be stored, into a buffer. May be called from several
    /// threads.
    pub(crate) fn fill(
        &self,
        progress: &Progress<'_>,
    ) -> impl Fn(&TensorSpec, usize, &mut [u8]) -> io::Result<()> + Sync {
        let len = |spec: &TensorSpec| spec.dtype.byte_len(&spec.shape).unwrap_or(0) as u64;
        let total = self.tensors.values().map(|it| len(&it.0)).sum();
        move |spec, offset, buffer| {
            let done = self.filled.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            progress(done, total);
            let name = spec.name.as_str();
            let Some((_, from)) = self.tensors.get(name) else {
                return Err(io::ErrorKind::NotFound.into());
            };
            let read = |offset, buffer: &mut [u8]| {
                self.weights.read_range(name, offset, buffer).map_err(io::Error::other)
            };
            if *from == spec.dtype {
                return read(offset, buffer);
            }
            let (from_size, to_size) = (from.bits() / 8, spec.dtype.bits() / 8);
            let mut scratch = vec![0; BLOCK * from_size];
            for (i, block) in buffer.chunks_mut(BLOCK * to_size).enumerate() {
                let elements = block.len() / to_size;
                let at = offset / to_size + i * BLOCK;
                let scratch = &mut scratch[..elements * from_size];
                read(at * from_size, scratch)?;
                cast_into(scratch, *from, spec.dtype, block).map_err(io::Error::other)?;
            }
            Ok(())
        }
    }

    pub(crate) fn converted(
        &self,
        files: Vec<(PathBuf, u64)>,
        tied: BTreeMap<String, String>,
        warnings: Vec<Warning>,
    ) -> Converted {
        let cast = self.tensors.values().filter(|(spec, from)| spec.dtype != *from).count();
        Converted { files, tensors: self.tensors.len(), cast, tied, warnings }
    }
}

/// The order of names in which `layers.2` comes before `layers.10`: part by part, numbers by
/// value and before words.
pub(crate) fn natural_order(a: &str, b: &str) -> cmp::Ordering {
    let key = |part: &str| {
        let number = part.bytes().all(|it| it.is_ascii_digit()).then(|| part.parse::<u64>().ok());
        (number.flatten().map_or((1, 0), |it| (0, it)), part.to_owned())
    };
    a.split('.').map(key).cmp(b.split('.').map(key))
}

/// Types that are cast into each other.
const CASTABLE: [Dtype; 4] = [Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64];
/// Elements that are cast at a time.
const BLOCK: usize = 64 << 10;
