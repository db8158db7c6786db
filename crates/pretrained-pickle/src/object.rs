use std::{collections::HashSet, mem};

use crate::{Array, FormatError, Key, Tensor, Value, error::quotable, global::Global};

/// Position of an object in the [`Heap`].
pub(crate) type Id = usize;

/// What an instruction makes. Objects are shared and changed by reference, as in Python.
#[derive(Debug, Clone)]
pub(crate) enum Object {
    None,
    Bool(bool),
    Int(i64),
    Long(Vec<u8>),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Set(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage {
        index: usize,
        dtype: Option<pretrained_safetensors::Dtype>,
    },
    Tensor(Box<Tensor>),
    NumpyDtype(String),
    /// Not built yet if `None`.
    Array(Option<Box<Array>>),
}

/// All objects of one pickle, within a budget.
pub(crate) struct Heap {
    objects: Vec<Object>,
    /// Bytes of strings and the like that may still be made.
    bytes_left: usize,
    /// Bytes that may still be taken, for whatever.
    memory_left: usize,
    /// Values that the tree may have.
    values_left: usize,
    /// Tensors that are in the tree.
    reached: HashSet<Id>,
    in_key: bool,
}

impl Heap {
    /// For a pickle of this many bytes.
    pub(crate) fn new(pickle_len: usize) -> Heap {
        let bytes_left = pickle_len.saturating_mul(4).saturating_add(1 << 20);
        // It takes two bytes to repeat an object, so that only nested repetitions give more.
        let values_left = pickle_len.saturating_add(1 << 16).min(MAX_OBJECTS);
        let memory_left = pickle_len.saturating_mul(MEMORY_PER_BYTE).saturating_add(16 << 20);
        let memory_left = memory_left.min(MAX_MEMORY);
        let objects = vec![Object::None, Object::Bool(false), Object::Bool(true)];
        let reached = HashSet::new();
        Heap { objects, bytes_left, memory_left, values_left, reached, in_key: false }
    }

    pub(crate) fn add(&mut self, object: Object) -> Result<Id, FormatError> {
        if self.objects.len() >= MAX_OBJECTS {
            return Err(FormatError::Budget("number of objects"));
        }
        self.take(size_of::<Object>())?;
        match &object {
            Object::Str(it) | Object::NumpyDtype(it) => self.charge(it.len())?,
            Object::Bytes(it) | Object::Long(it) => self.charge(it.len())?,
            Object::Tensor(it) => self.take(size_of::<Tensor>() + it.shape.len() * 16)?,
            Object::Array(Some(it)) => self.charge(it.data.len())?,
            Object::List(it) | Object::Tuple(it) | Object::Set(it) => {
                self.take(it.len() * size_of::<Id>())?;
            }
            Object::Dict(it) => self.take(it.len() * size_of::<(Id, Id)>())?,
            _ => {}
        }
        self.objects.push(object);
        Ok(self.objects.len() - 1)
    }

    pub(crate) fn get(&self, id: Id) -> &Object {
        &self.objects[id]
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> &mut Object {
        &mut self.objects[id]
    }

    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), FormatError> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or(FormatError::Budget("length of strings"))?;
        self.take(bytes)
    }

    /// Takes memory out of the budget.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), FormatError> {
        let left = self.memory_left.checked_sub(bytes);
        self.memory_left = left.ok_or(FormatError::Budget("memory"))?;
        Ok(())
    }

    /// Number of tensors that were made and are not in the tree: attributes of something, say.
    pub(crate) fn hidden(&self) -> usize {
        let tensors = self.objects.iter().filter(|it| matches!(it, Object::Tensor(_)));
        tensors.count() - self.reached.len()
    }

    /// Copies what hangs on an object into a tree. A graph that is shared much is a bomb as a
    /// tree, and one with a cycle has none: both run into a budget.
    pub(crate) fn value_of(&mut self, root: Id) -> Result<Value, FormatError> {
        self.value(root, 0)
    }

    fn value(&mut self, id: Id, depth: usize) -> Result<Value, FormatError> {
        if depth > MAX_DEPTH {
            return Err(FormatError::Budget("depth of nesting"));
        }
        let left = self.values_left.checked_sub(1);
        self.values_left = left.ok_or(FormatError::Budget("number of values"))?;
        self.take(size_of::<Value>())?;
        // Containers are gone through where they are: one that holds itself comes by many times, and a
        // copy each time would be a bomb.
        Ok(match &self.objects[id] {
            Object::None => Value::None,
            Object::Bool(it) => Value::Bool(*it),
            Object::Int(it) => Value::Int(*it),
            Object::Float(it) => Value::Float(*it),
            Object::Long(it) => {
                let it = it.clone();
                self.charge(it.len())?;
                Value::Long(it)
            }
            Object::Str(it) => {
                let it = it.clone();
                self.charge(it.len())?;
                Value::Str(it)
            }
            Object::Bytes(it) => {
                let it = it.clone();
                self.charge(it.len())?;
                Value::Bytes(it)
            }
            Object::List(_) => Value::List(self.values(id, depth)?),
            Object::Tuple(_) => Value::Tuple(self.values(id, depth)?),
            Object::Set(_) => Value::Set(self.values(id, depth)?),
            Object::Dict(_) => self.dict(id, depth)?,
            Object::Tensor(_) if self.in_key => {
                return Err(FormatError::Instruction { at: 0, problem: "a tensor is a key" });
            }
            Object::Tensor(it) => {
                let it = it.clone();
                self.take(it.shape.len() * 16)?;
                self.reached.insert(id);
                Value::Tensor(*it)
            }
            Object::Global(Global::TorchDtype(name, _)) => Value::Dtype((*name).to_owned()),
            Object::Array(Some(it)) => {
                let it = it.clone();
                self.charge(it.data.len())?;
                Value::Array(*it)
            }
            Object::Array(None)
            | Object::Global(_)
            | Object::Storage { .. }
            | Object::NumpyDtype(_) => {
                return Err(FormatError::Instruction { at: 0, problem: "a part is left over" });
            }
        })
    }

    /// What is in a list, tuple or set.
    fn values(&mut self, id: Id, depth: usize) -> Result<Vec<Value>, FormatError> {
        let mut values = Vec::new();
        while let Object::List(ids) | Object::Tuple(ids) | Object::Set(ids) = &self.objects[id]
            && let Some(&next) = ids.get(values.len())
        {
            values.push(self.value(next, depth + 1)?);
        }
        Ok(values)
    }

    fn dict(&mut self, id: Id, depth: usize) -> Result<Value, FormatError> {
        let mut seen = HashSet::new();
        let mut dict = Vec::new();
        while let Object::Dict(entries) = &self.objects[id]
            && let Some(&(key, value)) = entries.get(dict.len())
        {
            let was_in_key = mem::replace(&mut self.in_key, true);
            let key = self.value(key, depth + 1)?;
            self.in_key = was_in_key;
            let key = match key {
                Value::Str(it) => Key::Str(it),
                Value::Int(it) => Key::Int(it),
                other => Key::Other(format!("{other:?}")),
            };
            let text = match &key {
                Key::Str(it) | Key::Other(it) => it.len(),
                Key::Int(_) => 0,
            };
            self.take(size_of::<Key>() + text)?;
            // Python would keep the last one, and hide the others from the reader.
            if !seen.insert(key.clone()) {
                return Err(FormatError::DuplicateKey(match key {
                    Key::Int(it) => it.to_string(),
                    Key::Str(it) | Key::Other(it) => quotable(&it),
                }));
            }
            dict.push((key, self.value(value, depth + 1)?));
        }
        Ok(Value::Dict(dict))
    }
}

pub(crate) const NONE: Id = 0;
pub(crate) const FALSE: Id = 1;
pub(crate) const TRUE: Id = 2;

/// A model of 100,000 tensors has some two million.
const MAX_OBJECTS: usize = 8 << 20;
const MAX_DEPTH: usize = 100;
/// A list of small numbers has two bytes for each, and takes some sixty of memory for each byte.
const MEMORY_PER_BYTE: usize = 128;
const MAX_MEMORY: usize = 2 << 30;
