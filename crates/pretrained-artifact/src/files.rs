//! Which of a directory's files are the weights.

use crate::{INDEX, MODEL, PICKLE, PICKLE_INDEX};

/// The file that weights are read from, by its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WeightFiles {
    Safetensors(String),
    SafetensorsIndex(String),
    Pickle(String),
    PickleIndex(String),
}

impl WeightFiles {
    /// Picks the weights among the names in a directory, in the order in which transformers
    /// looks for them. A variant never falls back to the plain name, nor back.
    pub(crate) fn find(names: &[String], variant: Option<&str>) -> Option<WeightFiles> {
        type Role = fn(String) -> WeightFiles;
        let candidates: [(&str, Role); 4] = [
            (MODEL, WeightFiles::Safetensors),
            (INDEX, WeightFiles::SafetensorsIndex),
            (PICKLE, WeightFiles::Pickle),
            (PICKLE_INDEX, WeightFiles::PickleIndex),
        ];
        let mut found =
            candidates.into_iter().map(|(name, role)| (with_variant(name, variant), role));
        let (name, role) = found.find(|(name, _)| names.binary_search(name).is_ok())?;
        Some(role(name))
    }

    /// The weights that `transformers_weights` in a config names.
    pub(crate) fn named(name: &str) -> Option<WeightFiles> {
        if name.ends_with(".safetensors.index.json") {
            Some(WeightFiles::SafetensorsIndex(name.to_owned()))
        } else {
            name.ends_with(".safetensors").then(|| WeightFiles::Safetensors(name.to_owned()))
        }
    }

    /// The weights whose index has this name, if it is one of an index.
    pub(crate) fn index(name: &str) -> Option<WeightFiles> {
        if name.ends_with(".safetensors.index.json") {
            return Some(WeightFiles::SafetensorsIndex(name.to_owned()));
        }
        name.ends_with(".bin.index.json").then(|| WeightFiles::PickleIndex(name.to_owned()))
    }

    /// The file's name.
    pub(crate) fn name(&self) -> &str {
        match self {
            WeightFiles::Safetensors(name)
            | WeightFiles::SafetensorsIndex(name)
            | WeightFiles::Pickle(name)
            | WeightFiles::PickleIndex(name) => name,
        }
    }
}

/// Puts a variant before the last extension: `model.fp16.safetensors`,
/// `model.safetensors.index.fp16.json`.
pub(crate) fn with_variant(name: &str, variant: Option<&str>) -> String {
    match (variant, name.rsplit_once('.')) {
        (Some(variant), Some((stem, extension))) => format!("{stem}.{variant}.{extension}"),
        _ => name.to_owned(),
    }
}

/// The files of a directory, other than `used`, that hold some weights of the same variant: an
/// earlier save's, or another format's.
pub(crate) fn leftovers(names: &[String], variant: Option<&str>, used: &[String]) -> Vec<String> {
    let is_leftover = |it: &&String| holds_weights(it, variant) && !used.contains(it);
    names.iter().filter(is_leftover).cloned().collect()
}

/// Whether a name is one that weights of this variant are saved under, in any of the layouts.
pub(crate) fn holds_weights(name: &str, variant: Option<&str>) -> bool {
    let whole = [MODEL, INDEX, PICKLE, PICKLE_INDEX];
    let shards = [(MODEL, ".safetensors"), (PICKLE, ".bin")];
    whole.iter().any(|it| with_variant(it, variant) == name)
        || shards.iter().any(|(single, extension)| {
            let stem = with_variant(single, variant);
            is_shard_of(name, stem.strip_suffix(extension).unwrap_or(&stem), extension)
        })
}

/// Whether a name is that of a shard: `stem-00001-of-00003.extension`.
pub(crate) fn is_shard_of(name: &str, stem: &str, extension: &str) -> bool {
    let number = name.strip_prefix(stem).and_then(|it| it.strip_suffix(extension));
    number.is_some_and(is_shard_number)
}

/// `-00001-of-00003`, with any number of digits from five up.
fn is_shard_number(text: &str) -> bool {
    let is_number = |it: &str| it.len() >= 5 && it.bytes().all(|it| it.is_ascii_digit());
    let parts = text.strip_prefix('-').and_then(|it| it.split_once("-of-"));
    parts.is_some_and(|(i, n)| is_number(i) && is_number(n))
}
