use std::path::{Path, PathBuf};

use pretrained_config::{Config, GenerationConfig};
use pretrained_fs::Recovered;
use pretrained_safetensors::Strictness;

use crate::{
    CONFIG, Error, GENERATION_CONFIG, MODEL, Missing, PICKLE, Warning, Weights, cache,
    dir::ModelDir,
    error::Failures,
    files::{self, WeightFiles},
};

/// A model directory, opened for reading.
#[derive(Debug)]
pub struct Artifact {
    dir: PathBuf,
    config: Config,
    generation_config: Option<GenerationConfig>,
    weights: Weights,
    warnings: Vec<Warning>,
}

/// What to open in a directory, and how strictly. The default is what transformers would open.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// `fp16` opens `model.fp16.safetensors`. A variant never falls back to the plain name.
    pub variant: Option<String>,
    /// Whether to read files that break the safetensors format in ways the reference lets pass.
    pub strictness: Strictness,
}

impl Artifact {
    /// Opens a model directory, or a name on the hub that is in the Hugging Face cache (see
    /// [`resolve`](crate::resolve)). Reads the config and the headers of the weights.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if there is no such directory, no config in it, no weights, or not all
    /// shards; [`Error::Config`], [`Error::Safetensors`] or [`Error::Pickle`] if a file is not what its
    /// name says; [`Error::Index`] if index and shards disagree; [`Error::Foreign`] or
    /// [`Error::Refused`] if a file is not opened at all, as a link out of the directory; [`Error::Io`]
    /// if one cannot be read, or if the save that a crash left cannot be finished.
    pub fn open(path: impl AsRef<Path>) -> Result<Artifact, Error> {
        Artifact::open_with(path, &OpenOptions::default())
    }

    /// As [`open`](Artifact::open), with options.
    ///
    /// # Errors
    ///
    /// As [`open`](Artifact::open). Weights of another variant are none: [`Error::Missing`].
    pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Artifact, Error> {
        let (dir, _unchanged) = open_dir(path.as_ref())?;
        let config = read_config(&dir)?;
        let (weights, warnings) = open_weights(&dir, Some(&config), options)?;
        let generation_config = read_generation_config(&dir)?;
        let dir = dir.path().to_owned();
        Ok(Artifact { dir, config, generation_config, weights, warnings })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How the model generates by default, where `generation_config.json` says so.
    pub fn generation_config(&self) -> Option<&GenerationConfig> {
        self.generation_config.as_ref()
    }

    /// The model's tensors.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// What is odd about the directory, and does not keep the model from being loaded.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// Reads a model's configuration alone: weights need not be there.
#[derive(Debug)]
pub enum AutoConfig {}

impl AutoConfig {
    /// Reads `config.json` of a model directory, or of a name on the hub that is in the cache.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if there is no such directory or no `config.json` in it;
    /// [`Error::Config`] if that is no configuration; [`Error::Foreign`] if it is not opened, as a
    /// link out of the directory; [`Error::Io`] if it cannot be read.
    pub fn from_pretrained(path: impl AsRef<Path>) -> Result<Config, Error> {
        let (dir, _unchanged) = open_dir(path.as_ref())?;
        read_config(&dir)
    }
}

/// Opens a directory, after finishing the save that a crash may have left in it. Nobody replaces
/// its files until the second half of the answer is dropped.
pub(crate) fn open_dir(path: &Path) -> Result<(ModelDir, Recovered), Error> {
    let path = cache::resolve(path)?;
    let recovered = pretrained_fs::recover(&path)?;
    Ok((ModelDir::new(&path)?, recovered))
}

pub(crate) fn read_config(dir: &ModelDir) -> Result<Config, Error> {
    let missing = Missing::Config;
    let json = dir.read_to_string(CONFIG, CONFIG_LIMIT)?;
    let json = json.ok_or_else(|| Error::Missing { path: dir.path().to_owned(), missing })?;
    let path = dir.path().join(CONFIG);
    Config::parse(&json).map_err(|source| Error::Config { path, source })
}

/// A small file as it is, under its name.
pub(crate) fn read_text(dir: &ModelDir, name: &str) -> Result<Option<(String, Vec<u8>)>, Error> {
    let text = dir.read_to_string(name, CONFIG_LIMIT)?;
    Ok(text.map(|it| (name.to_owned(), it.into_bytes())))
}

pub(crate) fn read_generation_config(dir: &ModelDir) -> Result<Option<GenerationConfig>, Error> {
    let Some(json) = dir.read_to_string(GENERATION_CONFIG, CONFIG_LIMIT)? else { return Ok(None) };
    let path = dir.path().join(GENERATION_CONFIG);
    let config = GenerationConfig::parse(&json);
    config.map(Some).map_err(|source| Error::Config { path, source })
}

pub(crate) fn open_weights(
    dir: &ModelDir,
    config: Option<&Config>,
    options: &OpenOptions,
) -> Result<(Weights, Vec<Warning>), Failures> {
    let names = dir.names()?;
    let variant = options.variant.as_deref();
    let named = config.and_then(|it| it.get(WEIGHTS_NAME)?.as_str());
    let found = match named {
        Some(name) => WeightFiles::named(name),
        None => WeightFiles::find(&names, variant),
    };
    let found = found.ok_or_else(|| {
        let expected = match named {
            Some(name) => name.to_owned(),
            None => [MODEL, PICKLE].map(|it| files::with_variant(it, variant)).join(", no "),
        };
        Error::Missing { path: dir.path().to_owned(), missing: Missing::Weights { expected } }
    })?;
    let (weights, mut warnings) = Weights::open(dir, &found, options.strictness)?;

    let mut used = vec![found.name().to_owned()];
    used.extend(weights.files().iter().map(|it| it.name().to_owned()));
    for file in files::leftovers(&names, variant, &used) {
        warnings.push(Warning::NotRead { file, instead: found.name().to_owned() });
    }
    Ok((weights, warnings))
}

/// The field of a config that names the weights, where they have another name than usual. It is
/// never saved, as the names are the usual ones then.
pub(crate) const WEIGHTS_NAME: &str = "transformers_weights";

/// A `config.json` with 100,000 labels has about 6 MB.
const CONFIG_LIMIT: u64 = 64 << 20;
