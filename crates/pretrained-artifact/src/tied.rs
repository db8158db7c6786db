//! Tied weights: one tensor that a model uses under two names. It is stored once, under the name
//! of the source, which for every family is the input embedding.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
};

use pretrained_config::Config;

use crate::{Error, Warning, Weights};

/// What weights have of a tensor that is used under two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// Stored once, under the source's name, as it should be.
    SourceOnly,
    /// Stored once, under the target's name. Used for both, as transformers does.
    TargetOnly,
    /// Stored twice. Used as one.
    Equal,
    /// Stored twice, and not the same: the two cannot be tied, whatever the config says.
    Different,
    /// Not stored.
    Neither,
}

impl Weights {
    /// Looks at a tensor that a model uses both as `source` (the input embedding) and as `target`
    /// (the output layer). Reads the two only if both are stored.
    ///
    /// # Errors
    ///
    /// What keeps the two from being read, if both are stored: see
    /// [`read_range`](Weights::read_range).
    pub fn tie(&self, source: &str, target: &str) -> Result<Tie, Error> {
        match (self.info(source), self.info(target)) {
            (Some(_), None) => Ok(Tie::SourceOnly),
            (None, Some(_)) => Ok(Tie::TargetOnly),
            (None, None) => Ok(Tie::Neither),
            (Some(a), Some(b)) if a != b => Ok(Tie::Different),
            (Some(_), Some(_)) if self.are_equal(source, target)? => Ok(Tie::Equal),
            (Some(_), Some(_)) => Ok(Tie::Different),
        }
    }

    /// Whether two tensors of the same type and shape have the same bytes.
    fn are_equal(&self, a: &str, b: &str) -> Result<bool, Error> {
        let equal = AtomicBool::new(true);
        self.for_pieces(a, |offset, bytes| {
            if equal.load(Ordering::Relaxed) {
                let mut others = vec![0; bytes.len()];
                self.read_range(b, offset, &mut others)?;
                equal.fetch_and(bytes == others, Ordering::Relaxed);
            }
            Ok(())
        })?;
        Ok(equal.into_inner())
    }
}

/// Which tensors to store when weights are written again.
#[derive(Debug, Default)]
pub(crate) struct Untied {
    /// Names that are not stored, and the one each of them is stored under.
    pub(crate) dropped: BTreeMap<String, String>,
    pub(crate) warnings: Vec<Warning>,
}

/// Decides which of several names of one tensor is stored.
///
/// With a config, a name is dropped only when whoever loads the result will find the tensor by the
/// source's: when the config ties the two. What is shared in any other way is stored under every
/// name, which is right for every reader, and said. Without a config, the tensor is stored once;
/// the caller notes the other names in the file, as the `safetensors` package does.
pub(crate) fn untie(weights: &Weights, config: Option<&Config>) -> Result<Untied, Error> {
    let mut untied = Untied::default();
    let ties = config.is_none_or(is_tied);
    for group in weights.files().iter().flat_map(|it| it.aliases()) {
        let mut kept = Vec::new();
        for target in group {
            match source_of(target, group, config.is_some()).filter(|_| ties) {
                Some(source) => {
                    untied.dropped.insert(target.clone(), source.to_owned());
                }
                None => kept.push(target.clone()),
            }
        }
        if kept.len() > 1 {
            untied.warnings.push(Warning::Shared { names: kept });
        }
    }
    if !ties {
        return Ok(untied);
    }

    // A file that cannot share memory may still have the same tensor twice.
    let names: BTreeSet<&str> = weights.names().collect();
    for &(source, target) in PAIRS.iter().filter(|_| config.is_some()) {
        if untied.dropped.contains_key(target) || !names.contains(source) {
            continue;
        }
        let (source, target) = (source.to_owned(), target.to_owned());
        match weights.tie(&source, &target)? {
            Tie::Equal => {
                let warning = Warning::TiedTwice { source: source.clone(), target: target.clone() };
                untied.warnings.push(warning);
                untied.dropped.insert(target, source);
            }
            Tie::Different => untied.warnings.push(Warning::TiedDifferent { source, target }),
            Tie::SourceOnly | Tie::TargetOnly | Tie::Neither => {}
        }
    }
    Ok(untied)
}

/// The name in a group of names of one tensor that another one of them is stored under.
fn source_of<'a>(target: &str, group: &'a [String], has_config: bool) -> Option<&'a str> {
    let is_pair = |it: &&String| PAIRS.contains(&(it.as_str(), target));
    // A second embedding is the source of a head where there is no first.
    let has_first = group.iter().any(|it| !is_target(it));
    let is_target = |it: &str| if has_first { is_target(it) } else { HEADS.contains(&it) };
    let mut sources = group.iter().filter(|it| !is_target(it));
    let (first, only) = (sources.next(), sources.next().is_none());
    let source = match group.iter().find(is_pair) {
        Some(source) => Some(source),
        None if has_config => first.filter(|_| only && is_target(target)),
        None => first.or(group.first()),
    };
    source.map(String::as_str).filter(|it| *it != target)
}

/// Whether a name is a source only where there is no other.
fn is_target(name: &str) -> bool {
    HEADS.contains(&name) || SECOND_EMBEDDINGS.contains(&name)
}

/// Groups of names that stand for one tensor, the source first, as far as that can be told without
/// reading tensors: by shared memory, and by what the config ties and the weights have once.
pub(crate) fn groups(weights: &Weights, config: Option<&Config>) -> Vec<Vec<String>> {
    let mut groups = Vec::new();
    for group in weights.files().iter().flat_map(|it| it.aliases()) {
        let mut group = group.clone();
        group.sort_by_key(|it| (is_target(it.as_str()), it.clone()));
        groups.push(group);
    }
    if config.is_some_and(is_tied) {
        let is_stored_once = |(source, target): &&(&str, &str)| {
            weights.info(source).is_some() && weights.info(target).is_none()
        };
        let found = PAIRS.iter().filter(is_stored_once);
        // The same source twice in a row is one family's head under two names.
        let mut last = "";
        for (source, target) in found.filter(|it| std::mem::replace(&mut last, it.0) != it.0) {
            groups.push(vec![(*source).to_owned(), (*target).to_owned()]);
        }
    }
    groups
}

/// Whether the config ties the embeddings, by itself or by its family's default.
pub(crate) fn is_tied(config: &Config) -> bool {
    let says = |it: &Config| it.get(TIE).and_then(|it| it.as_bool());
    // A family that is not known has no default that is known: then nothing is dropped.
    says(config).or_else(|| says(&config.normalized().ok()?)).unwrap_or(false)
}

const TIE: &str = "tie_word_embeddings";

/// What a model shares between input and output: source and target.
const PAIRS: [(&str, &str); 13] = [
    ("model.embed_tokens.weight", "lm_head.weight"),
    ("transformer.wte.weight", "lm_head.weight"),
    ("wte.weight", "lm_head.weight"),
    ("gpt_neox.embed_in.weight", "embed_out.weight"),
    ("gpt_neox.embed_in.weight", "lm_head.weight"),
    ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
    ("cls.predictions.bias", "cls.predictions.decoder.bias"),
    // Encoders with decoders: T5, BART.
    ("shared.weight", "lm_head.weight"),
    ("shared.weight", "encoder.embed_tokens.weight"),
    ("shared.weight", "decoder.embed_tokens.weight"),
    ("model.shared.weight", "lm_head.weight"),
    ("model.shared.weight", "model.encoder.embed_tokens.weight"),
    ("model.shared.weight", "model.decoder.embed_tokens.weight"),
];

/// What a model makes its output with.
const HEADS: [&str; 4] = [
    "lm_head.weight",
    "embed_out.weight",
    "cls.predictions.decoder.weight",
    "cls.predictions.decoder.bias",
];

/// Embeddings that are tied to another one, where there is one.
const SECOND_EMBEDDINGS: [&str; 4] = [
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "model.encoder.embed_tokens.weight",
    "model.decoder.embed_tokens.weight",
];
