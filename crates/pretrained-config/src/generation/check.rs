//! Settings that contradict each other, as `GenerationConfig.validate` finds them.

use super::{EarlyStopping, GenerationConfig};
use crate::{
    Error,
    json::{self, Object, Value},
};

impl GenerationConfig {
    /// Refuses what transformers refuses whenever it reads such a document.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for the first of them: a value out of its range, settings that contradict
    /// each other, arguments of `generate` that are no settings.
    pub fn validate(&self) -> Result<(), Error> {
        if self.max_new_tokens.is_some_and(|it| it <= 0) {
            return Err(invalid("max_new_tokens", "must be over 0"));
        }
        let given = |key| self.document.get(key).filter(|it| !it.is_null());
        let is_cache = |name: &Value| name.as_str().is_some_and(|it| CACHES.contains(&it));
        if let Some(name) = given("cache_implementation").filter(|it| !is_cache(it)) {
            let known = CACHES.join(", ");
            let reason = format!("must be one of {known}, got {}", json::to_line(name));
            return Err(invalid("cache_implementation", reason));
        }
        if given("assistant_ensemble_weight")
            .is_some_and(|it| !it.as_f64().is_some_and(|it| it > 0.0 && it < 1.0))
        {
            return Err(invalid("assistant_ensemble_weight", "must be between 0 and 1"));
        }
        match given("watermarking_config") {
            Some(Value::Object(given)) => drop(watermark(given)?),
            Some(_) => return Err(invalid("watermarking_config", "must be an object")),
            None => {}
        }
        if given("suppress_tokens").is_some_and(|it| it.as_array().is_none()) {
            return Err(invalid("suppress_tokens", "must be a list of token ids"));
        }
        if given("compile_config").is_some() {
            return Err(invalid("compile_config", "is Python's alone: remove it"));
        }
        let (beams, texts) = (self.num_beams.unwrap_or(1), self.num_return_sequences.unwrap_or(1));
        if texts > 1 && beams == 1 && self.do_sample != Some(true) {
            let reason =
                format!("is {texts}, but without do_sample and num_beams there is one text");
            return Err(invalid("num_return_sequences", reason));
        }
        if texts > 1 && beams != 1 && texts > beams {
            return Err(invalid(
                "num_return_sequences",
                format!("is {texts}, over num_beams ({beams})"),
            ));
        }
        let forced = [
            ("forced_bos_token_id", Vec::from_iter(self.forced_bos_token_id)),
            ("forced_eos_token_id", self.forced_eos_token_id.clone()),
        ];
        for (field, ids) in forced {
            if !ids.is_empty() && ids.iter().all(|id| self.suppress_tokens.contains(id)) {
                return Err(invalid(field, "is in suppress_tokens as a whole"));
            }
        }
        // What a model's configuration brought along is dropped anyway.
        let is_derived = self.document.get("_from_model_config").is_some_and(Value::is_truthy);
        match ARGUMENTS.iter().find(|key| !is_derived && self.document.contains(key)) {
            Some(key) => Err(invalid(key, "is an argument of generate, not a setting: remove it")),
            None => Ok(()),
        }
    }

    /// Settings that have no effect beside the others: the fields and why. transformers refuses to
    /// save them unless they came from a file.
    pub fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        let sampling = "has no effect without do_sample";
        let beams = "has no effect without num_beams over 1";
        let is_greedy = self.do_sample != Some(true);
        let is_single = self.num_beams.unwrap_or(1) == 1;
        let differs = |value: Option<f64>, default: f64| value.is_some_and(|it| it != default);
        let returned = "has no effect without return_dict_in_generate";
        let is_plain = self.return_dict_in_generate != Some(true);
        let is_negative = |key| self.get(key).and_then(Value::as_i64).is_some_and(|it| it < 0);
        let stops = self.early_stopping.is_some_and(|it| it != EarlyStopping::Guess);
        let is_uncached = self.use_cache == Some(false);
        let uncached = "has no effect without use_cache";
        let has = |key| self.get(key).is_some_and(|it| !it.is_null());
        let all = [
            (
                self.pad_token_id.is_none() && is_negative("pad_token_id"),
                "pad_token_id",
                "is negative",
            ),
            (is_greedy && differs(self.temperature, 1.0), "temperature", sampling),
            (is_greedy && differs(self.top_p, 1.0), "top_p", sampling),
            (is_greedy && self.min_p.is_some(), "min_p", sampling),
            (is_greedy && self.top_h.is_some(), "top_h", sampling),
            (is_greedy && differs(self.typical_p, 1.0), "typical_p", sampling),
            (is_greedy && self.top_k.is_some_and(|it| it != 50), "top_k", sampling),
            (is_greedy && differs(self.epsilon_cutoff, 0.0), "epsilon_cutoff", sampling),
            (is_greedy && differs(self.eta_cutoff, 0.0), "eta_cutoff", sampling),
            (is_single && stops, "early_stopping", beams),
            (is_single && differs(self.length_penalty, 1.0), "length_penalty", beams),
            (is_uncached && has("cache_implementation"), "cache_implementation", uncached),
            (is_uncached && has("cache_config"), "cache_config", uncached),
            (is_plain && self.output_attentions == Some(true), "output_attentions", returned),
            (is_plain && self.output_hidden_states == Some(true), "output_hidden_states", returned),
            (is_plain && self.output_scores == Some(true), "output_scores", returned),
            (is_plain && self.output_logits == Some(true), "output_logits", returned),
        ];
        all.into_iter().filter(|it| it.0).map(|(_, field, reason)| (field, reason)).collect()
    }
}

/// `WatermarkingConfig`: its five fields, absent ones at their defaults.
pub(super) fn watermark(given: &Object) -> Result<Object, Error> {
    let mut watermark = Object::new();
    watermark.set("greenlist_ratio", 0.25);
    watermark.set("bias", 2.0);
    watermark.set("hashing_key", 15_485_863);
    watermark.set("seeding_scheme", "lefthash");
    watermark.set("context_width", 1);
    for (key, value) in given.iter() {
        if !watermark.contains(key) {
            return Err(invalid("watermarking_config", format!("has no field `{key}`")));
        }
        watermark.set(key, value.clone());
    }
    let number = |key| watermark.get(key).and_then(Value::as_f64);
    let scheme = watermark.get("seeding_scheme").and_then(Value::as_str);
    if !matches!(scheme, Some("selfhash" | "lefthash")) {
        return Err(invalid("watermarking_config.seeding_scheme", "must be selfhash or lefthash"));
    }
    if !number("greenlist_ratio").is_some_and(|it| (0.0..=1.0).contains(&it)) {
        return Err(invalid("watermarking_config.greenlist_ratio", "must be a number from 0 to 1"));
    }
    if !number("context_width").is_some_and(|it| it >= 1.0) {
        return Err(invalid("watermarking_config.context_width", "must be at least 1"));
    }
    Ok(watermark)
}

fn invalid(field: &str, reason: impl Into<String>) -> Error {
    Error::Invalid {
        model_type: "generation_config",
        field: field.to_owned(),
        reason: reason.into(),
    }
}

/// `ALL_CACHE_IMPLEMENTATIONS`
const CACHES: &[&str] = &[
    "static",
    "offloaded_static",
    "sliding_window",
    "hybrid",
    "hybrid_chunked",
    "offloaded_hybrid",
    "offloaded_hybrid_chunked",
    "dynamic",
    "offloaded",
    "quantized",
    "paged",
];

/// Arguments of `generate` that older code wrote into the settings.
const ARGUMENTS: &[&str] = &[
    "logits_processor",
    "stopping_criteria",
    "prefix_allowed_tokens_fn",
    "synced_gpus",
    "assistant_model",
    "streamer",
    "negative_prompt_ids",
    "negative_prompt_attention_mask",
];
