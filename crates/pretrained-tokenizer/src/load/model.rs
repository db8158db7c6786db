//! Builds a model of a vocabulary, having checked what the `tokenizers` crate takes on trust.

use std::collections::HashSet;

use serde_json::{Map, Value};
use tokenizers::{
    ModelWrapper,
    models::{
        bpe::{BPE, BpeBuilder},
        unigram::Unigram,
        wordlevel::WordLevel,
        wordpiece::WordPiece,
    },
};

use super::document::{ModelDocument, Vocab};

/// Merges of a BPE model, in order.
pub(crate) type Merges = Vec<(String, String)>;

/// The model as tokenizer.json has it.
pub(crate) fn as_is(model: ModelDocument) -> Result<ModelWrapper, String> {
    let options = &model.options;
    // Files from before the types were written are told apart by what they hold.
    let kind = match (text(options, "type"), &model.vocab) {
        (Some(kind), _) => kind,
        (None, Vocab::Scores(_)) => "Unigram",
        (None, _) if model.merges.is_some() => "BPE",
        (None, _) if options.contains_key("continuing_subword_prefix") => "WordPiece",
        (None, _) => "WordLevel",
    };
    match (kind, model.vocab) {
        ("BPE", Vocab::Ids(vocab)) => {
            let merges = model.merges.ok_or("model: merges are missing")?;
            bpe(vocab, merges, options)
        }
        ("WordPiece", Vocab::Ids(vocab)) => wordpiece(vocab, options),
        ("WordLevel", Vocab::Ids(vocab)) => {
            checked(&vocab)?;
            WordLevel::builder()
                .vocab(vocab.into_iter().collect())
                .unk_token(text(options, "unk_token").unwrap_or("<unk>").to_owned())
                .build()
                .map(ModelWrapper::from)
                .map_err(|e| e.to_string())
        }
        ("Unigram", Vocab::Scores(vocab)) => {
            let unk = options.get("unk_id").and_then(Value::as_u64);
            let unk = unk.map(usize::try_from).transpose().map_err(|e| e.to_string())?;
            let vocab = vocab.into_iter().map(|(token, score)| (token, as_python_reads(score)));
            unigram(vocab.collect(), unk, flag(options, "byte_fallback"))
        }
        (kind @ ("BPE" | "WordPiece" | "WordLevel" | "Unigram"), _) => {
            Err(format!("model: a {kind} model with the vocabulary of another"))
        }
        (kind, _) => Err(format!("model: type {kind:?} is not known")),
    }
}

/// A BPE model with the options of tokenizer.json.
pub(crate) fn bpe(
    vocab: Vec<(String, u32)>,
    merges: Merges,
    options: &Map<String, Value>,
) -> Result<ModelWrapper, String> {
    let longest = checked(&vocab)?;
    let prefix = text(options, "continuing_subword_prefix").unwrap_or_default();
    for (left, right) in &merges {
        // The crate joins both in a buffer as long as the longest token, cutting the prefix off
        // by its length only.
        let joined = right.get(prefix.len()..).map(|rest| left.len() + rest.len());
        if joined.is_none_or(|len| len > longest) {
            return Err(format!("model: merging {left:?} and {right:?} makes no token"));
        }
    }
    let mut builder = BpeBuilder::new()
        .vocab_and_merges(vocab.into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges)
        .fuse_unk(flag(options, "fuse_unk"))
        .byte_fallback(flag(options, "byte_fallback"))
        .ignore_merges(flag(options, "ignore_merges"));
    if let Some(dropout) = options.get("dropout").and_then(Value::as_f64) {
        builder = builder.dropout(dropout as f32);
    }
    if let Some(unk) = text(options, "unk_token") {
        builder = builder.unk_token(unk.to_owned());
    }
    if let Some(prefix) = text(options, "continuing_subword_prefix") {
        builder = builder.continuing_subword_prefix(prefix.to_owned());
    }
    if let Some(suffix) = text(options, "end_of_word_suffix") {
        builder = builder.end_of_word_suffix(suffix.to_owned());
    }
    let bpe: BPE = builder.build().map_err(|e| format!("model: {e}"))?;
    Ok(ModelWrapper::from(bpe))
}

/// A WordPiece model with the options of tokenizer.json.
pub(crate) fn wordpiece(
    vocab: Vec<(String, u32)>,
    options: &Map<String, Value>,
) -> Result<ModelWrapper, String> {
    checked(&vocab)?;
    let mut builder =
        WordPiece::builder().vocab(vocab.into_iter().collect::<tokenizers::models::bpe::Vocab>());
    if let Some(unk) = text(options, "unk_token") {
        builder = builder.unk_token(unk.to_owned());
    }
    if let Some(prefix) = text(options, "continuing_subword_prefix") {
        builder = builder.continuing_subword_prefix(prefix.to_owned());
    }
    if let Some(max) = options.get("max_input_chars_per_word").and_then(Value::as_u64) {
        builder = builder.max_input_chars_per_word(usize::try_from(max).unwrap_or(usize::MAX));
    }
    builder.build().map(ModelWrapper::from).map_err(|e| format!("model: {e}"))
}

/// A Unigram model.
pub(crate) fn unigram(
    vocab: Vec<(String, f64)>,
    unk: Option<usize>,
    byte_fallback: bool,
) -> Result<ModelWrapper, String> {
    if let Some((token, score)) = vocab.iter().find(|(_, score)| !score.is_finite()) {
        return Err(format!("model: the score of {token:?} is {score}"));
    }
    Unigram::from(vocab, unk, byte_fallback)
        .map(ModelWrapper::from)
        .map_err(|e| format!("model: {e}"))
}

/// A score as the Python package of `tokenizers` reads it: it is compiled with serde_json's fast
/// float parser, which is off by one bit in every seventh number. Where two ways to cut a text
/// score alike, that bit decides.
pub(crate) fn as_python_reads(score: f64) -> f64 {
    let text = format!("{:e}", score.abs());
    let Some((digits, exponent)) = text.split_once('e') else { return score };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let significand = format!("{whole}{fraction}").parse::<u64>();
    let (Ok(significand), Ok(exponent)) = (significand, exponent.parse::<i32>()) else {
        return score;
    };
    let exponent = exponent - fraction.len() as i32;
    let Ok(power) = format!("1e{}", exponent.abs()).parse::<f64>() else { return score };
    if !power.is_finite() {
        return score;
    }
    let read = significand as f64;
    let read = if exponent < 0 { read / power } else { read * power };
    read.copysign(score)
}

/// The length of the longest token, if every id names one token and is no absurd number.
fn checked(vocab: &[(String, u32)]) -> Result<usize, String> {
    let mut longest = 0;
    let mut dense = vec![false; vocab.len()];
    let mut sparse = HashSet::new();
    for (token, id) in vocab {
        longest = longest.max(token.len());
        if *id > MAX_ID {
            return Err(format!("model: the id of {token:?} is {id}, larger than any vocabulary"));
        }
        let taken = match dense.get_mut(*id as usize) {
            Some(taken) => std::mem::replace(taken, true),
            None => !sparse.insert(*id),
        };
        if taken {
            return Err(format!("model: id {id} belongs to {token:?} and to another token"));
        }
    }
    Ok(longest)
}

fn text<'a>(options: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    options.get(key).and_then(Value::as_str)
}

fn flag(options: &Map<String, Value>, key: &str) -> bool {
    options.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// More than a hundred times the largest published vocabulary.
const MAX_ID: u32 = 1 << 27;
