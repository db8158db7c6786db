use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use pretrained_safetensors::Dtype;

use crate::{
    Error, OpenOptions, Warning, WeightFile, Weights, artifact, cache, stream::natural_order, tied,
};

/// What is in a model directory, or in a single file of weights. Data only; printing it is
/// somebody else's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What was looked at.
    pub path: PathBuf,
    /// What the config says, for a directory.
    pub model: Option<ModelSummary>,
    /// The files that hold the weights, sorted by name.
    pub files: Vec<FileSummary>,
    /// The tensors, by name: `layers.2` before `layers.10`.
    pub tensors: Vec<TensorSummary>,
    /// Groups of names that stand for one tensor. The first of each is the source.
    pub tied: Vec<Vec<String>>,
    /// Number of parameters. A tensor under several names counts once.
    pub parameters: u64,
    /// Per element type, what there is of it.
    pub dtypes: BTreeMap<Dtype, DtypeSummary>,
    /// What is odd.
    pub warnings: Vec<Warning>,
}

/// What a model's config says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSummary {
    /// The family, such as `llama`.
    pub model_type: Option<String>,
    /// The class that saved it, such as `LlamaForCausalLM`.
    pub architectures: Vec<String>,
    /// The element type it says it has.
    pub dtype: Option<String>,
}

/// One file of weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSummary {
    /// Its name.
    pub name: String,
    /// Its format.
    pub format: Format,
    /// Bytes of the file.
    pub bytes: u64,
    /// Number of tensors in it.
    pub tensors: usize,
    /// The free-form metadata of a safetensors file.
    pub metadata: BTreeMap<String, String>,
}

/// How a file holds tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A safetensors file.
    Safetensors,
    /// A file that PyTorch pickled.
    Pickle,
}

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSummary {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Bytes it takes.
    pub bytes: u64,
    /// The name of the file that it is in.
    pub file: String,
}

/// All tensors of one element type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DtypeSummary {
    /// Number of tensors.
    pub tensors: usize,
    /// Number of elements.
    pub elements: u64,
    /// Bytes they take.
    pub bytes: u64,
}

/// Looks at a model directory or at a single file, without reading tensors.
///
/// # Errors
///
/// What keeps a directory from being opened, as in [`Artifact::open`](crate::Artifact::open). Of a
/// single file: [`Error::Safetensors`] or [`Error::Pickle`] if it holds no weights that can be
/// read, [`Error::Refused`] if it is empty or JSON, [`Error::Foreign`] if it is no regular file,
/// [`Error::Io`] if it cannot be read.
pub fn inspect(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Inspection, Error> {
    let path = cache::resolve(path.as_ref())?;
    if !path.is_dir() {
        let weights = Weights::open_file(&path, options.strictness)?;
        return Ok(Inspection::new(&path, None, &weights, tied::groups(&weights, None)));
    }
    let (dir, _unchanged) = artifact::open_dir(&path)?;
    let config = artifact::read_config(&dir)?;
    let (weights, warnings) = artifact::open_weights(&dir, Some(&config), options)?;
    let text = |key: &str| config.get(key).and_then(|it| it.as_str()).map(str::to_owned);
    let architectures = config.get("architectures").and_then(|it| it.as_array());
    let architectures = architectures.into_iter().flatten().filter_map(|it| it.as_str());
    let model = ModelSummary {
        model_type: text("model_type"),
        architectures: architectures.map(str::to_owned).collect(),
        dtype: text("dtype").or_else(|| text("torch_dtype")),
    };
    let tied = tied::groups(&weights, Some(&config));
    Ok(Inspection { warnings, ..Inspection::new(&path, Some(model), &weights, tied) })
}

impl Inspection {
    fn new(
        path: &Path,
        model: Option<ModelSummary>,
        weights: &Weights,
        tied: Vec<Vec<String>>,
    ) -> Inspection {
        let repeated: BTreeSet<&str> =
            tied.iter().flat_map(|it| it.iter().skip(1)).map(String::as_str).collect();
        let mut parameters: u64 = 0;
        let files = weights.files().iter().map(FileSummary::new).collect();
        let mut tensors: Vec<TensorSummary> = Vec::with_capacity(weights.len());
        let mut dtypes: BTreeMap<Dtype, DtypeSummary> = BTreeMap::new();
        for name in weights.names() {
            let (Some(info), Some(file)) = (weights.info(name), weights.file_of(name)) else {
                continue;
            };
            let bytes = info.byte_len();
            if !repeated.contains(name) {
                parameters = parameters.saturating_add(info.elements());
            }
            let sum = dtypes.entry(info.dtype).or_default();
            sum.tensors += 1;
            sum.elements = sum.elements.saturating_add(info.elements());
            sum.bytes = sum.bytes.saturating_add(bytes);
            tensors.push(TensorSummary {
                name: name.to_owned(),
                dtype: info.dtype,
                shape: info.shape.to_vec(),
                bytes,
                file: file.name().to_owned(),
            });
        }
        tensors.sort_by(|a, b| natural_order(&a.name, &b.name));
        let (path, warnings) = (path.to_owned(), Vec::new());
        Inspection { path, model, files, tensors, tied, parameters, dtypes, warnings }
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.dtypes.values().fold(0, |sum, it| sum.saturating_add(it.bytes))
    }
}

impl FileSummary {
    fn new(file: &WeightFile) -> FileSummary {
        FileSummary {
            name: file.name().to_owned(),
            format: file.format(),
            bytes: file.bytes(),
            tensors: file.names().count(),
            metadata: file.metadata(),
        }
    }
}
