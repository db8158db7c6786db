//! tokenizer.json, read in one pass and checked before the `tokenizers` crate sees it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
};

use super::{charsmap, growth};

/// A whole tokenizer.json.
#[derive(Deserialize)]
pub(crate) struct Document {
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    pub(crate) truncation: Option<Value>,
    #[serde(default)]
    pub(crate) padding: Option<Value>,
    #[serde(default)]
    pub(crate) added_tokens: Vec<AddedTokenEntry>,
    #[serde(default)]
    pub(crate) normalizer: Option<Value>,
    #[serde(default)]
    pub(crate) pre_tokenizer: Option<Value>,
    #[serde(default)]
    pub(crate) post_processor: Option<Value>,
    #[serde(default)]
    pub(crate) decoder: Option<Value>,
    pub(crate) model: ModelDocument,
}

/// An entry of `added_tokens`.
#[derive(Deserialize)]
pub(crate) struct AddedTokenEntry {
    pub(crate) id: u32,
    #[serde(flatten)]
    pub(crate) token: AddedToken,
}

/// `model`: the vocabulary and the merges apart from everything small.
#[derive(Default)]
pub(crate) struct ModelDocument {
    pub(crate) vocab: Vocab,
    pub(crate) merges: Option<Vec<(String, String)>>,
    pub(crate) options: Map<String, Value>,
}

/// A vocabulary by id (BPE, WordPiece, WordLevel) or by score (Unigram).
#[derive(Debug)]
pub(crate) enum Vocab {
    Ids(Vec<(String, u32)>),
    Scores(Vec<(String, f64)>),
}

/// The stages around the model.
#[derive(Default)]
pub(crate) struct Stages {
    pub(crate) normalizer: Option<NormalizerWrapper>,
    pub(crate) pre_tokenizer: Option<PreTokenizerWrapper>,
    pub(crate) post_processor: Option<PostProcessorWrapper>,
    pub(crate) decoder: Option<DecoderWrapper>,
}

impl Document {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Document, String> {
        let document: Document = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        match document.version.as_deref() {
            None | Some("1.0") => Ok(document),
            Some(other) => Err(format!("version {other:?} is not known, only \"1.0\"")),
        }
    }

    /// The stages as the file has them.
    pub(crate) fn stages(&self) -> Result<Stages, String> {
        Ok(Stages {
            normalizer: stage("normalizer", &self.normalizer)?,
            pre_tokenizer: stage("pre_tokenizer", &self.pre_tokenizer)?,
            post_processor: stage("post_processor", &self.post_processor)?,
            decoder: stage("decoder", &self.decoder)?,
        })
    }
}

pub(crate) fn stage<T: de::DeserializeOwned>(
    name: &str,
    value: &Option<Value>,
) -> Result<Option<T>, String> {
    let Some(value) = value else { return Ok(None) };
    charsmap::check_stages(value)?;
    growth::check(name, value)?;
    T::deserialize(value).map(Some).map_err(|e| format!("{name}: {e}"))
}

impl Default for Vocab {
    fn default() -> Vocab {
        Vocab::Ids(Vec::new())
    }
}

impl<'de> Deserialize<'de> for ModelDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ModelDocument, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = ModelDocument;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a tokenizer model")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ModelDocument, A::Error> {
                let mut model = ModelDocument::default();
                let mut vocab = None;
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "vocab" => vocab = Some(map.next_value()?),
                        "merges" => {
                            let merges: Option<Vec<Merge>> = map.next_value()?;
                            model.merges =
                                merges.map(|it| it.into_iter().map(|merge| merge.0).collect());
                        }
                        _ => {
                            let value = map.next_value()?;
                            model.options.insert(key, value);
                        }
                    }
                }
                model.vocab = vocab.ok_or_else(|| de::Error::missing_field("vocab"))?;
                Ok(model)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Vocab, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vocab;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tokens with ids, or a list of tokens with scores")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Vocab::Ids(entries))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocab, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    entries.push(entry);
                }
                Ok(Vocab::Scores(entries))
            }
        }
        deserializer.deserialize_any(Entries)
    }
}

/// `["a", "b"]`, or `"a b"` in older files.
struct Merge((String, String));

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Merge, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a pair of tokens")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Merge, E> {
                merge_of(text)
                    .map(Merge)
                    .ok_or_else(|| E::custom(format!("{text:?} is not a pair of tokens")))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merge, A::Error> {
                let pair = list.next_element()?.zip(list.next_element()?);
                let pair = pair.ok_or_else(|| de::Error::invalid_length(1, &self))?;
                match list.next_element::<de::IgnoredAny>()? {
                    None => Ok(Merge(pair)),
                    Some(_) => Err(de::Error::invalid_length(3, &self)),
                }
            }
        }
        deserializer.deserialize_any(Pair)
    }
}

/// Two tokens with one space between them.
pub(crate) fn merge_of(line: &str) -> Option<(String, String)> {
    let (left, right) = line.split_once(' ')?;
    (!right.contains(' ')).then(|| (left.to_owned(), right.to_owned()))
}
