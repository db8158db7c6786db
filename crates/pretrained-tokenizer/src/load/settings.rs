//! What the files say beside the vocabulary.

use serde_json::{Map, Value};
use tokenizers::{ModelWrapper, Tokenizer};

use super::{
    class::Class,
    document::Document,
    init::{Init, Named},
};
use crate::{Error, bundle::CONFIG, special::SpecialTokens};

/// An end of a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// The beginning.
    Left,
    /// The end.
    #[default]
    Right,
}

/// How a tokenizer behaves where a call does not say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) class: Class,
    /// tokenizer_config.json.
    pub(crate) config: Map<String, Value>,
    pub(crate) special: SpecialTokens,
    pub(crate) model_max_length: Option<u64>,
    pub(crate) padding_side: Side,
    pub(crate) truncation_side: Side,
    /// Whether `input_ids` come with `token_type_ids`.
    pub(crate) token_type_ids: bool,
    /// Whether decoded text loses the spaces before punctuation.
    pub(crate) clean_up: bool,
}

impl Settings {
    pub(crate) fn new(
        class: Class,
        init: &Init,
        config: Map<String, Value>,
        tokenizer: &Tokenizer,
    ) -> Result<Settings, Error> {
        let options = &init.options;
        let side = |key: &str| match options.get(key) {
            None => Ok(None),
            Some(Value::String(side)) if side == "left" => Ok(Some(Side::Left)),
            Some(Value::String(side)) if side == "right" => Ok(Some(Side::Right)),
            Some(other) => {
                Err(Error::invalid(CONFIG, format!("{key} is {other}, not \"left\" or \"right\"")))
            }
        };
        let class_side = match class {
            Class::Gemma | Class::Llama => Side::Left,
            _ => Side::Right,
        };
        let flag = |key: &str| options.get(key).and_then(Value::as_bool).unwrap_or(false);
        let is_bpe = matches!(tokenizer.get_model(), ModelWrapper::BPE(_));
        let names = options.get("model_input_names").and_then(Value::as_array);
        Ok(Settings {
            class,
            special: init.special_tokens(),
            model_max_length: options
                .get("model_max_length")
                .or_else(|| options.get("max_len"))
                .and_then(max_length),
            padding_side: side("padding_side")?.unwrap_or(class_side),
            truncation_side: side("truncation_side")?.unwrap_or_default(),
            token_type_ids: names.map_or(class == Class::Bert, |names| {
                names.iter().any(|name| name == "token_type_ids")
            }),
            clean_up: flag("clean_up_tokenization_spaces")
                && (!is_bpe
                    || flag(
                        "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
                    )),
            config,
        })
    }
}

/// The padding and truncation that tokenizer.json was saved with are reset at every call; all that
/// transformers takes from them are these defaults.
pub(crate) fn take_defaults(init: &mut Init, document: Option<&Document>) {
    let Some(document) = document else { return };
    let side = |state: &Option<Value>| {
        let direction = state.as_ref()?.get("direction")?.as_str()?;
        Some(Value::String(direction.to_lowercase()))
    };
    if let Some(side) = side(&document.truncation) {
        init.options.entry("truncation_side").or_insert(side);
    }
    if let Some(side) = side(&document.padding) {
        init.options.entry("padding_side").or_insert(side);
    }
    let pad = document.padding.as_ref().and_then(|it| it.get("pad_token")?.as_str());
    if let Some(pad) = pad {
        init.named
            .entry("pad_token".to_owned())
            .or_insert_with(|| Some(Named::Text(pad.to_owned())));
    }
}

/// transformers writes `int(1e30)` for "no limit", which no integer type holds.
fn max_length(value: &Value) -> Option<u64> {
    let limit = value.as_f64()?;
    (0.0..UNLIMITED).contains(&limit).then_some(limit as u64)
}

// transformers takes anything above this for "no limit".
const UNLIMITED: f64 = 1e20;
