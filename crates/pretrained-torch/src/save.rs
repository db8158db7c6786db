//! Writes a model's parameters, and any other tensors by name.

use std::{borrow::Cow, collections::BTreeMap, io, path::Path, sync::Mutex};

use pretrained_artifact::{Contents, SaveOptions};
use pretrained_config::GenerationConfig;
use pretrained_safetensors::TensorSpec;
use pretrained_tokenizer::TokenizerFiles;
use tch::{Device, Tensor};

use crate::{AutoModelForCausalLM, Error, ParamMap, kinds};

impl AutoModelForCausalLM {
    /// Saves the model into a directory that transformers, and
    /// [`from_pretrained`](AutoModelForCausalLM::from_pretrained), can load.
    pub fn save_pretrained(&self, dir: impl AsRef<Path>) -> Result<(), Error> {
        self.save_pretrained_with(dir, &SaveOptions::default())
    }

    /// Saves the model as told: in shards of at most so many bytes, or as a variant.
    pub fn save_pretrained_with(
        &self,
        dir: impl AsRef<Path>,
        options: &SaveOptions,
    ) -> Result<(), Error> {
        self.with_contents(None, |contents, bytes| {
            pretrained_artifact::save(dir, contents, |spec| bytes.of(spec), options)
        })
    }

    /// Writes the model's files into a directory that somebody else stages and publishes.
    pub(crate) fn write_into(
        &self,
        dir: &Path,
        tokenizer: Option<&TokenizerFiles>,
    ) -> Result<(), Error> {
        self.with_contents(tokenizer, |contents, bytes| {
            let options = SaveOptions::default();
            pretrained_artifact::write_into(dir, contents, |spec| bytes.of(spec), &options)
        })
    }

    fn with_contents(
        &self,
        tokenizer: Option<&TokenizerFiles>,
        save: impl FnOnce(&Contents<'_>, &Bytes<'_>) -> Result<(), pretrained_artifact::Error>,
    ) -> Result<(), Error> {
        let class = self.config().causal_lm_class()?;
        let config = self.config().for_save(&[class], kinds::name(self.kind())?)?;
        let generation_config = match self.generation_config() {
            Some(it) => it.for_save()?,
            None => GenerationConfig::from_model_config(self.config())?.for_save()?,
        };
        let contents = Contents {
            config: &config,
            generation_config: Some(&generation_config),
            tensors: specs(self.params(), self.param_names())?,
            tokenizer,
            total_parameters: Some(self.num_parameters()),
        };
        Ok(save(&contents, &Bytes::new(self.params()))?)
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
