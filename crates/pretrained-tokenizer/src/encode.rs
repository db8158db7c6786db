//! Encoding with padding, truncation, pairs and offsets.

use rayon::prelude::*;
use tokenizers::{
    Model, OffsetType, PaddingDirection, PaddingParams, PaddingStrategy, PostProcessor,
    PreTokenizer, TruncationDirection, TruncationParams, TruncationStrategy, pad_encodings,
    truncate_encodings,
};

use crate::{
    AutoTokenizer, Error, Side,
    guard::guarded,
    pieces::{self, Seen},
};

/// How a batch of texts is encoded. The defaults are those of transformers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Whether the post-processor adds its special tokens.
    pub add_special_tokens: bool,
    /// Whether short sequences are filled, and to which length.
    pub padding: Padding,
    /// The end that is filled; without it, the tokenizer's own.
    pub padding_side: Option<Side>,
    /// Makes padded lengths multiples of this, as tensor cores like them.
    pub pad_to_multiple_of: Option<usize>,
    /// Whether long sequences are cut, and which of a pair.
    pub truncation: Truncation,
    /// The end that is cut; without it, the tokenizer's own.
    pub truncation_side: Option<Side>,
    /// The length for padding and truncation, special tokens included; without it, the model's.
    pub max_length: Option<usize>,
    /// Whether what truncation cuts off comes out too, in further encodings of at most
    /// `max_length`, right after the one that it was cut from.
    pub return_overflowing_tokens: bool,
    /// How many tokens an encoding repeats of the one that it overflows from.
    pub stride: usize,
    /// What offsets count.
    pub offsets: OffsetUnit,
}

/// Whether short sequences are filled with the pad token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// They stay short.
    #[default]
    None,
    /// To the longest sequence of the batch.
    Longest,
    /// To `max_length`.
    MaxLength,
}

/// Whether long sequences are cut to `max_length`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Truncation {
    /// They stay long.
    #[default]
    None,
    /// The longer one of a pair loses tokens first.
    LongestFirst,
    /// Only the first text of a pair is cut.
    OnlyFirst,
    /// Only the second text of a pair is cut.
    OnlySecond,
}

/// What offsets count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetUnit {
    /// Characters, as in Python.
    #[default]
    Chars,
    /// Bytes, as Rust slices text.
    Bytes,
    /// Nothing: all offsets are `(0, 0)`, and byte-level text is encoded several times as fast.
    None,
}

/// A text, or a pair of them, to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// The text.
    pub text: &'a str,
    /// What follows it as a sequence of its own.
    pub pair: Option<&'a str>,
}

/// An encoded text. All lists have the same length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// The token ids.
    pub input_ids: Vec<u32>,
    /// 1 for tokens, 0 for padding.
    pub attention_mask: Vec<u32>,
    /// Which text of a pair a token belongs to.
    pub token_type_ids: Vec<u32>,
    /// 1 for tokens that the post-processor or padding added.
    pub special_tokens_mask: Vec<u32>,
    /// Where a token comes from: start and end in the text. Special tokens have `(0, 0)`.
    pub offsets: Vec<(usize, usize)>,
    /// The position among the inputs of the one that this comes from.
    pub sample: usize,
}

impl Default for EncodeOptions {
    fn default() -> EncodeOptions {
        EncodeOptions {
            add_special_tokens: true,
            padding: Padding::None,
            padding_side: None,
            pad_to_multiple_of: None,
            truncation: Truncation::None,
            truncation_side: None,
            max_length: None,
            return_overflowing_tokens: false,
            stride: 0,
            offsets: OffsetUnit::Chars,
        }
    }
}

impl<'a> From<&'a str> for Input<'a> {
    fn from(text: &'a str) -> Input<'a> {
        Input { text, pair: None }
    }
}

impl<'a> From<(&'a str, &'a str)> for Input<'a> {
    fn from((text, pair): (&'a str, &'a str)) -> Input<'a> {
        Input { text, pair: Some(pair) }
    }
}

impl AutoTokenizer {
    /// Encodes a batch, on all cores. There is one encoding for each input, in order, unless
    /// `return_overflowing_tokens` asks for more.
    ///
    /// # Errors
    ///
    /// [`Error::Text`] for options that do not go together: padding without a pad token, a length
    /// that leaves no room beside the special tokens or is no multiple of `pad_to_multiple_of`, a
    /// `stride` that leaves nothing new, truncation of one text alone that is not there or too
    /// short. Also for a text that the tokenizer trips over. Nothing of the batch is returned then.
    pub fn encode_with<'a, I>(
        &self,
        inputs: &[I],
        options: &EncodeOptions,
    ) -> Result<Vec<Encoding>, Error>
    where
        I: Into<Input<'a>> + Copy + Sync,
    {
        let (truncation, padding) = self.limits(options)?;
        let encode = |seen: &mut Seen, input: &I| {
            guarded(|| self.encode_input((*input).into(), options, truncation.as_ref(), seen))
                .map_err(Error::text)?
        };
        let encodings: Result<Vec<tokenizers::Encoding>, Error> = inputs
            .par_iter()
            .with_min_len(pieces::part(inputs.len()))
            .map_init(Seen::default, encode)
            .collect();
        let mut encodings = encodings?;
        if let Some(padding) = padding {
            pad_encodings(&mut encodings, &padding).map_err(Error::text)?;
        }
        let mut all = Vec::with_capacity(encodings.len());
        for (sample, mut encoding) in encodings.into_iter().enumerate() {
            let overflowing = encoding.take_overflowing();
            all.push(Encoding::of(encoding, sample));
            if options.return_overflowing_tokens {
                all.extend(overflowing.into_iter().map(|it| Encoding::of(it, sample)));
            }
        }
        Ok(all)
    }

    /// Whether the model expects `token_type_ids` beside `input_ids`.
    pub fn wants_token_type_ids(&self) -> bool {
        self.settings().token_type_ids
    }

    fn encode_input(
        &self,
        input: Input<'_>,
        options: &EncodeOptions,
        truncation: Option<&TruncationParams>,
        seen: &mut Seen,
    ) -> Result<tokenizers::Encoding, Error> {
        // How much of each of two is cut off depends on how long they are.
        let limit = truncation.filter(|_| input.pair.is_none());
        let first = self.encode_sequence(input.text, 0, options, limit, seen)?;
        let second = input
            .pair
            .map(|text| self.encode_sequence(text, 1, options, None, seen))
            .transpose()?;
        let (first, second) = match truncation {
            Some(params) => {
                let added =
                    if options.add_special_tokens { self.added(second.is_some()) } else { 0 };
                let max_length = params.max_length.checked_sub(added).ok_or_else(|| {
                    Error::text(format!(
                        "a length of {} leaves no room beside {added} special tokens",
                        params.max_length
                    ))
                })?;
                let length = first.len() + second.as_ref().map_or(0, tokenizers::Encoding::len);
                let is_cut = length > max_length && params.stride > 0;
                if params.stride > max_length || params.stride == max_length && is_cut {
                    return Err(Error::text(format!(
                        "a stride of {} leaves nothing new in a length of {max_length}",
                        params.stride
                    )));
                }
                let params = TruncationParams { max_length, ..params.clone() };
                truncate_encodings(first, second, &params).map_err(Error::text)?
            }
            None => (first, second),
        };
        let inner = self.inner();
        if let Some(processor) = inner.get_post_processor() {
            return processor
                .process(first, second, options.add_special_tokens)
                .map_err(Error::text);
        }
        inner.post_process(first, second, options.add_special_tokens).map_err(Error::text)
    }

    /// One text without special tokens. The crate does this too, but only for a tokenizer that
    /// carries its truncation with it.
    fn encode_sequence(
        &self,
        text: &str,
        type_id: u32,
        options: &EncodeOptions,
        truncation: Option<&TruncationParams>,
        seen: &mut Seen,
    ) -> Result<tokenizers::Encoding, Error> {
        let inner = self.inner();
        if let (OffsetUnit::None, Some(pieces)) = (options.offsets, self.pieces()) {
            let ids = pieces.encode(inner, text, false, seen).map_err(Error::text)?;
            let token = |id| (id, String::new(), (0, 0), None, type_id);
            return Ok(ids.into_iter().map(token).collect());
        }
        let vocabulary = inner.get_added_vocabulary();
        let mut text = vocabulary.extract_and_normalize(inner.get_normalizer(), text);
        if let Some(pre_tokenizer) = inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut text).map_err(Error::text)?;
        }
        // What is cut off need not be tokenized, unless it is wanted.
        let limit = truncation
            .filter(|_| !options.return_overflowing_tokens)
            .filter(|it| it.strategy != TruncationStrategy::OnlySecond)
            .map(|it| (it.max_length, it.direction));
        inner.get_model().tokenize_in_pretokenized(&mut text, limit).map_err(Error::text)?;
        let unit = match options.offsets {
            OffsetUnit::Chars => OffsetType::Char,
            OffsetUnit::Bytes => OffsetType::Byte,
            OffsetUnit::None => OffsetType::None,
        };
        text.into_encoding(None, type_id, unit).map_err(Error::text)
    }

    fn added(&self, is_pair: bool) -> usize {
        self.inner().get_post_processor().map_or(0, |it| it.added_tokens(is_pair))
    }

    /// What truncation and padding come to, by transformers' rules.
    fn limits(
        &self,
        options: &EncodeOptions,
    ) -> Result<(Option<TruncationParams>, Option<PaddingParams>), Error> {
        let model_max = self.model_max_length().and_then(|it| usize::try_from(it).ok());
        let max_length = options.max_length.or(model_max);
        let strategy = match options.truncation {
            Truncation::None => None,
            Truncation::LongestFirst => Some(TruncationStrategy::LongestFirst),
            Truncation::OnlyFirst => Some(TruncationStrategy::OnlyFirst),
            Truncation::OnlySecond => Some(TruncationStrategy::OnlySecond),
        };
        let direction = match options.truncation_side.unwrap_or(self.truncation_side()) {
            Side::Left => TruncationDirection::Left,
            Side::Right => TruncationDirection::Right,
        };
        let truncation = strategy.zip(max_length).map(|(strategy, max_length)| TruncationParams {
            direction,
            max_length,
            strategy,
            stride: options.stride,
        });
        let strategy = match (options.padding, max_length) {
            (Padding::None, _) | (Padding::MaxLength, None) => None,
            (Padding::Longest, _) => Some(PaddingStrategy::BatchLongest),
            (Padding::MaxLength, Some(length)) => Some(PaddingStrategy::Fixed(length)),
        };
        let Some(strategy) = strategy else { return Ok((truncation, None)) };
        let pad = self.special_tokens().pad.clone().zip(self.pad_token_id());
        let Some((pad_token, pad_id)) = pad else {
            return Err(Error::text("padding is asked for, but the tokenizer has no pad_token"));
        };
        if let (Some(truncation), Some(multiple)) = (&truncation, options.pad_to_multiple_of)
            && multiple != 0
            && truncation.max_length % multiple != 0
        {
            return Err(Error::text(format!(
                "the truncation length {} is not a multiple of pad_to_multiple_of {multiple}",
                truncation.max_length
            )));
        }
        let direction = match options.padding_side.unwrap_or(self.padding_side()) {
            Side::Left => PaddingDirection::Left,
            Side::Right => PaddingDirection::Right,
        };
        let pad_to_multiple_of = options.pad_to_multiple_of;
        let padding = PaddingParams {
            strategy,
            direction,
            pad_to_multiple_of,
            pad_id,
            pad_type_id: 0,
            pad_token,
        };
        Ok((truncation, Some(padding)))
    }
}

impl Encoding {
    fn of(encoding: tokenizers::Encoding, sample: usize) -> Encoding {
        Encoding {
            input_ids: encoding.get_ids().to_vec(),
            attention_mask: encoding.get_attention_mask().to_vec(),
            token_type_ids: encoding.get_type_ids().to_vec(),
            special_tokens_mask: encoding.get_special_tokens_mask().to_vec(),
            offsets: encoding.get_offsets().to_vec(),
            sample,
        }
    }
}
