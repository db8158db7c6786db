use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use rustix::fs::OFlags;

use crate::{
    Checksum, Error, FormatError, Key, NamedTensors, Tensor, Value,
    checksum::{check_bytes, check_member},
    legacy, names,
    rebuild::{Storage, Storages},
    source::{Failure, Source},
    strided, vm,
    zip::{self, Member},
};

/// A file that `torch.save` wrote. Its pickle is interpreted at once, tensors are read when they
/// are asked for.
#[derive(Debug)]
pub struct PickleFile {
    source: Source,
    path: PathBuf,
    value: Value,
    /// Number of tensors that are made, and are not in the value.
    hidden: usize,
    /// Keys and places.
    storages: Vec<(String, Member)>,
    /// Whether members have checksums. The legacy form has none.
    has_checksums: bool,
}

/// A tensor's bytes within the file: contiguous, in C order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Position of the first byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: usize,
}

impl PickleFile {
    /// Opens a file: the zip form, or that of PyTorch before 1.6.
    ///
    /// # Errors
    ///
    /// [`Error::NotAFile`] for pipes, devices and directories; [`Error::Io`] where the file cannot
    /// be opened or read; [`Error::Format`] for the first thing in it that `torch.save` would not
    /// have written, or that is refused whoever wrote it ([`FormatError::Global`],
    /// [`FormatError::Opcode`], [`FormatError::Budget`]).
    pub fn open(path: &Path) -> Result<PickleFile, Error> {
        let io = |action, e| Error::Io(pretrained_fs::Error::new(action, path, e));
        let metadata = fs::metadata(path).map_err(|e| io("open", e))?;
        if !metadata.is_file() {
            return Err(Error::NotAFile { path: path.to_owned() });
        }
        // A pipe could have taken the file's place: opening one would wait for a writer.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        PickleFile::from_file(file.map_err(|e| io("open", e))?, path)
    }

    /// As [`PickleFile::open`], for a file that is already open. `path` is for messages.
    ///
    /// # Errors
    ///
    /// As for [`PickleFile::open`].
    pub fn from_file(file: File, path: &Path) -> Result<PickleFile, Error> {
        let metadata = file.metadata();
        let metadata = metadata.map_err(|e| pretrained_fs::Error::new("stat", path, e))?;
        if !metadata.is_file() {
            return Err(Error::NotAFile { path: path.to_owned() });
        }
        PickleFile::new(Source::File { file, len: metadata.len() }, path)
    }

    /// Takes a whole file that is already in memory. `path` is for messages.
    ///
    /// # Errors
    ///
    /// [`Error::Format`], as for [`PickleFile::open`].
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<PickleFile, Error> {
        PickleFile::new(Source::Bytes(bytes), path)
    }

    fn new(source: Source, path: &Path) -> Result<PickleFile, Error> {
        let read = if starts_with(&source, b"PK").map_err(|e| at(path, e.into()))? {
            read_archive(&source).map(|it| (it, true))
        } else {
            read_legacy(&source).map(|it| (it, false))
        };
        let ((value, hidden, storages), has_checksums) = read.map_err(|e| at(path, e))?;
        Ok(PickleFile { source, path: path.to_owned(), value, hidden, storages, has_checksums })
    }

    /// The file's whole contents.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The file that was read; `None` if it came as bytes.
    pub fn file(&self) -> Option<&File> {
        match &self.source {
            Source::File { file, .. } => Some(file),
            Source::Bytes(_) => None,
        }
    }

    /// Every tensor that is in the file, with the name that it has as a part of a model.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] with [`FormatError::Unnamed`] for a tensor that cannot be named,
    /// [`FormatError::DuplicateName`] for two that have the same name, [`FormatError::Repeated`] and
    /// [`FormatError::Budget`] where tensors or names take far more than the file does. No tensor is
    /// passed over.
    pub fn named_tensors(&self) -> Result<NamedTensors<'_>, Error> {
        let named = names::find(&self.value, self.hidden, self.source.len());
        named.map_err(|e| at(&self.path, e.into()))
    }

    /// The names of the tensors of a flat state dict, in its order: of those that are directly in
    /// the root dictionary, and of no others. See [`PickleFile::named_tensors`] for all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors().map(|(name, _)| name)
    }

    /// The tensors of a flat state dict, in its order, as in [`PickleFile::names`].
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let entries = self.value.as_dict().unwrap_or_default();
        entries.iter().filter_map(|entry| match entry {
            (Key::Str(name), Value::Tensor(tensor)) => Some((name.as_str(), tensor)),
            _ => None,
        })
    }

    /// A tensor of a state dict, by name.
    pub fn info(&self, name: &str) -> Option<&Tensor> {
        self.value.get(name)?.as_tensor()
    }

    /// The bytes of a tensor of a state dict, in C order. `None` if there is no such tensor.
    ///
    /// # Errors
    ///
    /// As for [`PickleFile::read`].
    pub fn read_tensor(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.info(name).map(|it| self.read(it)).transpose()
    }

    /// The bytes of a tensor anywhere in the file's contents, in C order. Checks the storage's
    /// checksum, if it has one.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] with [`FormatError::Storage`] for a checksum that is not that of the
    /// bytes, for a tensor that reaches beyond its storage, and for one that repeats it to more
    /// than 64 MiB and more than the file; [`Error::Io`] where the file cannot be read,
    /// or there is no memory for the bytes.
    pub fn read(&self, tensor: &Tensor) -> Result<Vec<u8>, Error> {
        let len = tensor.byte_len().filter(|it| self.may_allocate(*it)).ok_or_else(|| {
            let problem = "a tensor repeats it beyond the budget";
            let key = tensor.storage.to_string();
            at(&self.path, FormatError::Storage { key, problem }.into())
        })?;
        let mut bytes = Vec::new();
        // A sparse file can promise more than there is memory for.
        let reserved = bytes.try_reserve_exact(len);
        reserved.map_err(|_| {
            let source = io::ErrorKind::OutOfMemory.into();
            pretrained_fs::Error::new("allocate memory for", &self.path, source)
        })?;
        bytes.resize(len, 0);
        self.read_checked(tensor, &mut bytes).map_err(|e| at(&self.path, e))?;
        Ok(bytes)
    }

    /// Copies a part of a tensor's bytes, in C order, from an offset on: both have to be multiples
    /// of the element size. Checksums cover whole storages and are not looked at here: see
    /// [`PickleFile::verify`].
    ///
    /// # Errors
    ///
    /// [`Error::Range`] for a part that is not of whole elements, or reaches beyond the tensor;
    /// [`Error::Format`] with [`FormatError::Storage`] for a tensor that reaches beyond its
    /// storage; [`Error::Io`] where the file cannot be read.
    pub fn read_range(
        &self,
        tensor: &Tensor,
        offset: usize,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        let (key, _) = self.storage(tensor).map_err(|e| at(&self.path, e))?;
        let (len, element) = (tensor.byte_len().unwrap_or(0), tensor.dtype.bits() / 8);
        let end = offset.checked_add(buffer.len()).filter(|it| *it <= len);
        if end.is_none_or(|end| !offset.is_multiple_of(element) || !end.is_multiple_of(element)) {
            let (storage, count) = (key.clone(), buffer.len());
            return Err(Error::Range { storage, offset, count, len });
        }
        let read = match self.location(tensor) {
            Some(location) => {
                self.source.read_at(buffer, location.offset + offset as u64).map_err(Failure::Io)
            }
            None => self.gather(tensor, offset / element, buffer),
        };
        read.map_err(|e| at(&self.path, e))
    }

    /// Groups of names of a flat state dict that stand for the very same elements, in its order:
    /// tied weights. See [`NamedTensors::aliases`] for all names.
    pub fn aliases(&self) -> Vec<Vec<&str>> {
        names::aliases(self.tensors())
    }

    /// Where a contiguous tensor's bytes are in the file.
    pub fn location(&self, tensor: &Tensor) -> Option<Location> {
        let (_, storage) = self.storage(tensor).ok()?;
        let len = tensor.byte_len()?;
        let start = storage.start + strided::span(tensor).start as u64;
        tensor.is_contiguous().then_some(Location { offset: start, len })
    }

    /// Compares every storage with its checksum, in parallel.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] with the first [`FormatError::Storage`] that is found; [`Error::Io`] where
    /// the file cannot be read. Files of PyTorch before 1.6 have no checksums, and pass.
    pub fn verify(&self) -> Result<(), Error> {
        self.verify_without(&HashSet::new())
    }

    /// As [`PickleFile::verify`], without some storages, by number: those that are checked with a
    /// [`Checksum`].
    ///
    /// # Errors
    ///
    /// As for [`PickleFile::verify`].
    pub fn verify_without(&self, storages: &HashSet<usize>) -> Result<(), Error> {
        if !self.has_checksums {
            return Ok(());
        }
        let rest = self.storages.par_iter().enumerate().filter(|(i, _)| !storages.contains(i));
        let check =
            |(_, (key, member)): (_, &(String, Member))| check_member(&self.source, key, member);
        rest.try_for_each(check).map_err(|e| at(&self.path, e))
    }

    /// Checks a tensor's bytes while they are read from elsewhere, if that can be done: if they
    /// are a whole storage in C order, and there is a checksum.
    pub fn checksum(&self, tensor: &Tensor) -> Option<Checksum> {
        let (key, member) = self.storage(tensor).ok().filter(|_| self.has_checksums)?;
        let is_whole = tensor.is_contiguous() && span_len(tensor) == member.len;
        is_whole.then(|| Checksum::new(key, member))
    }

    fn read_checked(&self, tensor: &Tensor, bytes: &mut [u8]) -> Result<(), Failure> {
        let (key, storage) = self.storage(tensor)?;
        let span = strided::span(tensor);
        let start = storage.start + span.start as u64;
        let whole = tensor.is_contiguous() && span.len() as u64 == storage.len;
        if self.has_checksums && !whole {
            check_member(&self.source, key, storage)?;
        }
        if tensor.is_contiguous() {
            self.source.read_at(bytes, start)?;
            return match self.has_checksums && whole {
                true => Ok(check_bytes(bytes, key, storage)?),
                false => Ok(()),
            };
        }
        let element = tensor.dtype.bits() / 8;
        let pieces = bytes.par_chunks_mut(PIECE_LEN).enumerate();
        pieces.try_for_each(|(i, piece)| self.gather(tensor, i * PIECE_LEN / element, piece))
    }

    /// Reads elements of a view, from number `first` on.
    fn gather(&self, tensor: &Tensor, first: usize, bytes: &mut [u8]) -> Result<(), Failure> {
        let (_, storage) = self.storage(tensor)?;
        strided::gather(&self.source, storage.start, tensor, first, bytes)?;
        Ok(())
    }

    /// A tensor's storage, if the tensor is within it.
    fn storage(&self, tensor: &Tensor) -> Result<&(String, Member), Failure> {
        let found = self.storages.get(tensor.storage);
        let within = |(_, storage): &&(String, Member)| {
            let end = tensor.byte_len().and_then(|_| tensor.end());
            end.is_some_and(|end| end as u64 <= storage.len)
        };
        found.filter(within).ok_or_else(|| {
            let key = found.map_or_else(|| tensor.storage.to_string(), |(key, _)| key.clone());
            FormatError::Storage { key, problem: "a tensor reaches beyond it" }.into()
        })
    }

    /// A view may repeat its elements, which takes no memory in PyTorch: within reason, here.
    fn may_allocate(&self, len: usize) -> bool {
        len as u64 <= self.source.len() || len <= MAX_REPEATED
    }
}

/// The value, the number of tensors that are not in it, and the storages.
type Contents = (Value, usize, Vec<(String, Member)>);

fn read_archive(source: &Source) -> Result<Contents, Failure> {
    let members = zip::members(source)?;
    let data = |name: &str| name.strip_suffix("/data.pkl").is_some_and(|it| !it.contains('/'));
    let prefix = members.keys().find(|it| data(it)).map(|it| it.trim_end_matches("data.pkl"));
    let prefix = prefix.ok_or_else(|| FormatError::MissingMember("data.pkl".to_owned()))?;
    if let Some(member) = members.keys().find(|it| !it.starts_with(prefix)) {
        let problem = "it is in another directory than the pickle";
        return Err(FormatError::Member { member: member.clone(), problem }.into());
    }
    if members.contains_key(&format!("{prefix}constants.pkl")) {
        return Err(FormatError::Archive(zip::TORCH_SCRIPT).into());
    }
    let pickle = read_member(source, prefix, "data.pkl", &members[&format!("{prefix}data.pkl")])?;
    if let Some(member) = members.get(&format!("{prefix}byteorder"))
        && read_member(source, prefix, "byteorder", member)? != b"little"
    {
        return Err(FormatError::Endianness.into());
    }
    let mut storages = Storages::default();
    let (mut heap, root, len) = vm::run(&pickle, &mut storages)?;
    if len != pickle.len() {
        return Err(FormatError::Instruction { at: len, problem: "something follows" }.into());
    }
    let (value, hidden) = (heap.value_of(root)?, heap.hidden());
    let found = storages.all.iter().map(|storage| {
        let name = format!("{prefix}data/{}", storage.key);
        let member = members.get(&name).ok_or(FormatError::MissingMember(name))?;
        if member.len != storage.byte_len as u64 {
            let problem = "it is shorter or longer than its tensors were told";
            return Err(FormatError::Storage { key: storage.key.clone(), problem });
        }
        Ok((storage.key.clone(), *member))
    });
    Ok((value, hidden, found.collect::<Result<_, _>>()?))
}

fn read_legacy(source: &Source) -> Result<Contents, Failure> {
    if source.len() > 262 && source.read(257, 5)? == b"ustar" {
        return Err(FormatError::Tar.into());
    }
    let mut storages = Storages::default();
    let (value, hidden, starts) = legacy::read(source, &mut storages)?;
    let members = storages.all.iter().zip(starts);
    let member = |(storage, start): (&Storage, u64)| {
        (storage.key.clone(), Member { start, len: storage.byte_len as u64, crc: 0 })
    };
    Ok((value, hidden, members.map(member).collect()))
}

fn read_member(
    source: &Source,
    prefix: &str,
    name: &str,
    member: &Member,
) -> Result<Vec<u8>, Failure> {
    let wrong = |problem| FormatError::Member { member: format!("{prefix}{name}"), problem };
    let len = usize::try_from(member.len).ok().filter(|it| *it <= MAX_PICKLE);
    let bytes = source.read(member.start, len.ok_or_else(|| wrong("it is too long"))?)?;
    if crc32fast::hash(&bytes) != member.crc {
        return Err(wrong("its checksum is not that of its bytes").into());
    }
    Ok(bytes)
}

fn span_len(tensor: &Tensor) -> u64 {
    strided::span(tensor).len() as u64
}

fn starts_with(source: &Source, magic: &[u8]) -> io::Result<bool> {
    Ok(source.len() >= magic.len() as u64 && source.read(0, magic.len())? == magic)
}

fn at(path: &Path, failure: Failure) -> Error {
    match failure {
        Failure::Io(e) => Error::Io(pretrained_fs::Error::new("read", path, e)),
        Failure::Format(source) => Error::Format { path: path.to_owned(), source },
    }
}

const PIECE_LEN: usize = 4 << 20;
/// A model of 100,000 tensors has some 20 MiB.
const MAX_PICKLE: usize = 256 << 20;
/// What a view that repeats its storage may take.
const MAX_REPEATED: usize = 64 << 20;
