//! The form of PyTorch before 1.6: five pickles, then the storages, each with its length.

use pretrained_safetensors::Dtype;

use crate::{
    FormatError, Value,
    object::{Heap, Id},
    rebuild::Storages,
    source::{Failure, Source},
    vm,
};

/// The contents, how many tensors are not among them, and where each storage starts.
pub(crate) fn read(
    source: &Source,
    storages: &mut Storages,
) -> Result<(Value, usize, Vec<u64>), Failure> {
    let len = source.len().min(MAX_PICKLES) as usize;
    let bytes = source.read(0, len)?;
    let mut rest = bytes.as_slice();
    let mut next = |storages: &mut Storages| -> Result<(Heap, Id), FormatError> {
        let (heap, root, len) = vm::run(rest, storages)?;
        rest = &rest[len..];
        Ok((heap, root))
    };
    let mut plain =
        || next(&mut Storages::default()).and_then(|(mut heap, root)| heap.value_of(root));
    if plain()? != Value::Long(MAGIC.to_vec()) {
        return Err(FormatError::NotAPickle.into());
    }
    if plain()? != Value::Int(1001) {
        return Err(FormatError::Archive("its legacy protocol is not 1001").into());
    }
    let system = plain()?;
    if system.get("little_endian") != Some(&Value::Bool(true)) {
        return Err(FormatError::Endianness.into());
    }
    let (mut heap, root) = next(storages)?;
    let (value, hidden) = (heap.value_of(root)?, heap.hidden());
    drop(heap);
    let (mut heap, root) = next(&mut Storages::default())?;
    let keys = heap.value_of(root)?;
    let keys = keys.as_sequence().ok_or(FormatError::NotAPickle)?;
    let starts = storage_starts(source, storages, keys, (len - rest.len()) as u64)?;
    Ok((value, hidden, starts))
}

/// Storages follow in the order of `keys`.
fn storage_starts(
    source: &Source,
    storages: &Storages,
    keys: &[Value],
    mut at: u64,
) -> Result<Vec<u64>, Failure> {
    let mut starts = vec![None; storages.all.len()];
    for key in keys {
        let key = key.as_str().unwrap_or_default();
        let wrong = |problem| FormatError::Storage { key: key.to_owned(), problem };
        let index = storages.index(key).ok_or_else(|| wrong("no tensor is in it"))?;
        let storage = &storages.all[index];
        let count_end = at.checked_add(8).filter(|it| *it <= source.len());
        let count_end = count_end.ok_or_else(|| wrong("the file is cut short"))?;
        let mut count = [0; 8];
        source.read_at(&mut count, at)?;
        let element = storage.dtype.map_or(1, |it: Dtype| it.bits() as u64 / 8);
        let byte_len = u64::from_le_bytes(count).checked_mul(element);
        if byte_len != Some(storage.byte_len as u64) {
            return Err(wrong("it is shorter or longer than its tensors were told").into());
        }
        let end = count_end.checked_add(storage.byte_len as u64);
        at = end.filter(|it| *it <= source.len()).ok_or_else(|| wrong("the file is cut short"))?;
        if starts[index].replace(count_end).is_some() {
            return Err(wrong("it is there twice").into());
        }
    }
    if at != source.len() {
        return Err(FormatError::Archive("something is appended to it").into());
    }
    let missing = starts.iter().position(Option::is_none);
    if let Some(index) = missing {
        let key = storages.all[index].key.clone();
        return Err(FormatError::Storage { key, problem: "it is not in the file" }.into());
    }
    Ok(starts.into_iter().flatten().collect())
}

/// `0x1950a86a20f9469cfc6c`.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Pickles of state dicts are far shorter.
const MAX_PICKLES: u64 = 64 << 20;
