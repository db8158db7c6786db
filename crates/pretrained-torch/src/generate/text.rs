use pretrained_tokenizer::{AutoTokenizer, DecodeStream};

use super::{Generation, Stop};
use crate::{AutoModelForCausalLM, Error, GenerationOptions};

/// A text that is being continued: an iterator of pieces of new text.
#[derive(Debug)]
pub struct TextGeneration<'m> {
    tokens: Generation<'m>,
    /// None once the end has been handed out.
    stream: Option<DecodeStream<'m>>,
    text: String,
}

/// Continues a text, one piece at a time. A stop string ends it, and is not cut off.
pub fn generate_text<'m>(
    model: &'m AutoModelForCausalLM,
    tokenizer: &'m AutoTokenizer,
    prompt: &str,
    options: &GenerationOptions,
) -> Result<TextGeneration<'m>, Error> {
    let prompt = tokenizer.encode(prompt, true)?;
    let tokens = Generation::new(model, &prompt, options, Box::new(|_, _| {}))?;
    let stream = Some(tokenizer.decode_stream(true));
    Ok(TextGeneration { tokens, stream, text: String::new() })
}

impl TextGeneration<'_> {
    /// Why it has ended, once it has.
    pub fn stop(&self) -> Option<Stop> {
        self.tokens.stop()
    }

    fn piece(&mut self, token: Result<u32, Error>) -> Result<Option<String>, Error> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let piece = stream.push(token?)?;
        if let Some(piece) = &piece {
            let seen = self.text.len();
            self.text.push_str(piece);
            // Completed by this piece, so it begins at most its own length before it.
            let completes = |it: &String| {
                let from = self.text.floor_char_boundary(seen.saturating_sub(it.len()));
                !it.is_empty() && self.text[from..].contains(it.as_str())
            };
            if self.tokens.options().stop_strings.iter().any(completes) {
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
        rest.transpose()
    }
}
