//! Tensors on their way from one set of files to another, piece by piece.

use std::{
    cmp,
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use pretrained_pickle::Checksum;
use pretrained_safetensors::{Dtype, Layout, TensorSpec, cast_into};
use rayon::prelude::*;

use crate::{Converted, Error, Warning, Weights, convert::Progress};

/// The tensors of some weights, without some of them, perhaps as another type.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    weights: &'a Weights,
    /// Every tensor that is stored, and the type that it has in the source.
    tensors: BTreeMap<&'a str, (TensorSpec, Dtype)>,
    /// Of those tensors that are compared with a checksum on the way.
    checksums: BTreeMap<&'a str, Checksum>,
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
        let tensors: BTreeMap<_, _> = weights.names().filter_map(tensor).collect();
        let checksum = |name: &&'a str| Some((*name, weights.file_of(name)?.checksum(name)?));
        let checksums = tensors.keys().filter_map(checksum).collect();
        Stream { weights, tensors, checksums, filled: AtomicU64::new(0) }
    }

    /// Checks what the source says of its data, as far as that is not done on the way.
    pub(crate) fn verify_rest(&self) -> Result<(), Error> {
        let files = self.weights.files().par_iter();
        files.try_for_each(|it| {
            it.verify_checksums_without(|name| {
                let is_here = self.weights.file_of(name).is_some_and(|of| std::ptr::eq(of, it));
                is_here && self.checksums.contains_key(name)
            })
        })
    }

    /// Checks what was done on the way: whether the tensors of a file that is written are those
    /// that the source says.
    pub(crate) fn check(&self, layout: &Layout) -> io::Result<()> {
        layout
            .tensors()
            .filter_map(|it| self.checksums.get(it.name.as_str()))
            .try_for_each(|it| it.check().map_err(io::Error::other))
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
            let checksum = self.checksums.get(name);
            let read = |offset, buffer: &mut [u8]| {
                self.weights.read_range(name, offset, buffer).map_err(io::Error::other)?;
                checksum.inspect(|it| it.add(offset, buffer));
                Ok(())
            };
            if *from == spec.dtype {
                // As much as stays in a core's cache until it is hashed.
                let part = if checksum.is_some() { PART } else { buffer.len().max(1) };
                let mut parts = buffer.chunks_mut(part).enumerate();
                return parts.try_for_each(|(i, it)| read(offset + i * part, it));
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

/// Types that are cast: those that torch casts.
const CASTABLE: [Dtype; 9] = [
    Dtype::F16,
    Dtype::BF16,
    Dtype::F32,
    Dtype::F64,
    Dtype::F8_E4M3,
    Dtype::F8_E4M3FNUZ,
    Dtype::F8_E5M2,
    Dtype::F8_E5M2FNUZ,
    Dtype::F8_E8M0,
];
/// Bytes that are read and hashed at a time: a multiple of every element's size.
const PART: usize = 512 << 10;
/// Elements that are cast at a time.
const BLOCK: usize = 64 << 10;
