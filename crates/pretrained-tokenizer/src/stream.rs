//! Decoding ids one at a time.

use crate::{AutoTokenizer, Error};

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
}

impl<'a> DecodeStream<'a> {
    pub(crate) fn new(tokenizer: &'a AutoTokenizer, skip_special_tokens: bool) -> DecodeStream<'a> {
        DecodeStream { tokenizer, skip_special_tokens, ids: Vec::new(), context: 0, done: 0 }
    }

    /// Takes the next id; gives the text that is now certain, if any.
    pub fn push(&mut self, id: u32) -> Result<Option<String>, Error> {
        self.ids.push(id);
        let text = self.tokenizer.decode(&self.ids, self.skip_special_tokens)?;
        let held_back = self.ids.len() - self.context;
        let certain = if held_back > LONGEST_CHARACTER {
            // Longer than any character: what could not be decoded so far never will be.
            text.strip_suffix('\u{FFFD}').unwrap_or(&text)
        } else {
            text.trim_end_matches('\u{FFFD}')
        };
        let certain = self.without_movable_end(certain);
        let new = fresh(&text, certain.len(), self.done);
        if certain.len() == text.len() {
            self.ids.drain(..self.context);
            self.context = self.ids.len();
            self.done = self.tokenizer.decode(&self.ids, self.skip_special_tokens)?.len();
        } else {
            self.done = self.done.max(certain.len());
            self.forget(text.len().saturating_sub(self.done))?;
        }
        Ok(new)
    }

    /// Gives what is still held back: a character that was never completed.
    pub fn finish(mut self) -> Result<Option<String>, Error> {
        let text = self.tokenizer.decode(&self.ids, self.skip_special_tokens)?;
        let ids = std::mem::take(&mut self.ids);
        if ids.len() == self.context {
            return Ok(None);
        }
        Ok(fresh(&text, text.len(), self.done))
    }

    /// Keeps the window short when its end stays uncertain for long.
    fn forget(&mut self, held_back: usize) -> Result<(), Error> {
        if self.ids.len() <= LONGEST_WINDOW {
            return Ok(());
        }
        self.ids.drain(..self.ids.len() - 2 * LONGEST_CHARACTER);
        self.context = 0;
        let text = self.tokenizer.decode(&self.ids, self.skip_special_tokens)?;
        self.done = text.len().saturating_sub(held_back);
        Ok(())
    }

    /// Cleaning up takes away a space once the punctuation after it is there.
    fn without_movable_end<'t>(&self, text: &'t str) -> &'t str {
        if !self.tokenizer.settings().clean_up {
            return text;
        }
        let mut from = text.len().saturating_sub(LONGEST_CLEANED);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        &text[..text[from..].find(' ').map_or(text.len(), |space| from + space)]
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

// In tokens; a token is at least one byte.
const LONGEST_CHARACTER: usize = 8;
const LONGEST_WINDOW: usize = 64;
// In bytes: " n't".
const LONGEST_CLEANED: usize = 4;
