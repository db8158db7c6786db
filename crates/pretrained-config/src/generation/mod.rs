//! `generation_config.json`: how to draw text from a model.

mod check;
mod fields;

use crate::{
    Config, Error, TRANSFORMERS_VERSION, family,
    json::{Dialect, Object, Value, parse, to_json},
};

pub use fields::{EarlyStopping, GenerationConfig};

impl GenerationConfig {
    /// Parses a document; the fields this crate knows are read as their types.
    ///
    /// # Errors
    ///
    /// [`Error::Json`] and [`Error::NotAnObject`], as for [`Config::parse`]; [`Error::Invalid`] for
    /// a field of another type. What the fields say is not looked at: see
    /// [`GenerationConfig::validate`].
    pub fn parse(json: &str) -> Result<GenerationConfig, Error> {
        match parse(json)? {
            Value::Object(document) => Self::from_document(document),
            _ => Err(Error::NotAnObject),
        }
    }

    /// The document, with the fields that were changed, as Python writes JSON: sorted, indented, in
    /// ASCII. A field that was not changed is written as it was read.
    pub fn to_json(&self) -> String {
        to_json(&self.merged(), Dialect::Plain)
    }

    /// A field of the document as it was read; of what was changed since, the struct's fields know.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.document.get(key)
    }

    /// The whole document as it was read.
    pub fn document(&self) -> &Object {
        &self.document
    }

    /// The document that transformers writes for a model with these settings: those that are set,
    /// its version, and every field that is not known.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for what [`GenerationConfig::validate`] refuses, and for a field that was
    /// set to what could not be read again, such as an empty list among lists of ids.
    pub fn for_save(&self) -> Result<GenerationConfig, Error> {
        self.validate()?;
        let mut document = self.merged();
        // What a model's configuration brought along is dropped, except for these settings.
        let is_derived = document.get("_from_model_config").is_some_and(Value::is_truthy);
        document.retain(|key, value| match KNOWN.contains(&key) {
            true => !value.is_null(),
            false => !is_derived && !DROPPED.contains(&key),
        });
        document.set("transformers_version", TRANSFORMERS_VERSION);
        if let Some(Value::Object(given)) = document.get("watermarking_config") {
            let watermark = check::watermark(given)?;
            document.set("watermarking_config", watermark);
        }
        Self::from_document(document)
    }

    /// What transformers takes for a new model of that configuration: its special tokens and
    /// whether it caches.
    ///
    /// # Errors
    ///
    /// [`Error::NoModelType`]; [`Error::Invalid`] for a field that the model's class refuses, or
    /// that is of another type than the settings have.
    pub fn from_model_config(config: &Config) -> Result<GenerationConfig, Error> {
        Self::derive(&config.fields()?, None)
    }

    /// What transformers takes for a saved model that has no `generation_config.json`: what its
    /// `config.json` says about generation, as older ones do.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a setting of another type than the settings have.
    pub fn from_config_file(config: &Config) -> Result<GenerationConfig, Error> {
        let inner = ["decoder", "generator", "text_config"].iter().find_map(|key| {
            config.get(key).and_then(Value::as_object).filter(|object| !object.is_empty())
        });
        Self::derive(config.document(), inner)
    }

    fn derive(source: &Object, inner: Option<&Object>) -> Result<GenerationConfig, Error> {
        let mut document = Object::new();
        document.set("_from_model_config", true);
        for key in KNOWN.iter().filter(|key| **key != "_from_model_config") {
            let given = |object: &Object| object.get(key).filter(|it| !it.is_null()).cloned();
            if let Some(value) = given(source).or_else(|| inner.and_then(given)) {
                document.set(*key, value);
            }
        }
        let force_bos = source.get("force_bos_token_to_be_generated").is_some_and(Value::is_truthy);
        if force_bos && let Some(bos) = document.get("bos_token_id").cloned() {
            document.set("forced_bos_token_id", bos);
        }
        let says = |key: &&str| document.get(key).is_some_and(Value::is_truthy);
        if EXTRA_OUTPUTS.iter().any(says) {
            document.set("return_dict_in_generate", true);
        }
        Self::from_document(document)
    }
}

impl Config {
    /// Every field of the model's class, as transformers has them in memory.
    fn fields(&self) -> Result<Object, Error> {
        match self.family() {
            Ok(family) => Ok(family::load(family, self.document())?.fields().clone()),
            Err(Error::UnsupportedModelType(_)) => Ok(self.document().clone()),
            Err(error) => Err(error),
        }
    }
}

/// `extra_output_flags`
const EXTRA_OUTPUTS: [&str; 4] =
    ["output_attentions", "output_hidden_states", "output_scores", "output_logits"];

/// Fields that are never written.
const DROPPED: &[&str] =
    &["compile_config", "_commit_hash", "_original_object_hash", "_mask_length"];

/// The fields of `GenerationConfig`.
const KNOWN: &[&str] = &[
    "max_length",
    "max_new_tokens",
    "min_length",
    "min_new_tokens",
    "early_stopping",
    "max_time",
    "stop_strings",
    "do_sample",
    "num_beams",
    "use_mtp",
    "use_cache",
    "cache_implementation",
    "cache_config",
    "max_cache_len",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "top_h",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "repetition_penalty",
    "encoder_repetition_penalty",
    "length_penalty",
    "no_repeat_ngram_size",
    "bad_words_ids",
    "renormalize_logits",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "remove_invalid_values",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
    "sequence_bias",
    "token_healing",
    "guidance_scale",
    "watermarking_config",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "output_logits",
    "return_dict_in_generate",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "encoder_no_repeat_ngram_size",
    "decoder_start_token_id",
    "is_assistant",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "assistant_confidence_threshold",
    "prompt_lookup_num_tokens",
    "max_matching_ngram_size",
    "assistant_early_exit",
    "assistant_lookbehind",
    "target_lookbehind",
    "assistant_ensemble_weight",
    "speculation_type",
    "disable_compile",
    "continuous_batching_config",
    "low_memory",
    "penalty_alpha",
    "dola_layers",
    "diversity_penalty",
    "num_beam_groups",
    "constraints",
    "force_words_ids",
    "prefill_chunk_size",
    "_from_model_config",
    "transformers_version",
];
