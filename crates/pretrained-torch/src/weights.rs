//! Turns stored tensors into libtorch's.

use std::{cell::RefCell, collections::BTreeMap, fs::File, os::fd::AsRawFd, path::PathBuf};

use pretrained_artifact::{Location, Weights};
use rustix::fs::fstatfs;
use tch::{Device, Kind, Tensor};

use crate::{Error, kinds};

/// Reads tensors by name: out of a mapped file where that is possible, else into memory.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    weights: &'a Weights,
    map: bool,
    /// Whole files as bytes; `None` for those that are read.
    files: RefCell<BTreeMap<PathBuf, Option<Tensor>>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(weights: &'a Weights, map: bool) -> Reader<'a> {
        Reader { weights, map: map && cfg!(target_os = "linux"), files: RefCell::default() }
    }

    /// A tensor on the CPU, as it is stored.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        let info = self.weights.info(name).ok_or_else(|| Error::NotPlanned(name.to_owned()))?;
        let kind = kinds::kind(info.dtype)?;
        let shape: Vec<i64> = info.shape.iter().map(|&it| it as i64).collect();
        let location = self.weights.location(name).filter(|_| self.map);
        if let Some(bytes) = location.map(|it| self.mapped(&it, kind)).transpose()?.flatten() {
            return Ok(bytes.f_view_dtype(kind)?.f_view(shape.as_slice())?);
        }
        Ok(Tensor::f_from_data_size(&self.weights.read_tensor(name)?, &shape, kind)?)
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
