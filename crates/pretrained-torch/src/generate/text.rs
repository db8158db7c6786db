use pretrained_tokenizer::{AutoTokenizer, DecodeStream};

use super::{
    Generation, Stop,
    limits::{any_ends_after, within_reach},
};
use crate::{AutoModelForCausalLM, Error, GenerationOptions};

/// A text that is being continued: an iterator of pieces of new text.
#[derive(Debug)]
pub struct TextGeneration<'m> {
    tokens: Generation<'m>,
    /// None once the end has been handed out.
    stream: Option<DecodeStream<'m>>,
    /// The end of the prompt's, and what has been handed out.
    text: String,
    /// How many bytes of it are the prompt's.
    n_before: usize,
}

/// Continues a text, one piece at a time. A stop string ends it, and is not cut off.
///
/// # Errors
///
/// As [`generate`](crate::generate), but stop strings are welcome; also [`Error::Tokenizer`] if the
/// text cannot be encoded, or tokens not be decoded.
pub fn generate_text<'m>(
    model: &'m AutoModelForCausalLM,
    tokenizer: &'m AutoTokenizer,
    prompt: &str,
    options: &GenerationOptions,
) -> Result<TextGeneration<'m>, Error> {
    TextGeneration::new(model, tokenizer, &tokenizer.encode(prompt, true)?, options, true)
}

impl<'m> TextGeneration<'m> {
    /// Continues tokens, as text with special tokens or without.
    ///
    /// # Errors
    ///
    /// As [`generate_text`].
    pub fn new(
        model: &'m AutoModelForCausalLM,
        tokenizer: &'m AutoTokenizer,
        prompt: &[u32],
        options: &GenerationOptions,
        skip_special_tokens: bool,
    ) -> Result<TextGeneration<'m>, Error> {
        let tokens = Generation::new(model, prompt, options, Box::new(|_, _| {}))?;
        TextGeneration::of(tokens, tokenizer, skip_special_tokens)
    }

    pub(crate) fn of(
        tokens: Generation<'m>,
        tokenizer: &'m AutoTokenizer,
        skip_special_tokens: bool,
    ) -> Result<TextGeneration<'m>, Error> {
        let stream = Some(tokenizer.decode_stream(skip_special_tokens));
        let reach = within_reach(&tokens.options().stop_strings, tokens.prompt());
        let text = tokenizer.decode(reach, true)?;
        Ok(TextGeneration { tokens, stream, n_before: text.len(), text })
    }

    /// Why it has ended, once it has.
    pub fn stop(&self) -> Option<Stop> {
        self.tokens.stop()
    }

    /// The tokens that there are so far, without the prompt's.
    pub fn new_tokens(&self) -> &[u32] {
        self.tokens.new_tokens()
    }

    /// The text that has been handed out.
    pub fn new_text(&self) -> &str {
        &self.text[self.n_before..]
    }

    pub(crate) fn into_tokens(self) -> Generation<'m> {
        self.tokens
    }

    fn piece(&mut self, token: Result<u32, Error>) -> Result<Option<String>, Error> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let piece = stream.push(token?)?;
        if let Some(piece) = &piece {
            let seen = self.text.len();
            self.text.push_str(piece);
            if any_ends_after(&self.tokens.options().stop_strings, &self.text, seen) {
                self.tokens.end_text();
            }
        }
        Ok(piece)
    }
}

impl Iterator for TextGeneration<'_> {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(token) = self.tokens.next() {
            if let Some(piece) = self.piece(token).transpose() {
                return Some(piece);
            }
        }
        let rest = self.stream.take()?.finish().map_err(Error::from);
        if let Ok(Some(rest)) = &rest {
            self.text.push_str(rest);
        }
        rest.transpose()
    }
}
