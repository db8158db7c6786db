//! Decoding ids one at a time.

use tokenizers::DecoderWrapper;

use crate::{AutoTokenizer, Error, tokenizer::clean_up};

/// Decodes ids as they arrive; made by [`AutoTokenizer::decode_stream`].
///
/// What it hands out, joined, is the text of all ids. It never hands out part of a character: a
/// token that ends inside one is held back until the next tokens complete it.
#[derive(Debug)]
pub struct DecodeStream<'a> {
    tokenizer: &'a AutoTokenizer,
    skip_special_tokens: bool,
    /// The last ids: enough context for the decoder, and those not handed out yet.
    ids: Vec<u32>,
    /// How many of `ids` are context only.
    context: usize,
    /// How much of the text of `ids` has been handed out.
    done: usize,
    /// Whether the decoder puts tokens such as `<0xE4>` together.
    has_bytes: bool,
    /// Whether the last id is such a token.
    in_bytes: bool,
    /// Text that is certain, but may be cleaned up differently once more follows.
    unclean: String,
}

/// What a token is to the decoder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text, or bytes that stand for themselves.
    Text,
    /// One byte of a character.
    Byte,
}

impl<'a> DecodeStream<'a> {
    pub(crate) fn new(tokenizer: &'a AutoTokenizer, skip_special_tokens: bool) -> DecodeStream<'a> {
        let has_bytes = match tokenizer.inner().get_decoder() {
            Some(DecoderWrapper::ByteFallback(_)) => true,
            Some(DecoderWrapper::Sequence(sequence)) => sequence
                .get_decoders()
                .iter()
                .any(|it| matches!(it, DecoderWrapper::ByteFallback(_))),
            _ => false,
        };
        DecodeStream {
            tokenizer,
            skip_special_tokens,
            ids: Vec::new(),
            context: 0,
            done: 0,
            has_bytes,
            in_bytes: false,
            unclean: String::new(),
        }
    }

    /// Takes the next id; gives the text that is now certain, if any.
    ///
    /// # Errors
    ///
    /// [`Error::Text`] where the files describe a decoder that trips over the ids.
    pub fn push(&mut self, id: u32) -> Result<Option<String>, Error> {
        let text = self.push_as_is(id)?;
        if !self.tokenizer.settings().clean_up {
            return Ok(text);
        }
        self.unclean += &text.unwrap_or_default();
        let cut = clean_cut(&self.unclean);
        let text: String = self.unclean.drain(..cut).collect();
        Ok((cut > 0).then(|| clean_up(&text)))
    }

    fn push_as_is(&mut self, id: u32) -> Result<Option<String>, Error> {
        // What leaves no text must not become the context of what comes next: a decoder treats the
        // first token of all differently.
        let Some(kind) = self.kind(id) else { return Ok(None) };
        self.ids.push(id);
        if kind == Kind::Byte {
            // Bytes in a row are decoded together: one that does not fit spoils them all.
            self.in_bytes = true;
            return Ok(None);
        }
        if std::mem::take(&mut self.in_bytes) {
            self.ids.pop();
            let before = self.take(true)?;
            self.ids.push(id);
            let after = self.take(false)?;
            let text = before.unwrap_or_default() + &after.unwrap_or_default();
            return Ok((!text.is_empty()).then_some(text));
        }
        self.take(false)
    }

    /// The text that is certain by now; with `all`, what has been pushed is known to be complete.
    fn take(&mut self, all: bool) -> Result<Option<String>, Error> {
        let text = self.tokenizer.decode_as_is(&self.ids, self.skip_special_tokens)?;
        let held_back = self.ids.len() - self.context;
        let certain = if all {
            text.as_str()
        } else if held_back > LONGEST_CHARACTER {
            // Longer than any character: what could not be decoded so far never will be.
            text.strip_suffix('\u{FFFD}').unwrap_or(&text)
        } else {
            text.trim_end_matches('\u{FFFD}')
        };
        let new = fresh(&text, certain.len(), self.done);
        if certain.len() == text.len() {
            self.ids.drain(..self.context);
            self.context = self.ids.len();
            self.done = self.tokenizer.decode_as_is(&self.ids, self.skip_special_tokens)?.len();
        } else {
            self.done = self.done.max(certain.len());
            self.forget(text.len().saturating_sub(self.done))?;
        }
        Ok(new)
    }

    /// What an id does in the text; `None` if it leaves nothing there.
    fn kind(&self, id: u32) -> Option<Kind> {
        let inner = self.tokenizer.inner();
        let token = inner.id_to_token(id)?;
        if self.skip_special_tokens && inner.get_added_vocabulary().is_special_token(&token) {
            return None;
        }
        let hex = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        let is_byte = hex.is_some_and(|hex| hex.len() == 2 && u8::from_str_radix(hex, 16).is_ok());
        Some(if is_byte && self.has_bytes { Kind::Byte } else { Kind::Text })
    }

    /// Gives what is still held back: a character that was never completed.
    ///
    /// # Errors
    ///
    /// As for [`DecodeStream::push`].
    pub fn finish(mut self) -> Result<Option<String>, Error> {
        let text = self.tokenizer.decode_as_is(&self.ids, self.skip_special_tokens)?;
        if self.ids.len() > self.context {
            self.unclean += &fresh(&text, text.len(), self.done).unwrap_or_default();
        }
        let text = match self.tokenizer.settings().clean_up {
            true => clean_up(&self.unclean),
            false => self.unclean,
        };
        Ok((!text.is_empty()).then_some(text))
    }

    /// Keeps the window short when its end stays uncertain for long.
    fn forget(&mut self, held_back: usize) -> Result<(), Error> {
        if self.ids.len() <= LONGEST_WINDOW {
            return Ok(());
        }
        self.ids.drain(..self.ids.len() - 2 * LONGEST_CHARACTER);
        self.context = 0;
        let text = self.tokenizer.decode_as_is(&self.ids, self.skip_special_tokens)?;
        self.done = text.len().saturating_sub(held_back);
        Ok(())
    }
}

/// `text[done..end]`, at character boundaries, if there is anything in it.
fn fresh(text: &str, end: usize, done: usize) -> Option<String> {
    let mut start = done.min(end);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    (start < end).then(|| text[start..end].to_owned())
}

/// How much of a text can be cleaned up without what follows it.
///
/// What is cleaned up begins with a space and is at most four characters long, and only " ' " has a
/// space at its end too: nothing spans the place before a space that follows no apostrophe.
fn clean_cut(text: &str) -> usize {
    let mut spaces = text.rmatch_indices(' ').map(|(at, _)| at).peekable();
    if spaces.peek().is_none_or(|at| text[*at..].chars().count() > LONGEST_CLEANED) {
        return text.len();
    }
    spaces.find(|at| !text[..*at].ends_with('\'')).unwrap_or(0)
}

// In tokens; a token is at least one byte.
const LONGEST_CHARACTER: usize = 8;
const LONGEST_WINDOW: usize = 64;
// In characters: " n't".
const LONGEST_CLEANED: usize = 4;
