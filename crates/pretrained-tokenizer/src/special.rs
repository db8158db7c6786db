//! The named special tokens: what `bos_token` and its kin are in the files.

use std::collections::BTreeMap;

/// The special tokens that have a role, by the role's name in `tokenizer_config.json`.
///
/// A role that is `None` is not set; unset roles are undefined in a chat template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a sequence.
    pub bos: Option<String>,
    /// Ends a sequence; generation stops at it.
    pub eos: Option<String>,
    /// Stands for text outside the vocabulary.
    pub unk: Option<String>,
    /// Separates the two texts of a pair.
    pub sep: Option<String>,
    /// Fills short sequences of a batch.
    pub pad: Option<String>,
    /// Stands before a sequence that is to be classified.
    pub cls: Option<String>,
    /// Stands for a token that is to be guessed.
    pub mask: Option<String>,
    /// Special tokens without a role, in the order of the file.
    pub extra: Vec<String>,
    /// Tokens with a role of the model's own, such as `image_token`.
    pub model_specific: BTreeMap<String, String>,
}

impl SpecialTokens {
    /// The roles that are set: `("bos_token", "<s>")` and so on, in transformers' order.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("bos_token", &self.bos),
            ("eos_token", &self.eos),
            ("unk_token", &self.unk),
            ("sep_token", &self.sep),
            ("pad_token", &self.pad),
            ("cls_token", &self.cls),
            ("mask_token", &self.mask),
        ]
        .into_iter()
        .filter_map(|(name, token)| Some((name, token.as_deref()?)))
    }

    /// The roles that are set, and the model's own.
    pub(crate) fn all_named(&self) -> impl Iterator<Item = (&str, &str)> + '_ {
        let own = self.model_specific.iter().map(|(name, token)| (name.as_str(), token.as_str()));
        self.named().map(|(name, token)| (name as &str, token)).chain(own)
    }

    pub(crate) fn role(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "bos_token" => &mut self.bos,
            "eos_token" => &mut self.eos,
            "unk_token" => &mut self.unk,
            "sep_token" => &mut self.sep,
            "pad_token" => &mut self.pad,
            "cls_token" => &mut self.cls,
            "mask_token" => &mut self.mask,
            _ => return None,
        })
    }
}
