//! The few functions that a pickle may name, and what they make of their arguments.

use std::collections::BTreeMap;

use pretrained_safetensors::Dtype;

use crate::{
    Array, FormatError, Tensor,
    global::Global,
    object::{Heap, Id, Object},
};

/// The storages that a pickle names, in order of appearance.
#[derive(Debug, Default)]
pub(crate) struct Storages {
    pub(crate) all: Vec<Storage>,
    by_key: BTreeMap<String, usize>,
}

/// Memory that tensors view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) key: String,
    pub(crate) byte_len: usize,
    /// `None` if it is counted in bytes.
    pub(crate) dtype: Option<Dtype>,
}

impl Storages {
    pub(crate) fn index(&self, key: &str) -> Option<usize> {
        self.by_key.get(key).copied()
    }
}

/// An error that does not yet know where.
pub(crate) enum Problem {
    Plain(&'static str),
    Whole(FormatError),
}

type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    pub(crate) fn at(self, at: usize) -> FormatError {
        match self {
            Problem::Plain(problem) => FormatError::Instruction { at, problem },
            Problem::Whole(error) => error,
        }
    }
}

impl From<FormatError> for Problem {
    fn from(error: FormatError) -> Problem {
        Problem::Whole(error)
    }
}

/// `REDUCE`: what calling a function would give.
pub(crate) fn reduce(
    heap: &mut Heap,
    storages: &mut Storages,
    function: Id,
    arguments: Id,
) -> Result<Id> {
    let Object::Global(global) = *heap.get(function) else {
        return Err(Problem::Plain("something that is not a function is called"));
    };
    let arguments = sequence(heap, arguments)?;
    if arguments.len() > MAX_ARGUMENTS {
        return Err(OTHER_ARGUMENTS);
    }
    let arguments = arguments.to_vec();
    if let (Global::Dict | Global::Set | Global::List | Global::Tuple, &[items]) =
        (global, arguments.as_slice())
    {
        // One list can be copied over and over.
        let len = match heap.get(items) {
            Object::Dict(it) => it.len(),
            _ => sequence(heap, items)?.len(),
        };
        heap.charge(len * 16)?;
    }
    let object = match (global, arguments.as_slice()) {
        (Global::RebuildParameter, [tensor, ..]) => {
            return match heap.get(*tensor) {
                Object::Tensor(_) => Ok(*tensor),
                _ => Err(Problem::Plain("a parameter is made of something else than a tensor")),
            };
        }
        (Global::RebuildTensor, &[storage, offset, shape, strides])
        | (Global::RebuildTensorV2, &[storage, offset, shape, strides, _, _])
        | (Global::RebuildTensorV2, &[storage, offset, shape, strides, _, _, _]) => {
            let Object::Storage { dtype: Some(dtype), .. } = *heap.get(storage) else {
                return Err(Problem::Plain("a tensor has no typed storage"));
            };
            if let Some(metadata) = arguments.get(6) {
                check_metadata(heap, *metadata)?;
            }
            let tensor = tensor(heap, storages, dtype, [storage, offset, shape, strides])?;
            Object::Tensor(Box::new(tensor))
        }
        (Global::RebuildTensorV3, &[storage, offset, shape, strides, _, _, dtype])
        | (Global::RebuildTensorV3, &[storage, offset, shape, strides, _, _, dtype, _]) => {
            let dtype = match *heap.get(dtype) {
                Object::Global(Global::TorchDtype(_, Some(dtype))) => dtype,
                Object::Global(Global::TorchDtype(name, None)) => {
                    return Err(FormatError::Dtype(format!("torch.{name}")).into());
                }
                _ => return Err(Problem::Plain("a tensor's dtype is none")),
            };
            if let Some(metadata) = arguments.get(7) {
                check_metadata(heap, *metadata)?;
            }
            let tensor = tensor(heap, storages, dtype, [storage, offset, shape, strides])?;
            Object::Tensor(Box::new(tensor))
        }
        (Global::Dict, []) => Object::Dict(Vec::new()),
        (Global::Dict, &[entries]) => Object::Dict(dict_entries(heap, entries)?),
        (Global::Set, []) => Object::Set(Vec::new()),
        (Global::Set, &[items]) => Object::Set(sequence(heap, items)?.to_vec()),
        (Global::List, []) => Object::List(Vec::new()),
        (Global::List, &[items]) => Object::List(sequence(heap, items)?.to_vec()),
        (Global::Tuple, []) => Object::Tuple(Vec::new()),
        (Global::Tuple, &[items]) => Object::Tuple(sequence(heap, items)?.to_vec()),
        (Global::Bytearray, []) => Object::Bytes(Vec::new()),
        (Global::Bytearray, &[bytes]) => match heap.get(bytes) {
            Object::Bytes(it) => Object::Bytes(it.clone()),
            _ => return Err(Problem::Plain("a bytearray is made of something else than bytes")),
        },
        (Global::Encode, &[text, encoding]) => Object::Bytes(encode(heap, text, encoding)?),
        (Global::NumpyReconstruct, [_, _, _]) => Object::Array(None),
        (Global::NumpyDtype, [name, ..]) => match heap.get(*name) {
            Object::Str(name) if name.len() <= MAX_DTYPE => Object::NumpyDtype(name.clone()),
            _ => return Err(Problem::Plain("a NumPy dtype has no name")),
        },
        (Global::NumpyScalar, &[dtype, data]) => match (heap.get(dtype), heap.get(data)) {
            (Object::NumpyDtype(dtype), Object::Bytes(data)) => {
                Object::Array(Some(Box::new(array(dtype, Vec::new(), false, data)?)))
            }
            _ => return Err(Problem::Plain("a NumPy number has no dtype, or no bytes")),
        },
        (Global::Storage(_) | Global::TorchDtype(..) | Global::NumpyArray, _) => {
            return Err(Problem::Plain("a class that is only named is called"));
        }
        _ => return Err(OTHER_ARGUMENTS),
    };
    Ok(heap.add(object)?)
}

/// `BUILD`: sets the state of an object.
pub(crate) fn build(heap: &mut Heap, object: Id, state: Id) -> Result<()> {
    let built = match (heap.get(object), heap.get(state)) {
        // Attributes, such as `_metadata` of a state dict: nothing is loaded from them.
        (Object::Dict(_) | Object::Tensor(_), Object::Dict(_) | Object::Tuple(_)) => return Ok(()),
        (Object::NumpyDtype(name), Object::Tuple(state)) => {
            let order = state.get(1).map(|it| heap.get(*it));
            match order {
                _ if name.starts_with(['<', '|']) => {
                    return Err(Problem::Plain("a NumPy dtype is built twice"));
                }
                Some(Object::Str(order)) if matches!(order.as_str(), "<" | "|" | "=") => {
                    let order = if order == "=" { "<" } else { order };
                    Object::NumpyDtype(format!("{order}{name}"))
                }
                _ => return Err(FormatError::Endianness.into()),
            }
        }
        (Object::Array(None), Object::Tuple(state)) => {
            let &[_, shape, dtype, fortran_order, data] = state.as_slice() else {
                return Err(Problem::Plain("an array's state has other parts than it should"));
            };
            let shape = sizes(heap, shape)?;
            match (heap.get(dtype), heap.get(fortran_order), heap.get(data)) {
                (Object::NumpyDtype(dtype), Object::Bool(order), Object::Bytes(data)) => {
                    Object::Array(Some(Box::new(array(dtype, shape, *order, data)?)))
                }
                _ => return Err(Problem::Plain("an array's state has other parts than it should")),
            }
        }
        _ => return Err(Problem::Plain("a state is set on something that has none")),
    };
    let len = match &built {
        Object::Array(Some(it)) => it.data.len(),
        _ => 0,
    };
    heap.charge(len)?;
    *heap.get_mut(object) = built;
    Ok(())
}

/// `BINPERSID`: `("storage", class, key, location, count[, view])`.
pub(crate) fn storage(heap: &mut Heap, storages: &mut Storages, id: Id) -> Result<Id> {
    let wrong = Problem::Plain("a persistent id is not that of a storage");
    let (tag, class, key, count, view) = match *sequence(heap, id)? {
        [tag, class, key, _, count] => (tag, class, key, count, None),
        [tag, class, key, _, count, view] => (tag, class, key, count, Some(view)),
        _ => return Err(wrong),
    };
    let (Object::Str(tag), &Object::Global(Global::Storage(dtype)), &Object::Int(count)) =
        (heap.get(tag), heap.get(class), heap.get(count))
    else {
        return Err(wrong);
    };
    let key = match heap.get(key) {
        Object::Str(key) => key.clone(),
        Object::Int(key) => key.to_string(),
        _ => return Err(wrong),
    };
    if tag != "storage" {
        return Err(wrong);
    }
    if view.is_some_and(|it| !matches!(heap.get(it), Object::None)) {
        return Err(Problem::Plain("a storage is a view of another one, as before PyTorch 0.4"));
    }
    let overflow = || FormatError::Storage { key: key.clone(), problem: "its length overflows" };
    let count = usize::try_from(count).map_err(|_| overflow())?;
    let element = dtype.map_or(1, |it| it.bits() / 8);
    let byte_len = count.checked_mul(element).ok_or_else(overflow)?;
    let next = storages.all.len();
    let index = *storages.by_key.entry(key.clone()).or_insert(next);
    if index == next {
        storages.all.push(Storage { key, byte_len, dtype });
    } else if storages.all[index].byte_len != byte_len {
        let problem = "it is named with two different lengths";
        return Err(FormatError::Storage { key, problem }.into());
    }
    Ok(heap.add(Object::Storage { index, dtype })?)
}

fn tensor(
    heap: &Heap,
    storages: &Storages,
    dtype: Dtype,
    [storage, offset, shape, strides]: [Id; 4],
) -> Result<Tensor> {
    let &Object::Storage { index: storage, .. } = heap.get(storage) else {
        return Err(Problem::Plain("a tensor has no storage"));
    };
    let shape = sizes(heap, shape)?;
    let strides = sizes(heap, strides)?;
    let offset = match *heap.get(offset) {
        Object::Int(it) => usize::try_from(it).ok(),
        _ => None,
    };
    let offset = offset.ok_or(Problem::Plain("a tensor's offset is negative, or no integer"))?;
    if shape.len() != strides.len() {
        return Err(Problem::Plain("a tensor has more or fewer strides than dimensions"));
    }
    let tensor = Tensor { storage, dtype, shape, strides, offset };
    let end = tensor.byte_len().and_then(|_| tensor.end());
    match end {
        None => Err(Problem::Plain("a tensor's size overflows")),
        Some(end) if end > storages.all[storage].byte_len => {
            Err(Problem::Plain("a tensor reaches beyond its storage"))
        }
        Some(_) => Ok(tensor),
    }
}

/// PyTorch notes here that a tensor is to be conjugated, or negated, when it is looked at.
fn check_metadata(heap: &Heap, metadata: Id) -> Result<()> {
    let is_off = |it: &(Id, Id)| matches!(heap.get(it.1), Object::Bool(false));
    match heap.get(metadata) {
        Object::None => Ok(()),
        Object::Dict(entries) if entries.iter().all(is_off) => Ok(()),
        _ => Err(Problem::Plain("a tensor is conjugated or negated lazily: save a clone of it")),
    }
}

fn array(dtype: &str, shape: Vec<usize>, fortran_order: bool, data: &[u8]) -> Result<Array> {
    let size = dtype.trim_start_matches(['<', '|']).get(1..).and_then(|it| it.parse().ok());
    let size: usize = size.ok_or_else(|| FormatError::Dtype(format!("NumPy's {dtype}")))?;
    let len = shape.iter().copied().try_fold(size, usize::checked_mul);
    if len != Some(data.len()) {
        return Err(Problem::Plain("an array's shape and bytes do not agree"));
    }
    Ok(Array { dtype: dtype.to_owned(), shape, fortran_order, data: data.to_vec() })
}

fn encode(heap: &Heap, text: Id, encoding: Id) -> Result<Vec<u8>> {
    let (Object::Str(text), Object::Str(encoding)) = (heap.get(text), heap.get(encoding)) else {
        return Err(Problem::Plain("something that is not text is encoded"));
    };
    if encoding != "latin1" {
        return Err(Problem::Plain("text is encoded as something else than latin1"));
    }
    let bytes = text.chars().map(|c| u8::try_from(c).ok()).collect::<Option<Vec<u8>>>();
    bytes.ok_or(Problem::Plain("text does not fit into latin1"))
}

fn dict_entries(heap: &Heap, entries: Id) -> Result<Vec<(Id, Id)>> {
    if let Object::Dict(entries) = heap.get(entries) {
        return Ok(entries.clone());
    }
    let pair = |it: &Id| match sequence(heap, *it)? {
        &[key, value] => Ok((key, value)),
        _ => Err(Problem::Plain("a dictionary is made of something else than pairs")),
    };
    sequence(heap, entries)?.iter().map(pair).collect()
}

fn sizes(heap: &Heap, ids: Id) -> Result<Vec<usize>> {
    let ids = sequence(heap, ids)?;
    if ids.len() > MAX_DIMS {
        return Err(Problem::Plain("a tensor has more than 64 dimensions"));
    }
    let size = |it: &Id| match *heap.get(*it) {
        Object::Int(it) => usize::try_from(it).ok(),
        _ => None,
    };
    let sizes = ids.iter().map(size).collect::<Option<Vec<usize>>>();
    sizes.ok_or(Problem::Plain("a dimension or stride is negative, or no integer"))
}

fn sequence(heap: &Heap, id: Id) -> Result<&[Id]> {
    match heap.get(id) {
        Object::Tuple(items) | Object::List(items) => Ok(items),
        _ => Err(Problem::Plain("arguments are not a tuple")),
    }
}

const OTHER_ARGUMENTS: Problem =
    Problem::Plain("a function is called with other arguments than it takes");
/// No function takes more.
const MAX_ARGUMENTS: usize = 16;
/// NumPy's names of numbers are short: `u4`.
const MAX_DTYPE: usize = 8;
/// PyTorch has 64.
const MAX_DIMS: usize = 64;
