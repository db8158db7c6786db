//! Writes a model's parameters, and any other tensors by name.

use std::{borrow::Cow, collections::BTreeMap, io, path::Path, sync::Mutex};

use pretrained_artifact::{Contents, SaveOptions, Unchanged};
use pretrained_config::{Config, GenerationConfig};
use pretrained_safetensors::TensorSpec;
use pretrained_tokenizer::TokenizerFiles;
use tch::{Device, Tensor};

use crate::{AutoModel, AutoModelForCausalLM, Error, ParamMap, kinds};

impl AutoModelForCausalLM {
    /// Saves the model into a directory that transformers, and
    /// [`from_pretrained`](AutoModelForCausalLM::from_pretrained), can load.
    ///
    /// # Errors
    ///
    /// [`Error::Artifact`] if the directory cannot be written; [`Error::Config`] if the configuration,
    /// or how the model generates, is nothing that transformers would save; [`Error::Kind`] if the
    /// parameters are of no floating-point type that has a name there.
    pub fn save_pretrained(&self, dir: impl AsRef<Path>) -> Result<(), Error> {
        self.save_pretrained_with(dir, &SaveOptions::default())
    }

    /// Saves the model as told: in shards of at most so many bytes, or as a variant.
    ///
    /// # Errors
    ///
    /// As [`save_pretrained`](AutoModelForCausalLM::save_pretrained); [`Error::Artifact`] also if the
    /// variant makes no plain file name.
    pub fn save_pretrained_with(
        &self,
        dir: impl AsRef<Path>,
        options: &SaveOptions,
    ) -> Result<(), Error> {
        let (files, bytes) = (ModelFiles::new(self, None)?, Bytes::new(self.params()));
        let contents = files.contents(self.params())?;
        Ok(pretrained_artifact::save(dir, &contents, |spec| bytes.of(spec), options)?)
    }
}

impl AutoModel {
    /// Saves the model into a directory that transformers' `AutoModel`, and
    /// [`from_pretrained`](AutoModel::from_pretrained), can load. Without the head that the weights
    /// may have had.
    ///
    /// # Errors
    ///
    /// [`Error::Artifact`] if the directory cannot be written; [`Error::Config`] if the configuration
    /// is nothing that transformers would save; [`Error::Kind`] if the parameters are of no
    /// floating-point type that has a name there.
    pub fn save_pretrained(&self, dir: impl AsRef<Path>) -> Result<(), Error> {
        self.save_pretrained_with(dir, &SaveOptions::default())
    }

    /// Saves the model as told: in shards of at most so many bytes, or as a variant.
    ///
    /// # Errors
    ///
    /// As [`save_pretrained`](AutoModel::save_pretrained); [`Error::Artifact`] also if the variant
    /// makes no plain file name.
    pub fn save_pretrained_with(
        &self,
        dir: impl AsRef<Path>,
        options: &SaveOptions,
    ) -> Result<(), Error> {
        let contents = Contents {
            config: &self.config().for_save(&[CLASS], kinds::name(self.kind())?)?,
            generation_config: None,
            tensors: specs(self.params(), self.param_names())?,
            tokenizer: None,
            total_parameters: Some(self.num_parameters()),
        };
        let bytes = Bytes::new(self.params());
        Ok(pretrained_artifact::save(dir, &contents, |spec| bytes.of(spec), options)?)
    }
}

/// What transformers' class of [`AutoModel`]'s networks is called.
const CLASS: &str = "BertModel";

/// What is saved with a model's parameters.
#[derive(Debug, Clone)]
pub(crate) struct ModelFiles {
    config: Config,
    generation_config: GenerationConfig,
    tokenizer: Option<TokenizerFiles>,
    /// The parameters' names, in the order that decides which shard they go to.
    order: Vec<String>,
    num_parameters: u64,
}

impl ModelFiles {
    pub(crate) fn new(
        model: &AutoModelForCausalLM,
        tokenizer: Option<&TokenizerFiles>,
    ) -> Result<ModelFiles, Error> {
        let class = model.config().causal_lm_class()?;
        let config = model.config().for_save(&[class], kinds::name(model.kind())?)?;
        let generation_config = match model.generation_config() {
            Some(it) => it.for_save()?,
            None => GenerationConfig::from_model_config(model.config())?.for_save()?,
        };
        let (tokenizer, order) = (tokenizer.cloned(), model.param_names().to_vec());
        let num_parameters = model.num_parameters();
        Ok(ModelFiles { config, generation_config, tokenizer, order, num_parameters })
    }

    /// Writes the model's files into a directory that somebody else stages and publishes, but for what is as
    /// it was in the last.
    pub(crate) fn write_into(
        &self,
        dir: &Path,
        params: &ParamMap,
        unchanged: &mut Unchanged,
    ) -> Result<(), Error> {
        let (contents, bytes) = (self.contents(params)?, Bytes::new(params));
        let (options, data) = (SaveOptions::default(), |spec: &_| bytes.of(spec));
        Ok(pretrained_artifact::write_changed_into(dir, &contents, data, &options, unchanged)?)
    }

    fn contents(&self, params: &ParamMap) -> Result<Contents<'_>, Error> {
        Ok(Contents {
            config: &self.config,
            generation_config: Some(&self.generation_config),
            tensors: specs(params, &self.order)?,
            tokenizer: self.tokenizer.as_ref(),
            total_parameters: Some(self.num_parameters),
        })
    }
}

/// Tensors as bytes, for several threads.
pub(crate) struct Bytes<'a> {
    /// Tensors in host memory, which are borrowed.
    host: BTreeMap<&'a str, &'a [u8]>,
    /// The others, which are copied when they are asked for.
    elsewhere: Mutex<BTreeMap<&'a str, Tensor>>,
}

impl<'a> Bytes<'a> {
    /// While this lives, nobody may write to the tensors; so say the borrows of those who call.
    pub(crate) fn new(tensors: &'a ParamMap) -> Bytes<'a> {
        let in_host = |it: &Tensor| it.device() == Device::Cpu && it.is_contiguous();
        let (host, elsewhere): (Vec<_>, Vec<_>) =
            tensors.iter().partition(|(_, tensor)| in_host(tensor));
        let host = host.into_iter().map(|(name, tensor)| (name.as_str(), borrow(tensor)));
        let elsewhere = elsewhere.into_iter().map(|(name, it)| (name.as_str(), it.shallow_clone()));
        Bytes { host: host.collect(), elsewhere: Mutex::new(elsewhere.collect()) }
    }

    pub(crate) fn of(&self, spec: &TensorSpec) -> io::Result<Cow<'a, [u8]>> {
        if let Some(bytes) = self.host.get(spec.name.as_str()) {
            return Ok(Cow::Borrowed(bytes));
        }
        let elsewhere = self.elsewhere.lock().map_err(|e| io::Error::other(e.to_string()))?;
        let tensor = elsewhere.get(spec.name.as_str());
        let tensor = tensor.ok_or_else(|| io::Error::other(format!("no tensor {}", spec.name)))?;
        Ok(Cow::Owned(kinds::to_bytes(tensor).map_err(io::Error::other)?))
    }
}

/// What a file says about these tensors, in this order.
pub(crate) fn specs(tensors: &ParamMap, order: &[String]) -> Result<Vec<TensorSpec>, Error> {
    let spec = |name: &String| {
        let tensor = tensors.get(name).ok_or_else(|| Error::NotPlanned(name.clone()))?;
        let shape = tensor.size().iter().map(|&it| it as usize).collect();
        Ok(TensorSpec { name: name.clone(), dtype: kinds::dtype(tensor.kind())?, shape })
    };
    order.iter().map(spec).collect()
}

/// The elements of a contiguous tensor in host memory.
#[allow(unsafe_code)]
fn borrow(tensor: &Tensor) -> &[u8] {
    let len = tensor.numel() * tensor.kind().elt_size_in_bytes();
    if len == 0 {
        return &[];
    }
    // SAFETY: A contiguous CPU tensor has `len` initialized bytes from its data pointer on, and
    // keeps them while it is borrowed. Whoever trains it does so through the task that is saving.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<u8>(), len) }
}
