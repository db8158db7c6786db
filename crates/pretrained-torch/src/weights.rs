//! Turns stored tensors into libtorch's.

use std::{cell::RefCell, collections::BTreeMap, fs::File, os::fd::AsRawFd, path::PathBuf};

use pretrained_artifact::{Location, Weights};
use rayon::prelude::*;
use rustix::fs::fstatfs;
use tch::{Device, Kind, Tensor};

use crate::{
    Error, kinds, ops,
    params::{ParamSpec, Source},
};

/// Reads tensors by name: out of a mapped file where that is possible, else into memory.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    weights: &'a Weights,
    map: bool,
    /// Whole files as bytes; `None` for those that are read.
    files: RefCell<BTreeMap<PathBuf, Option<Tensor>>>,
}

/// Bytes of a tensor, from its start on.
#[derive(Debug)]
struct Place {
    kind: Kind,
    offset: usize,
    len: usize,
}

/// Bytes that are read and copied at once.
#[derive(Debug)]
struct Chunk<'a> {
    name: &'a str,
    offset: usize,
    len: usize,
    to: Tensor,
}

impl Chunk<'_> {
    fn copy(mut self, weights: &Weights) -> Result<(), Error> {
        let is_pinned = self.to.device() != Device::Cpu;
        let mut staged = ops::Staged::new(self.len, is_pinned)?;
        weights.read_range(self.name, self.offset, staged.bytes())?;
        staged.copy_to(&mut self.to)
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(weights: &'a Weights, map: bool) -> Reader<'a> {
        Reader { weights, map: map && cfg!(target_os = "linux"), files: RefCell::default() }
    }

    /// A parameter on the CPU, as it is stored.
    pub(crate) fn tensor(&self, spec: &ParamSpec, source: &Source) -> Result<Tensor, Error> {
        let place = self.place(spec, source)?;
        let location = self.weights.location(&source.name).filter(|_| self.map);
        let location = location.map(|it| {
            let (offset, len) = (it.offset + place.offset as u64, place.len as u64);
            Location { offset, len, ..it }
        });
        if let Some(bytes) = location.map(|it| self.mapped(&it, place.kind)).transpose()?.flatten()
        {
            return Ok(bytes.f_view_dtype(place.kind)?.f_view(spec.shape.as_slice())?);
        }
        if source.part.is_none() {
            let data = self.weights.read_tensor(&source.name)?;
            return Ok(Tensor::f_from_data_size(&data, &spec.shape, place.kind)?);
        }
        let mut data = vec![0; place.len];
        self.weights.read_range(&source.name, place.offset, &mut data)?;
        Ok(Tensor::f_from_data_size(&data, &spec.shape, place.kind)?)
    }

    /// Parameters on another device, as they are stored.
    ///
    /// Files are read by all cores, into memory that the device fetches from on its own, so that
    /// reading and copying go on side by side.
    pub(crate) fn tensors_on(
        &self,
        params: &[(&ParamSpec, &Source)],
        device: Device,
    ) -> Result<Vec<Tensor>, Error> {
        let mut tensors = Vec::new();
        let mut chunks = Vec::new();
        for (spec, source) in params {
            if self.weights.location(&source.name).is_none() {
                // Of a pickle, which is put together, and whose checksums are looked at.
                tensors.push(self.tensor(spec, source)?.f_to_device(device)?);
                continue;
            }
            let place = self.place(spec, source)?;
            let bytes = Tensor::f_empty([place.len as i64], (Kind::Uint8, device))?;
            for start in (0..place.len).step_by(CHUNK) {
                let len = CHUNK.min(place.len - start);
                let to = bytes.f_narrow(0, start as i64, len as i64)?;
                chunks.push(Chunk { name: &source.name, offset: place.offset + start, len, to });
            }
            tensors.push(bytes.f_view_dtype(place.kind)?.f_view(spec.shape.as_slice())?);
        }
        while !chunks.is_empty() {
            let group: Vec<Chunk<'_>> = chunks.drain(..CHUNKS.min(chunks.len())).collect();
            group.into_par_iter().try_for_each(|it| it.copy(self.weights))?;
            if let Device::Cuda(i) = device {
                // What has been copied can be used for the next.
                tch::Cuda::synchronize(i as i64);
            }
        }
        Ok(tensors)
    }

    /// Which bytes of its source a parameter is.
    fn place(&self, spec: &ParamSpec, source: &Source) -> Result<Place, Error> {
        let name = &source.name;
        let info = self.weights.info(name).ok_or_else(|| Error::NotPlanned(name.clone()))?;
        let kind = kinds::kind(info.dtype)?;
        let size = kind.elt_size_in_bytes() as i64;
        // No overflow: the file has more than these bytes.
        let len = spec.shape.iter().product::<i64>() * size;
        let offset = source.part.map_or(0, |part| {
            let row = spec.shape.iter().skip(1).product::<i64>() * size;
            (part.matrix * part.n_rows + part.first_row) * row
        });
        Ok(Place { kind, offset: offset as usize, len: len as usize })
    }

    /// A part of a file, unless it is in a place where no element of this kind may be.
    fn mapped(&self, location: &Location<'_>, kind: Kind) -> Result<Option<Tensor>, Error> {
        let Location { file, path, offset, len } = *location;
        if len == 0 || offset % kind.elt_size_in_bytes() as u64 != 0 {
            return Ok(None);
        }
        let mut files = self.files.borrow_mut();
        let whole = match files.entry(path.to_owned()) {
            std::collections::btree_map::Entry::Occupied(it) => it.into_mut(),
            std::collections::btree_map::Entry::Vacant(it) => it.insert(map(file)?),
        };
        Ok(whole.as_ref().map(|it| it.f_narrow(0, offset as i64, len as i64)).transpose()?)
    }
}

/// A whole file as bytes, copied when they are written to, or `None` where mapping is a bad idea.
fn map(file: &File) -> Result<Option<Tensor>, Error> {
    let Ok(metadata) = file.metadata() else { return Ok(None) };
    if fstatfs(file).is_ok_and(|it| REMOTE.contains(&(it.f_type as u32))) {
        return Ok(None);
    }
    // By descriptor, not by path: what is mapped is what was parsed, even if the file has been
    // replaced meanwhile.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let len = metadata.len() as i64;
    // A file system without mapping: it is read.
    Ok(Tensor::f_from_file(&path, false, Some(len), (Kind::Uint8, Device::Cpu)).ok())
}

/// `statfs` types of file systems where every page that is touched is a round trip, so that
/// reading in large pieces is many times faster: NFS, CIFS, SMB2, FUSE, 9P, Ceph, Lustre, GPFS, AFS.
const REMOTE: [u32; 9] = [
    0x6969,
    0xFF53_4D42,
    0xFE53_4D42,
    0x6573_5546,
    0x0102_1997,
    0x00C3_6400,
    0x0BD0_0BD0,
    0x4750_4653,
    0x5346_414F,
];

/// Bytes that are read at once.
const CHUNK: usize = 32 << 20;
/// How many of them are held at most.
const CHUNKS: usize = 32;

#[cfg(test)]
mod tests {
    use pretrained_artifact::{Artifact, Contents, SaveOptions, save};
    use pretrained_config::Config;
    use pretrained_safetensors::{Dtype, TensorSpec};

    use super::*;
    use crate::params::{Params, Part, plan};

    const SHAPE: [i64; 3] = [3, 1 << 12, 1 << 10];

    fn network(p: &Params<'_>) -> Result<(), Error> {
        for (name, shape) in [("whole", &SHAPE[..]), ("scalar", &[]), ("rows", &[1 << 11, 1 << 10])]
        {
            let _ = p.normal(name, shape)?;
        }
        let part = Part { n_matrices: 3, n_rows: 1 << 12, matrix: 2, first_row: 1 << 11 };
        p.also_part("rows", "whole", part);
        Ok(())
    }

    #[test]
    fn what_is_read_in_chunks_or_parts_or_mapped_is_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let whole = Tensor::arange(SHAPE.iter().product::<i64>(), (Kind::Float, Device::Cpu));
        let numbers = Vec::<f32>::try_from(&whole).expect("numbers");
        let bytes: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
        assert!(bytes.len() > CHUNK, "there is more than one chunk");
        let shape = SHAPE.map(|it| it as usize).to_vec();
        let specs = vec![
            TensorSpec { name: "whole".to_owned(), dtype: Dtype::F32, shape },
            TensorSpec { name: "scalar".to_owned(), dtype: Dtype::F32, shape: Vec::new() },
        ];
        let config = Config::parse(r#"{"model_type": "llama"}"#).expect("a configuration");
        let contents = Contents {
            config: &config,
            generation_config: None,
            tensors: specs,
            tokenizer: None,
            total_parameters: None,
        };
        let data = |spec: &TensorSpec| {
            Ok(if spec.name == "whole" { bytes.as_slice().into() } else { vec![0; 4].into() })
        };
        save(dir.path(), &contents, data, &SaveOptions::default()).expect("saved");

        let artifact = Artifact::open(dir.path()).expect("a model directory");
        let plan = plan(&[], network).expect("a plan");
        let matching = crate::load::match_names(&plan, artifact.weights()).expect("a matching");
        assert!(matching.report.is_exact(), "{}", matching.report);
        let pairs: Vec<_> = matching.pairs(&plan).collect();
        assert!(pairs[2].1.part.is_some());
        let expected = [
            whole.view(SHAPE),
            Tensor::from(0_f32),
            whole.view(SHAPE).get(2).narrow(0, 1 << 11, 1 << 11),
        ];
        for is_mapped in [true, false] {
            let reader = Reader::new(artifact.weights(), is_mapped);
            let chunked = reader.tensors_on(&pairs, Device::Cpu).expect("tensors");
            for (((spec, source), chunked), expected) in pairs.iter().zip(chunked).zip(&expected) {
                let tensor = reader.tensor(spec, source).expect("a tensor");
                assert_eq!(tensor.size(), spec.shape, "{}", spec.name);
                assert_eq!(&tensor, expected, "{}", spec.name);
                assert_eq!(&chunked, expected, "{}", spec.name);
            }
        }
    }
}
