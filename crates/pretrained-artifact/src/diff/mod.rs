//! What differs between two models.

mod values;

use std::{
    cmp,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use pretrained_config::{Config, GenerationConfig, Object, Value};
use pretrained_safetensors::{Dtype, TensorSpec};
use pretrained_tokenizer::TokenizerFiles;
use rayon::prelude::*;

use crate::{
    CONFIG, Error, GENERATION_CONFIG, OpenOptions, TensorInfo, Weights, artifact, cache,
    stream::natural_order,
};

/// What differs between two model directories, or between the weights of two files or of a file and
/// a directory. Data only; printing it is somebody else's business.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What the one is read from.
    pub a: PathBuf,
    /// What the other is read from.
    pub b: PathBuf,
    /// Whether configurations and tokenizers were compared: only two directories have them.
    pub are_models: bool,
    /// What the configurations say, by file and key.
    pub configs: Vec<ConfigChange>,
    /// Files of the tokenizers whose bytes differ, by name.
    pub tokenizer_files: Vec<FileChange>,
    /// Tensors that `a` alone has, by name.
    pub only_a: Vec<TensorSpec>,
    /// Tensors that `b` alone has, by name.
    pub only_b: Vec<TensorSpec>,
    /// Tensors of another element type or shape, as in `a` and as in `b`, by name.
    pub mismatched: Vec<(TensorSpec, TensorSpec)>,
    /// Tensors with other values: those first where something is not a number on one side, then by
    /// falling [`ValueChange::max_abs`].
    pub values: Vec<ValueChange>,
    /// How many tensors are the same, bit for bit.
    pub same: usize,
}

/// A key of a configuration; one inside of another is `outer.inner`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The file it is in.
    pub file: &'static str,
    /// Its name.
    pub key: String,
    /// Its value in `a` as JSON in one line; `None` if it is not there.
    pub a: Option<String>,
    /// Its value in `b`.
    pub b: Option<String>,
}

/// A file whose bytes differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its name.
    pub name: String,
    /// Its bytes in `a`; `None` if it is not there.
    pub a: Option<u64>,
    /// Its bytes in `b`.
    pub b: Option<u64>,
}

/// A tensor of the same element type and shape on both sides, and with other values.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueChange {
    /// The tensor.
    pub tensor: TensorSpec,
    /// How many elements it has.
    pub elements: u64,
    /// How many have other bits. `0.0` and `-0.0` have.
    pub differing: u64,
    /// How many of these have no difference, as one of the two is NaN or both are, with other bits.
    pub not_numbers: u64,
    /// The largest difference between two numbers. `None` if there are none, or if elements of this
    /// type have less than a byte and are compared as bits.
    pub max_abs: Option<f64>,
    /// The mean difference of all elements that have one, the equal ones included.
    pub mean_abs: Option<f64>,
}

impl Difference {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.configs.is_empty()
            && self.tokenizer_files.is_empty()
            && self.only_a.is_empty()
            && self.only_b.is_empty()
            && self.mismatched.is_empty()
            && self.values.is_empty()
    }
}

/// Compares two model directories, or single files of weights. Tensors are read piece by piece: what
/// is held does not grow with them.
///
/// `progress` is told how many bytes of how many are compared, from several threads.
///
/// # Errors
///
/// What keeps one of the two from being opened, as in [`Artifact::open`](crate::Artifact::open), or
/// its tensors from being read; [`Error::Tokenizer`] if its tokenizer's files cannot be.
pub fn diff(
    a: impl AsRef<Path>,
    b: impl AsRef<Path>,
    options: &OpenOptions,
    progress: impl Fn(u64, u64) + Sync,
) -> Result<Difference, Error> {
    let (a, b) = (Side::open(a.as_ref(), options)?, Side::open(b.as_ref(), options)?);
    let mut difference = Difference {
        a: a.path.clone(),
        b: b.path.clone(),
        are_models: false,
        configs: Vec::new(),
        tokenizer_files: Vec::new(),
        only_a: only(&a.weights, &b.weights),
        only_b: only(&b.weights, &a.weights),
        mismatched: Vec::new(),
        values: Vec::new(),
        same: 0,
    };
    if let (Some(a), Some(b)) = (&a.model, &b.model) {
        difference.are_models = true;
        difference.configs = a.configs(b);
        difference.tokenizer_files = file_changes(&a.tokenizer, &b.tokenizer);
    }
    let mut comparable = Vec::new();
    for spec in a.weights.specs() {
        match b.weights.info(&spec.name) {
            Some(info) if info == (TensorInfo { dtype: spec.dtype, shape: &spec.shape }) => {
                comparable.push(spec);
            }
            Some(TensorInfo { dtype, shape }) => {
                let other = TensorSpec { name: spec.name.clone(), dtype, shape: shape.to_vec() };
                difference.mismatched.push((spec, other));
            }
            None => (),
        }
    }
    difference.mismatched.sort_by(|a, b| natural_order(&a.0.name, &b.0.name));
    let n = comparable.len();
    difference.values = value_changes(&a.weights, &b.weights, comparable, progress)?;
    difference.same = n - difference.values.len();
    Ok(difference)
}

/// One of the two.
struct Side {
    path: PathBuf,
    model: Option<Model>,
    weights: Weights,
    /// Nobody replaces its files while it is looked at.
    _unchanged: Option<pretrained_fs::Recovered>,
}

/// What a directory has beside weights.
struct Model {
    config: Config,
    generation_config: Option<GenerationConfig>,
    tokenizer: TokenizerFiles,
}

impl Side {
    fn open(path: &Path, options: &OpenOptions) -> Result<Side, Error> {
        let path = cache::resolve(path)?;
        if !path.is_dir() {
            let weights = Weights::open_file(&path, options.strictness)?;
            return Ok(Side { path, model: None, weights, _unchanged: None });
        }
        let (dir, unchanged) = artifact::open_dir(&path)?;
        let config = artifact::read_config(&dir)?;
        let (weights, _) = artifact::open_weights(&dir, Some(&config), options)?;
        let generation_config = artifact::read_generation_config(&dir)?;
        let tokenizer = TokenizerFiles::read(&path)?;
        let model = Some(Model { config, generation_config, tokenizer });
        Ok(Side { path, model, weights, _unchanged: Some(unchanged) })
    }
}

impl Model {
    fn configs(&self, other: &Model) -> Vec<ConfigChange> {
        let generation = |it: &Model| it.generation_config.as_ref().map(|it| it.document().clone());
        let (mut a, mut b) = (BTreeMap::new(), BTreeMap::new());
        flatten("", self.config.document(), &mut a);
        flatten("", other.config.document(), &mut b);
        let mut changes = config_changes(CONFIG, &a, &b);
        let (mut a, mut b) = (BTreeMap::new(), BTreeMap::new());
        flatten("", &generation(self).unwrap_or_default(), &mut a);
        flatten("", &generation(other).unwrap_or_default(), &mut b);
        changes.extend(config_changes(GENERATION_CONFIG, &a, &b));
        changes
    }
}

/// The values of a document by their keys, in JSON, so that NaN is NaN and 1 is not 1.0.
fn flatten(prefix: &str, object: &Object, into: &mut BTreeMap<String, String>) {
    for (key, value) in object.iter() {
        let key = format!("{prefix}{key}");
        match value {
            Value::Object(inner) if !inner.is_empty() => flatten(&format!("{key}."), inner, into),
            value => drop(into.insert(key, value.to_string())),
        }
    }
}

fn config_changes(
    file: &'static str,
    a: &BTreeMap<String, String>,
    b: &BTreeMap<String, String>,
) -> Vec<ConfigChange> {
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let changed = keys.into_iter().filter(|it| a.get(*it) != b.get(*it));
    let change = |key: &String| ConfigChange {
        file,
        key: key.clone(),
        a: a.get(key).cloned(),
        b: b.get(key).cloned(),
    };
    changed.map(change).collect()
}

fn file_changes(a: &TokenizerFiles, b: &TokenizerFiles) -> Vec<FileChange> {
    let names: BTreeSet<&str> = a.names().chain(b.names()).collect();
    let changed = names.into_iter().filter(|it| a.get(it) != b.get(it));
    let len = |files: &TokenizerFiles, name: &str| files.get(name).map(|it| it.len() as u64);
    let change =
        |name: &str| FileChange { name: name.to_owned(), a: len(a, name), b: len(b, name) };
    changed.map(change).collect()
}

/// The tensors that the one has and the other has not.
fn only(one: &Weights, other: &Weights) -> Vec<TensorSpec> {
    let is_missing = |it: &TensorSpec| other.info(&it.name).is_none();
    let mut specs: Vec<TensorSpec> = one.specs().into_iter().filter(is_missing).collect();
    specs.sort_by(|a, b| natural_order(&a.name, &b.name));
    specs
}

/// Compares the values of tensors that both have, of one type and shape.
fn value_changes(
    a: &Weights,
    b: &Weights,
    tensors: Vec<TensorSpec>,
    progress: impl Fn(u64, u64) + Sync,
) -> Result<Vec<ValueChange>, Error> {
    let info = |it: &TensorSpec| a.info(&it.name).map_or(0, |it| it.byte_len());
    let total = tensors.iter().map(info).fold(0, u64::saturating_add);
    let done = AtomicU64::new(0);
    let compared = tensors.into_par_iter().map(|tensor| {
        let sums = values::compare(a, b, &tensor, |n| {
            let before = done.fetch_add(n, Ordering::Relaxed);
            progress(before + n, total);
        })?;
        Ok((sums.differing > 0).then(|| ValueChange::new(tensor, &sums)))
    });
    let compared: Vec<Option<ValueChange>> = compared.collect::<Result<_, Error>>()?;
    let mut changes: Vec<ValueChange> = compared.into_iter().flatten().collect();
    changes.sort_by(ValueChange::order);
    Ok(changes)
}

impl ValueChange {
    fn new(tensor: TensorSpec, sums: &values::Sums) -> ValueChange {
        let elements = TensorInfo { dtype: tensor.dtype, shape: &tensor.shape }.elements();
        let values::Sums { differing, not_numbers, max, sum } = *sums;
        let measured = elements - not_numbers;
        let has_numbers = measured > 0 && has_values(tensor.dtype);
        ValueChange {
            tensor,
            elements,
            differing,
            not_numbers,
            max_abs: has_numbers.then_some(max),
            mean_abs: has_numbers.then(|| sum / measured as f64),
        }
    }

    /// The worst first.
    fn order(&self, other: &ValueChange) -> cmp::Ordering {
        let rank = |it: &ValueChange| (it.not_numbers > 0, it.max_abs.unwrap_or(-1.0));
        let ((a_odd, a), (b_odd, b)) = (rank(self), rank(other));
        let by_size = b_odd.cmp(&a_odd).then(b.total_cmp(&a));
        by_size.then_with(|| natural_order(&self.tensor.name, &other.tensor.name))
    }
}

/// Whether elements of this type are read as numbers.
fn has_values(dtype: Dtype) -> bool {
    dtype.bits() >= 8
}
