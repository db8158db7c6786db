//! What differs between two models.

mod numbers;
mod values;

use std::{
    cmp,
    collections::{BTreeMap, BTreeSet},
    mem,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use pretrained_config::{Config, GenerationConfig, Object, Value};
use pretrained_safetensors::{Dtype, TensorSpec};
use pretrained_tokenizer::TokenizerFiles;
use rayon::prelude::*;

use crate::{
    CONFIG, Error, GENERATION_CONFIG, OpenOptions, TensorInfo, Warning, Weights, artifact, cache,
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
    /// Tensors of another shape, or of two element types that are not compared as numbers, as in `a`
    /// and as in `b`, by name.
    pub mismatched: Vec<(TensorSpec, TensorSpec)>,
    /// Tensors of the same shape and of two element types, compared as numbers: those first that are
    /// not equal however they are converted, then those that are not equal as they are, each by falling
    /// [`DtypeChange::max_abs`].
    pub dtypes: Vec<DtypeChange>,
    /// Tensors with other values: those first where something is not a number on one side, then by
    /// falling [`ValueChange::max_abs`].
    pub values: Vec<ValueChange>,
    /// How many tensors are the same, bit for bit.
    pub same: usize,
    /// What is odd about the files of `a`.
    pub warnings_a: Vec<Warning>,
    /// What is odd about the files of `b`.
    pub warnings_b: Vec<Warning>,
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

/// A tensor of the same shape and of two element types, compared number by number.
#[derive(Debug, Clone, PartialEq)]
pub struct DtypeChange {
    /// The tensor, as it is in `a`.
    pub tensor: TensorSpec,
    /// Its element type in `b`.
    pub dtype_b: Dtype,
    /// How many elements it has.
    pub elements: u64,
    /// How many are other numbers. `0.0` and `-0.0` are the same, and so are NaN and NaN.
    pub differing: u64,
    /// How many of these have no difference, as one of the two is NaN.
    pub not_numbers: u64,
    /// The largest difference between two numbers. `None` if there are none.
    pub max_abs: Option<f64>,
    /// The mean difference of all elements that have one, the equal ones included.
    pub mean_abs: Option<f64>,
    /// How many are other numbers once those of `b` are converted to the type of `a`, as
    /// [`convert`](crate::convert) does it. `None` if there is no such conversion.
    pub differing_as_a: Option<u64>,
    /// How many are other numbers once those of `a` are converted to the type of `b`.
    pub differing_as_b: Option<u64>,
}

impl Difference {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.configs.is_empty()
            && self.tokenizer_files.is_empty()
            && self.only_a.is_empty()
            && self.only_b.is_empty()
            && self.mismatched.is_empty()
            && self.dtypes.is_empty()
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
    let (mut a, mut b) = (Side::open(a.as_ref(), options)?, Side::open(b.as_ref(), options)?);
    let mut difference = Difference {
        a: a.path.clone(),
        b: b.path.clone(),
        are_models: false,
        configs: Vec::new(),
        tokenizer_files: Vec::new(),
        only_a: only(&a.weights, &b.weights),
        only_b: only(&b.weights, &a.weights),
        mismatched: Vec::new(),
        dtypes: Vec::new(),
        values: Vec::new(),
        same: 0,
        warnings_a: mem::take(&mut a.warnings),
        warnings_b: mem::take(&mut b.warnings),
    };
    if let (Some(a), Some(b)) = (&a.model, &b.model) {
        difference.are_models = true;
        difference.configs = a.configs(b);
        difference.tokenizer_files = file_changes(&a.tokenizer, &b.tokenizer);
    }
    let (mut comparable, mut convertible) = (Vec::new(), Vec::new());
    for spec in a.weights.specs() {
        match b.weights.info(&spec.name) {
            Some(info) if info == (TensorInfo { dtype: spec.dtype, shape: &spec.shape }) => {
                comparable.push(spec);
            }
            Some(TensorInfo { dtype, shape })
                if shape == spec.shape
                    && [dtype, spec.dtype].iter().all(|it| numbers::are(*it)) =>
            {
                convertible.push((spec, dtype));
            }
            Some(TensorInfo { dtype, shape }) => {
                let other = TensorSpec { name: spec.name.clone(), dtype, shape: shape.to_vec() };
                difference.mismatched.push((spec, other));
            }
            None => (),
        }
    }
    difference.mismatched.sort_by(|a, b| natural_order(&a.0.name, &b.0.name));
    let read = comparable.iter().chain(convertible.iter().map(|it| &it.0));
    let total = read.map(|it| info(it).byte_len()).fold(0, u64::saturating_add);
    let done = AtomicU64::new(0);
    let progress = |n: u64| progress(done.fetch_add(n, Ordering::Relaxed) + n, total);
    let n = comparable.len();
    difference.values = value_changes(&a.weights, &b.weights, comparable, progress)?;
    difference.same = n - difference.values.len();
    difference.dtypes = dtype_changes(&a.weights, &b.weights, convertible, progress)?;
    Ok(difference)
}

/// One of the two.
struct Side {
    path: PathBuf,
    model: Option<Model>,
    weights: Weights,
    warnings: Vec<Warning>,
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
            let warnings = weights.odd();
            return Ok(Side { path, model: None, weights, warnings, _unchanged: None });
        }
        let (dir, unchanged) = artifact::open_dir(&path)?;
        let config = artifact::read_config(&dir)?;
        let (weights, warnings) = artifact::open_weights(&dir, Some(&config), options)?;
        let generation_config = artifact::read_generation_config(&dir)?;
        let tokenizer = TokenizerFiles::read(&path)?;
        let model = Some(Model { config, generation_config, tokenizer });
        Ok(Side { path, model, weights, warnings, _unchanged: Some(unchanged) })
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
    progress: impl Fn(u64) + Sync,
) -> Result<Vec<ValueChange>, Error> {
    let compared = tensors.into_par_iter().map(|tensor| {
        let sums = values::compare(a, b, &tensor, &progress)?;
        Ok((sums.differing > 0).then(|| ValueChange::new(tensor, &sums)))
    });
    let compared: Vec<Option<ValueChange>> = compared.collect::<Result<_, Error>>()?;
    let mut changes: Vec<ValueChange> = compared.into_iter().flatten().collect();
    changes.sort_by(ValueChange::order);
    Ok(changes)
}

/// Compares the numbers of tensors that both have, of one shape and of two types.
fn dtype_changes(
    a: &Weights,
    b: &Weights,
    tensors: Vec<(TensorSpec, Dtype)>,
    progress: impl Fn(u64) + Sync,
) -> Result<Vec<DtypeChange>, Error> {
    let compared = tensors.into_par_iter().map(|(tensor, dtype_b)| {
        let found = numbers::compare(a, b, &tensor, dtype_b, &progress)?;
        Ok(DtypeChange::new(tensor, dtype_b, &found))
    });
    let mut changes: Vec<DtypeChange> = compared.collect::<Result<_, Error>>()?;
    changes.sort_by(DtypeChange::order);
    Ok(changes)
}

fn info(tensor: &TensorSpec) -> TensorInfo<'_> {
    TensorInfo { dtype: tensor.dtype, shape: &tensor.shape }
}

impl ValueChange {
    fn new(tensor: TensorSpec, sums: &values::Sums) -> ValueChange {
        let elements = info(&tensor).elements();
        let has_numbers = has_values(tensor.dtype);
        let (max_abs, mean_abs) =
            if has_numbers { sums.max_and_mean(elements) } else { (None, None) };
        let values::Sums { differing, not_numbers, .. } = *sums;
        ValueChange { tensor, elements, differing, not_numbers, max_abs, mean_abs }
    }

    /// The worst first.
    fn order(&self, other: &ValueChange) -> cmp::Ordering {
        let worst = by_size((self.not_numbers, self.max_abs), (other.not_numbers, other.max_abs));
        worst.then_with(|| natural_order(&self.tensor.name, &other.tensor.name))
    }
}

impl DtypeChange {
    /// Whether all elements are the same numbers, once either side is converted to the type of the
    /// other.
    pub fn is_equal_converted(&self) -> bool {
        self.differing == 0 || [self.differing_as_a, self.differing_as_b].contains(&Some(0))
    }

    fn new(tensor: TensorSpec, dtype_b: Dtype, found: &numbers::Compared) -> DtypeChange {
        let elements = info(&tensor).elements();
        let (max_abs, mean_abs) = found.sums.max_and_mean(elements);
        DtypeChange {
            tensor,
            dtype_b,
            elements,
            differing: found.sums.differing,
            not_numbers: found.sums.not_numbers,
            max_abs,
            mean_abs,
            differing_as_a: found.as_a,
            differing_as_b: found.as_b,
        }
    }

    /// The worst first.
    fn order(&self, other: &DtypeChange) -> cmp::Ordering {
        let equal = |it: &DtypeChange| (it.is_equal_converted(), it.differing == 0);
        let worst = by_size((self.not_numbers, self.max_abs), (other.not_numbers, other.max_abs));
        let worst = equal(self).cmp(&equal(other)).then(worst);
        worst.then_with(|| natural_order(&self.tensor.name, &other.tensor.name))
    }
}

/// Those that are not numbers on one side first, then by falling difference.
fn by_size(a: (u64, Option<f64>), b: (u64, Option<f64>)) -> cmp::Ordering {
    let rank = |(not_numbers, max): (u64, Option<f64>)| (not_numbers > 0, max.unwrap_or(-1.0));
    let ((a_odd, a), (b_odd, b)) = (rank(a), rank(b));
    b_odd.cmp(&a_odd).then(b.total_cmp(&a))
}

/// Whether elements of this type are read as numbers.
fn has_values(dtype: Dtype) -> bool {
    dtype.bits() >= 8
}
