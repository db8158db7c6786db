use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    path::{Path, PathBuf},
};

use pretrained_pickle::{Checksum, NamedTensors, PickleFile, Tensor};
use pretrained_safetensors::{FormatError, Metadata, Strictness, TensorFile};

use crate::{
    Error, Format, Location, Refusal, TensorInfo, Warning,
    dir::{ModelDir, io_error},
};

/// One file of a model's weights.
#[derive(Debug)]
pub struct WeightFile {
    name: String,
    path: PathBuf,
    bytes: u64,
    tensors: Tensors,
}

#[derive(Debug)]
enum Tensors {
    Safetensors(TensorFile),
    Pickle(Pickle),
}

#[derive(Debug)]
struct Pickle {
    file: PickleFile,
    by_name: BTreeMap<String, Tensor>,
    /// Names of one and the same memory, in the file's order.
    aliases: Vec<Vec<String>>,
    /// What else is in the file, and is no tensor.
    warnings: Vec<Warning>,
}

impl WeightFile {
    /// Opens a file of the directory, or says `None` when there is no such file.
    pub(crate) fn open(
        dir: &ModelDir,
        name: &str,
        strictness: Strictness,
    ) -> Result<Option<WeightFile>, Error> {
        let Some(file) = dir.open(name)? else { return Ok(None) };
        WeightFile::new(file, name, &dir.path().join(name), strictness).map(Some)
    }

    /// Reads the header of an open file. Its first bytes say which format it is.
    pub(crate) fn new(
        file: File,
        name: &str,
        path: &Path,
        strictness: Strictness,
    ) -> Result<WeightFile, Error> {
        let bytes = file.metadata().map_err(|e| io_error("look at", path, e))?.len();
        let tensors = match is_safetensors(&file, path)? {
            true => Tensors::Safetensors(TensorFile::from_file(file, path, strictness)?),
            false => Tensors::Pickle(Pickle::new(PickleFile::from_file(file, path)?, name)?),
        };
        Ok(WeightFile { name: name.to_owned(), path: path.to_owned(), bytes, tensors })
    }

    /// The file's name in its directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it holds its tensors.
    pub fn format(&self) -> Format {
        match self.tensors {
            Tensors::Safetensors(_) => Format::Safetensors,
            Tensors::Pickle(_) => Format::Pickle,
        }
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The free-form metadata of a safetensors file.
    pub fn metadata(&self) -> Metadata {
        match &self.tensors {
            Tensors::Safetensors(file) => file.header().metadata().clone(),
            Tensors::Pickle(_) => Metadata::new(),
        }
    }

    /// The names of the tensors in it, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (safetensors, pickle) = match &self.tensors {
            Tensors::Safetensors(file) => (Some(file.header().tensors().keys()), None),
            Tensors::Pickle(pickle) => (None, Some(pickle.by_name.keys())),
        };
        let names = safetensors.into_iter().flatten().chain(pickle.into_iter().flatten());
        names.map(String::as_str)
    }

    /// What a lenient reader let pass.
    pub(crate) fn tolerated(&self) -> &[FormatError] {
        match &self.tensors {
            Tensors::Safetensors(file) => file.header().tolerated(),
            Tensors::Pickle(_) => &[],
        }
    }

    /// What is odd about its contents.
    pub(crate) fn warnings(&self) -> &[Warning] {
        match &self.tensors {
            Tensors::Safetensors(_) => &[],
            Tensors::Pickle(pickle) => &pickle.warnings,
        }
    }

    pub(crate) fn info(&self, name: &str) -> Option<TensorInfo<'_>> {
        match &self.tensors {
            Tensors::Safetensors(file) => {
                let info = file.header().tensors().get(name)?;
                Some(TensorInfo { dtype: info.dtype, shape: &info.shape })
            }
            Tensors::Pickle(pickle) => {
                let tensor = pickle.by_name.get(name)?;
                Some(TensorInfo { dtype: tensor.dtype, shape: &tensor.shape })
            }
        }
    }

    pub(crate) fn location(&self, name: &str) -> Option<Location<'_>> {
        let (file, offset, len) = match &self.tensors {
            Tensors::Safetensors(file) => {
                let range = &file.header().tensors().get(name)?.range;
                let offset = file.header().data_start().checked_add(range.start)?;
                (file.file()?, offset as u64, range.len() as u64)
            }
            Tensors::Pickle(Pickle { file, by_name, .. }) => {
                let location = file.location(by_name.get(name)?)?;
                (file.file()?, location.offset, location.len as u64)
            }
        };
        Some(Location { file, path: &self.path, offset, len })
    }

    pub(crate) fn read_tensor(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match &self.tensors {
            Tensors::Safetensors(file) => Ok(file.read_tensor(name)?),
            Tensors::Pickle(Pickle { file, by_name, .. }) => {
                Ok(by_name.get(name).map(|it| file.read(it)).transpose()?)
            }
        }
    }

    /// Puts the bytes of a tensor from an offset on into a buffer. Both are whole elements.
    pub(crate) fn read_range(
        &self,
        name: &str,
        offset: usize,
        buffer: &mut [u8],
    ) -> Result<bool, Error> {
        match &self.tensors {
            Tensors::Safetensors(file) => Ok(file.read_range(name, offset, buffer)?),
            Tensors::Pickle(Pickle { file, by_name, .. }) => {
                let Some(tensor) = by_name.get(name) else { return Ok(false) };
                file.read_range(tensor, offset, buffer)?;
                Ok(true)
            }
        }
    }

    /// Names of tensors that are one and the same memory, where there is more than one.
    /// Only a pickle knows; a safetensors file has every tensor once.
    pub(crate) fn aliases(&self) -> &[Vec<String>] {
        match &self.tensors {
            Tensors::Safetensors(_) => &[],
            Tensors::Pickle(pickle) => &pickle.aliases,
        }
    }

    /// Compares the data with the checksums that the file has of it, if it has any.
    pub(crate) fn verify_checksums(&self) -> Result<(), Error> {
        self.verify_checksums_without(|_| false)
    }

    /// The same, without the tensors that are compared with their [`WeightFile::checksum`].
    pub(crate) fn verify_checksums_without(
        &self,
        is_compared: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let Tensors::Pickle(Pickle { file, by_name, .. }) = &self.tensors else { return Ok(()) };
        let compared = by_name.iter().filter(|(name, _)| is_compared(name));
        let storages: HashSet<usize> = compared.map(|(_, it)| it.storage).collect();
        Ok(file.verify_without(&storages)?)
    }

    /// Compares a tensor with its checksum while it is read, if it has one of its own.
    pub(crate) fn checksum(&self, name: &str) -> Option<Checksum> {
        match &self.tensors {
            Tensors::Safetensors(_) => None,
            Tensors::Pickle(pickle) => pickle.file.checksum(pickle.by_name.get(name)?),
        }
    }
}

impl Pickle {
    fn new(file: PickleFile, name: &str) -> Result<Pickle, Error> {
        let named = file.named_tensors()?;
        let to_owned = |it: Vec<&str>| it.into_iter().map(str::to_owned).collect();
        let aliases = named.aliases().into_iter().map(to_owned).collect();
        let NamedTensors { tensors, wrapper, others, others_count } = named;
        let mut warnings = Vec::new();
        if let Some(wrapper) = wrapper.map(str::to_owned) {
            warnings.push(Warning::Wrapped { file: name.to_owned(), wrapper });
        }
        if others_count > 0 {
            let (file, entries, count) = (name.to_owned(), others, others_count);
            warnings.push(Warning::NotTensors { file, entries, count });
        }
        let by_name = tensors.into_iter().map(|(name, it)| (name, it.clone())).collect();
        Ok(Pickle { file, by_name, aliases, warnings })
    }
}

/// A safetensors file has its header's length in eight bytes and then the header's `{`, which
/// neither an archive nor a pickle can have there. What is too short for either is reported as
/// what it is called.
fn is_safetensors(file: &File, path: &Path) -> Result<bool, Error> {
    let mut start = [0; 9];
    let read = |e| io_error("read", path, e);
    let len = file.metadata().map_err(read)?.len().min(start.len() as u64) as usize;
    pretrained_fs::read_exact_at(file, &mut start[..len], 0).map_err(read)?;
    let refused = |reason| Err(Error::Refused { path: path.to_owned(), reason });
    match start[0] {
        _ if len == 0 => return refused(Refusal::Empty),
        b'{' | b'[' if start[8] != b'{' => return refused(Refusal::Text),
        _ => (),
    }
    let is_pickle = start.starts_with(b"PK") || start[0] == PROTO;
    let called_pickle = path
        .extension()
        .is_some_and(|it| ["bin", "ckpt", "pt", "pth"].iter().any(|name| it == *name));
    Ok(start[8] == b'{' || !is_pickle && !called_pickle)
}

/// The first instruction of a pickle since protocol 2.
const PROTO: u8 = 0x80;
