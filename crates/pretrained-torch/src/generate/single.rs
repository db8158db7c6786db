use std::fmt;

use super::{Processor, Shaping, Stop, limits::Limits, rows::Rows};
use crate::{AutoModelForCausalLM, Error, GenerationOptions, sample::Rng};

/// A text that is being continued: an iterator of new tokens.
pub struct Generation<'m> {
    rows: Rows<'m>,
    shaping: Shaping<'m>,
    limits: Limits,
    /// Prompt and new tokens.
    tokens: Vec<u32>,
    rng: Rng,
    stop: Option<Stop>,
}

/// What a model remembers of a text, so that one that begins the same is read from there on only.
#[derive(Debug)]
pub(crate) struct Seen<'m> {
    rows: Rows<'m>,
    tokens: Vec<u32>,
}

/// Continues a prompt, one token at a time, until an end-of-text token or the length that the
/// options say. Dropping the iterator stops it.
///
/// # Errors
///
/// [`Error::EmptyPrompt`], [`Error::TokenId`] or [`Error::TooLong`] if the model cannot read the
/// prompt; [`Error::Option`] if an option is out of range, asks for several texts, or for stop
/// strings, which need the tokenizer.
///
/// The iterator's items are [`Error::Torch`] if libtorch fails; it ends there.
pub fn generate<'m>(
    model: &'m AutoModelForCausalLM,
    prompt: &[u32],
    options: &GenerationOptions,
) -> Result<Generation<'m>, Error> {
    generate_with(model, prompt, options, |_, _| {})
}

/// The same with a processor of your own, after all those of the options but the ones that only
/// tokens that are drawn go through.
///
/// # Errors
///
/// As [`generate`].
pub fn generate_with<'m>(
    model: &'m AutoModelForCausalLM,
    prompt: &[u32],
    options: &GenerationOptions,
    processor: impl FnMut(&[u32], &mut [f32]) + 'm,
) -> Result<Generation<'m>, Error> {
    options.refuse_stop_strings("they need the tokenizer: use generate_text")?;
    Generation::new(model, prompt, options, Box::new(processor))
}

impl<'m> Generation<'m> {
    pub(crate) fn new(
        model: &'m AutoModelForCausalLM,
        prompt: &[u32],
        options: &GenerationOptions,
        processor: Box<Processor<'m>>,
    ) -> Result<Generation<'m>, Error> {
        Generation::after(Seen::nothing(model), prompt, options, processor)
    }

    /// The same, of a prompt of which a part may have been seen.
    pub(crate) fn after(
        mut seen: Seen<'m>,
        prompt: &[u32],
        options: &GenerationOptions,
        processor: Box<Processor<'m>>,
    ) -> Result<Generation<'m>, Error> {
        options.check()?;
        options.refuse_several()?;
        let limits = Limits::new(seen.rows.model(), prompt, options)?;
        seen.keep_start_of(prompt);
        Ok(Generation {
            limits,
            rows: seen.rows,
            shaping: Shaping { options: options.clone(), processor },
            tokens: prompt.to_vec(),
            rng: Rng::new(options.seed, 0),
            stop: None,
        })
    }

    /// The tokens that there are so far, without the prompt's.
    pub fn new_tokens(&self) -> &[u32] {
        &self.tokens[self.limits.n_prompt..]
    }

    pub(crate) fn prompt(&self) -> &[u32] {
        &self.tokens[..self.limits.n_prompt]
    }

    pub(crate) fn into_seen(self) -> Seen<'m> {
        Seen { rows: self.rows, tokens: self.tokens }
    }

    /// Why it has ended, once it has.
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// Ends it, since its text has a stop string.
    pub(crate) fn end_text(&mut self) {
        self.stop = Some(Stop::StopString);
    }

    pub(crate) fn options(&self) -> &GenerationOptions {
        &self.shaping.options
    }

    fn step(&mut self) -> Result<u32, Error> {
        let scores = self.rows.scores(&[&self.tokens])?;
        let mut scores = Vec::<f32>::try_from(scores.squeeze_dim(0))?;
        let place = self.limits.place(&self.tokens);
        let token = self.shaping.choose(place, &mut scores, &mut self.rng);
        self.tokens.push(token);
        Ok(token)
    }
}

impl<'m> Seen<'m> {
    pub(crate) fn nothing(model: &'m AutoModelForCausalLM) -> Seen<'m> {
        Seen { rows: Rows::new(model, &[0]), tokens: Vec::new() }
    }

    /// Forgets all but what this prompt begins with; of the prompt, at least one token is to be read.
    fn keep_start_of(&mut self, prompt: &[u32]) {
        let same = self.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        self.rows.truncate(same.min(prompt.len() - 1));
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<u32, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.stop = self.stop.or_else(|| self.limits.stop(&self.tokens));
        if self.stop.is_some() {
            return None;
        }
        let token = self.step();
        self.stop = match &token {
            Ok(_) => self.limits.stop(&self.tokens),
            Err(_) => Some(Stop::Failed),
        };
        Some(token)
    }
}

impl fmt::Debug for Generation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Generation { tokens, limits, stop, .. } = self;
        f.debug_struct("Generation")
            .field("tokens", tokens)
            .field("limits", limits)
            .field("stop", stop)
            .finish_non_exhaustive()
    }
}
