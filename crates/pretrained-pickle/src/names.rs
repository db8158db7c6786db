//! What the tensors of a file are called.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use crate::{FormatError, Key, Tensor, Value};

/// Every tensor of a file by name.
///
/// A name is the path to the tensor: keys of dictionaries and positions in lists and tuples,
/// joined by dots. A state dict is a dictionary of tensors, so that its keys are the names.
///
/// Checkpoints of other trainers have the state dict as one entry of several, under `state_dict`,
/// `model_state_dict`, `model` or `module`. If all tensors are within that one entry, its name is
/// no part of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTensors<'a> {
    /// The tensors, in the file's order. No name is there twice.
    pub tensors: Vec<(String, &'a Tensor)>,
    /// The entry of the root that all tensors are in, and that is no part of their names.
    pub wrapper: Option<&'a str>,
    /// What has no tensor in it, such as `epoch`: paths, the first few of them.
    pub others: Vec<String>,
    /// How many there are of those.
    pub others_count: usize,
}

impl NamedTensors<'_> {
    /// Groups of names that stand for the very same elements, in the file's order: tied weights.
    pub fn aliases(&self) -> Vec<Vec<&str>> {
        aliases(self.tensors.iter().map(|(name, it)| (name.as_str(), *it)))
    }
}

/// Groups of names that stand for the very same elements, in order of appearance.
pub(crate) fn aliases<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a Tensor)>,
) -> Vec<Vec<&'a str>> {
    let mut groups: Vec<Vec<&str>> = Vec::new();
    let mut seen = HashMap::new();
    for (name, tensor) in tensors.filter(|(_, it)| it.byte_len() != Some(0)) {
        let group = *seen.entry(tensor).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(names) => names.push(name),
            None => groups.push(vec![name]),
        }
    }
    groups.retain(|it| it.len() > 1);
    groups
}

/// Names the tensors of a value. `hidden` tensors of the file are not in it, and `file_len` bounds
/// what may be made of them.
pub(crate) fn find(
    value: &Value,
    hidden: usize,
    file_len: u64,
) -> Result<NamedTensors<'_>, FormatError> {
    if hidden > 0 {
        let problem = "it is an attribute of something, or nothing uses it";
        return Err(FormatError::Unnamed { path: "?".to_owned(), problem });
    }
    if let Value::Tensor(_) = value {
        let problem = "it is all there is; save a dictionary of it: {\"name\": tensor}";
        return Err(FormatError::Unnamed { path: String::new(), problem });
    }
    let (wrapper, value) = unwrap(value);
    let names_left = file_len.saturating_mul(NAMES_PER_BYTE).saturating_add(1 << 20);
    let mut search = Search { names_left, ..Search::default() };
    search.visit(value)?;
    let Search { tensors, mut others, mut others_count, .. } = search;
    if let Some(wrapper) = &wrapper {
        others_count += wrapper.beside.len();
        let room = MAX_OTHERS.saturating_sub(others.len());
        let short = wrapper.beside.iter().filter(|it| it.len() <= MAX_NAME);
        others.extend(short.take(room).map(|it| (*it).to_owned()));
    }

    let mut seen = HashSet::new();
    if let Some((twice, _)) = tensors.iter().find(|(name, _)| !seen.insert(name.as_str())) {
        return Err(FormatError::DuplicateName(twice.clone()));
    }
    let bytes = tensors.iter().map(|(_, it)| it.byte_len().unwrap_or(usize::MAX) as u64);
    let total = bytes.fold(0, u64::saturating_add);
    let limit = file_len.saturating_mul(MAX_REPETITION).saturating_add(64 << 20);
    if total > limit {
        return Err(FormatError::Repeated { total, limit });
    }
    let wrapper = wrapper.map(|it| it.name);
    Ok(NamedTensors { tensors, wrapper, others, others_count })
}

/// The one entry of the root that has tensors.
struct Wrapper<'a> {
    name: &'a str,
    /// The other entries.
    beside: Vec<&'a str>,
}

fn unwrap(value: &Value) -> (Option<Wrapper<'_>>, &Value) {
    let entries = value.as_dict().unwrap_or_default();
    let mut with_tensors = entries.iter().filter(|(_, it)| has_tensor(it));
    let (Some((Key::Str(name), inner @ Value::Dict(_))), None) =
        (with_tensors.next(), with_tensors.next())
    else {
        return (None, value);
    };
    if !WRAPPERS.contains(&name.as_str()) {
        return (None, value);
    }
    let others = entries.iter().filter_map(|(key, _)| match key {
        Key::Str(it) | Key::Other(it) if it != name => Some(it.as_str()),
        _ => None,
    });
    (Some(Wrapper { name, beside: others.collect() }), inner)
}

fn has_tensor(value: &Value) -> bool {
    match value {
        Value::Tensor(_) => true,
        Value::List(items) | Value::Tuple(items) | Value::Set(items) => {
            items.iter().any(has_tensor)
        }
        Value::Dict(entries) => entries.iter().any(|(_, it)| has_tensor(it)),
        _ => false,
    }
}

#[derive(Default)]
struct Search<'a> {
    /// Where the search is.
    path: String,
    tensors: Vec<(String, &'a Tensor)>,
    others: Vec<String>,
    others_count: usize,
    /// Bytes that further names may have: what is deep down repeats long keys in every name.
    names_left: u64,
}

impl<'a> Search<'a> {
    fn visit(&mut self, value: &'a Value) -> Result<(), FormatError> {
        let (tensors, others, others_count) =
            (self.tensors.len(), self.others.len(), self.others_count);
        match value {
            Value::Tensor(tensor) => return self.tensor(tensor),
            Value::Set(items) if items.iter().any(has_tensor) => {
                return Err(self.unnamed("it is in a set, which has no order"));
            }
            Value::Dict(entries) => {
                for (key, value) in entries {
                    match key {
                        Key::Str(it) => self.descend(it, value)?,
                        Key::Int(it) => self.descend(&it.to_string(), value)?,
                        Key::Other(_) if has_tensor(value) => {
                            return Err(self.unnamed("its key is neither a string nor an integer"));
                        }
                        Key::Other(it) => self.descend(it, value)?,
                    }
                }
            }
            Value::List(items) | Value::Tuple(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.descend(&i.to_string(), item)?;
                }
            }
            _ => {}
        }
        // What has no tensor anywhere is mentioned once, as a whole.
        if tensors == self.tensors.len() && !self.path.is_empty() {
            self.others.truncate(others);
            self.others_count = others_count + 1;
            if others < MAX_OTHERS && self.path.len() <= MAX_OTHER {
                self.others.push(self.path.clone());
            }
        }
        Ok(())
    }

    fn descend(&mut self, key: &str, value: &'a Value) -> Result<(), FormatError> {
        let len = self.path.len();
        if len + key.len() > MAX_NAME {
            if has_tensor(value) {
                return Err(self.unnamed("its name would be over 4096 bytes"));
            }
            self.others_count += 1;
            return Ok(());
        }
        if len > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        let visited = self.visit(value);
        self.path.truncate(len);
        visited
    }

    fn tensor(&mut self, tensor: &'a Tensor) -> Result<(), FormatError> {
        let left = self.names_left.checked_sub(self.path.len() as u64);
        self.names_left = left.ok_or(FormatError::Budget("length of names"))?;
        if self.path.is_empty() {
            return Err(self.unnamed("its key is empty"));
        }
        self.tensors.push((self.path.clone(), tensor));
        Ok(())
    }

    fn unnamed(&mut self, problem: &'static str) -> FormatError {
        FormatError::Unnamed { path: mem::take(&mut self.path), problem }
    }
}

/// Where other trainers put a state dict.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "module"];
/// Of safetensors.
const MAX_NAME: usize = 4096;
const NAMES_PER_BYTE: u64 = 16;
/// How many times its length a file may become. Some models use a layer up to 24 times.
const MAX_REPETITION: u64 = 32;
/// What is not a tensor is mentioned this often, if its path is this short.
const MAX_OTHERS: usize = 16;
const MAX_OTHER: usize = 200;
