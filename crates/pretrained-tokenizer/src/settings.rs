//! `tokenizer_config.json`, as far as it changes what a tokenizer does.

use serde_json::{Map, Value};

use crate::{
    Error,
    bundle::{CONFIG, SPECIAL_TOKENS_MAP, TokenizerFiles},
    special::SpecialTokens,
};

/// An end of a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// The beginning.
    Left,
    /// The end.
    #[default]
    Right,
}

/// What the configuration files say beside the vocabulary.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) document: Map<String, Value>,
    pub(crate) special: SpecialTokens,
    pub(crate) model_max_length: Option<u64>,
    pub(crate) padding_side: Option<Side>,
    pub(crate) truncation_side: Option<Side>,
}

impl Settings {
    pub(crate) fn read(files: &TokenizerFiles) -> Result<Settings, Error> {
        let document = read_object(files, CONFIG)?.unwrap_or_default();
        let mut special = SpecialTokens::default();
        if let Some(map) = read_object(files, SPECIAL_TOKENS_MAP)? {
            special.read(&map);
        }
        special.read(&document);
        let side = |key: &str| match document.get(key).and_then(Value::as_str) {
            None => Ok(None),
            Some("left") => Ok(Some(Side::Left)),
            Some("right") => Ok(Some(Side::Right)),
            Some(other) => Err(Error::invalid(
                CONFIG,
                format!("{key} is {other:?}, not \"left\" or \"right\""),
            )),
        };
        Ok(Settings {
            model_max_length: document.get("model_max_length").and_then(max_length),
            padding_side: side("padding_side")?,
            truncation_side: side("truncation_side")?,
            special,
            document,
        })
    }
}

/// transformers writes `int(1e30)` for "no limit", which no integer type holds.
fn max_length(value: &Value) -> Option<u64> {
    let limit = value.as_f64()?;
    (1.0..UNLIMITED).contains(&limit).then_some(limit as u64)
}

pub(crate) fn read_object(
    files: &TokenizerFiles,
    name: &str,
) -> Result<Option<Map<String, Value>>, Error> {
    let Some(bytes) = files.get(name) else { return Ok(None) };
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(Some(object)),
        Ok(_) => Err(Error::invalid(name, "not a JSON object")),
        Err(e) => Err(Error::invalid(name, e)),
    }
}

// transformers takes anything above this for "no limit".
const UNLIMITED: f64 = 1e20;
