//! The ids of byte-level text, without the offsets that nobody asked for.
//!
//! The crate keeps for every byte where it came from, through each of its stages. This runs the
//! same added tokens, regular expressions and model, and leaves that out. It is for tokenizers
//! that cut text into pieces whose ids depend on nothing but the piece, so a piece that comes again
//! is looked up.

use std::collections::HashMap;

use tokenizers::{
    Encoding, Model, ModelWrapper, OffsetReferential, OffsetType, PostProcessor,
    PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer,
    pre_tokenizers::{byte_level::ByteLevel, split::SplitPattern},
    utils::SysRegex,
};

/// How such a tokenizer cuts text, and what it puts around the ids.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// Each cuts the pieces of the one before.
    cuts: Vec<SysRegex>,
    /// How byte level spells each byte.
    spelling: Vec<char>,
    before: Vec<u32>,
    after: Vec<u32>,
}

/// The ids of pieces that were seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Where in `ids` those of a piece are.
    pieces: HashMap<Box<str>, (usize, usize)>,
    ids: Vec<u32>,
    spelled: String,
}

impl Pieces {
    /// `None` for a tokenizer with stages that work otherwise.
    pub(crate) fn of(tokenizer: &Tokenizer) -> Option<Pieces> {
        // With dropout a piece has other ids each time.
        let ModelWrapper::BPE(bpe) = tokenizer.get_model() else { return None };
        if bpe.dropout.is_some_and(|it| it != 0.0) {
            return None;
        }
        let stages = match tokenizer.get_pre_tokenizer()? {
            PreTokenizerWrapper::Sequence(stages) => stages.as_ref(),
            stage => std::slice::from_ref(stage),
        };
        let (PreTokenizerWrapper::ByteLevel(last), splits) = stages.split_last()? else {
            return None;
        };
        if last.add_prefix_space {
            return None;
        }
        let mut cuts = Vec::new();
        for stage in splits {
            let PreTokenizerWrapper::Split(split) = stage else { return None };
            if split.invert || split.behavior != SplitDelimiterBehavior::Isolated {
                return None;
            }
            let SplitPattern::Regex(regex) = &split.pattern else { return None };
            cuts.push(SysRegex::new(regex).ok()?);
        }
        if last.use_regex {
            cuts.push(SysRegex::new(BYTE_LEVEL).ok()?);
        }
        let (before, after) = around(tokenizer)?;
        Some(Pieces { cuts, spelling: spelling()?, before, after })
    }

    /// What `encode_fast` gives.
    pub(crate) fn encode(
        &self,
        tokenizer: &Tokenizer,
        text: &str,
        add_special_tokens: bool,
        seen: &mut Seen,
    ) -> tokenizers::Result<Vec<u32>> {
        let around =
            if add_special_tokens { (&*self.before, &*self.after) } else { (&[][..], &[][..]) };
        let mut ids = Vec::with_capacity(around.0.len() + around.1.len() + text.len() / 3);
        ids.extend_from_slice(around.0);
        let added = tokenizer.get_added_vocabulary();
        let text = added.extract_and_normalize(tokenizer.get_normalizer(), text);
        for (text, _, tokens) in text.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            match tokens {
                Some(tokens) => ids.extend(tokens.iter().map(|token| token.id)),
                None => self.cut(&self.cuts, text, &mut |piece| {
                    self.push(tokenizer.get_model(), piece, seen, &mut ids)
                })?,
            }
        }
        ids.extend_from_slice(around.1);
        Ok(ids)
    }

    /// Every piece of a text, what matches and what is between.
    fn cut(
        &self,
        cuts: &[SysRegex],
        text: &str,
        piece: &mut dyn FnMut(&str) -> tokenizers::Result<()>,
    ) -> tokenizers::Result<()> {
        let Some((first, rest)) = cuts.split_first() else {
            return if text.is_empty() { Ok(()) } else { piece(text) };
        };
        let mut end_before = 0;
        for (start, end) in first.find_iter(text) {
            if start > end_before {
                self.cut(rest, &text[end_before..start], piece)?;
            }
            self.cut(rest, &text[start..end], piece)?;
            end_before = end;
        }
        self.cut(rest, &text[end_before..], piece)
    }

    fn push(
        &self,
        model: &ModelWrapper,
        piece: &str,
        seen: &mut Seen,
        ids: &mut Vec<u32>,
    ) -> tokenizers::Result<()> {
        if let Some(&(start, end)) = seen.pieces.get(piece) {
            ids.extend_from_slice(&seen.ids[start..end]);
            return Ok(());
        }
        seen.spelled.clear();
        seen.spelled.extend(piece.bytes().map(|byte| self.spelling[usize::from(byte)]));
        let tokens = model.tokenize(&seen.spelled)?;
        ids.extend(tokens.iter().map(|token| token.id));
        if piece.len() <= MAX_SEEN_LEN && seen.pieces.len() < MAX_SEEN {
            let start = seen.ids.len();
            seen.ids.extend(tokens.iter().map(|token| token.id));
            seen.pieces.insert(piece.into(), (start, seen.ids.len()));
        }
        Ok(())
    }
}

/// How many texts of a batch share what was seen: few enough that no core waits for another, many
/// enough that pieces come again.
pub(crate) fn part(n_texts: usize) -> usize {
    n_texts.div_ceil(PARTS_PER_THREAD * rayon::current_num_threads())
}

/// The ids that the post-processor puts before and after a text, if that is all that it does.
fn around(tokenizer: &Tokenizer) -> Option<(Vec<u32>, Vec<u32>)> {
    let Some(processor) = tokenizer.get_post_processor() else { return Some(Default::default()) };
    let text = MARKS.map(|id| (id, String::new(), (0, 0), None, 0));
    let text: Encoding = text.into_iter().collect();
    let processed = processor.process(text, None, true).ok()?;
    let ids = processed.get_ids();
    let at = ids.windows(MARKS.len()).position(|window| window == MARKS)?;
    let (before, after) = (&ids[..at], &ids[at + MARKS.len()..]);
    let once = !after.contains(&MARKS[0]);
    once.then(|| (before.to_vec(), after.to_vec()))
}

/// The characters that stand for bytes, by byte: those that print stand for themselves, the others
/// follow U+0100.
fn spelling() -> Option<Vec<char>> {
    let alphabet = ByteLevel::alphabet();
    let mut next = 0x100;
    (0..=0xffu8)
        .map(|byte| {
            if alphabet.contains(&char::from(byte)) {
                return Some(char::from(byte));
            }
            next += 1;
            char::from_u32(next - 1)
        })
        .collect()
}

/// The pattern of the crate's `ByteLevel`, which does not give it away.
const BYTE_LEVEL: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// No vocabulary has these ids.
const MARKS: [u32; 2] = [u32::MAX, u32::MAX - 1];

const MAX_SEEN: usize = 1 << 16;

const MAX_SEEN_LEN: usize = 64;

const PARTS_PER_THREAD: usize = 8;
