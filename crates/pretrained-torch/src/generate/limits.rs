use std::time::{Duration, Instant};

use pretrained_tokenizer::AutoTokenizer;

use crate::{AutoModelForCausalLM, Error, GenerationOptions, options::Place};

/// Why generation has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A token came that ends the text.
    Eos,
    /// A text came that ends the text.
    StopString,
    /// There are as many tokens as were asked for.
    Length,
    /// The model's last position is taken.
    Positions,
    /// The time is over.
    Time,
    /// A token could not be made; the error said why.
    Failed,
}

/// Where the continuation of one prompt ends.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) n_prompt: usize,
    /// How long prompt and new tokens may be together.
    pub(crate) max_length: usize,
    positions: Option<usize>,
    deadline: Option<Instant>,
    eos_token_ids: Vec<u32>,
}

/// Texts that end a text, and how tokens become one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StopStrings<'t> {
    pub(crate) tokenizer: &'t AutoTokenizer,
    pub(crate) strings: &'t [String],
}

impl Limits {
    /// Refuses a prompt that nothing can follow.
    pub(crate) fn new(
        model: &AutoModelForCausalLM,
        prompt: &[u32],
        options: &GenerationOptions,
    ) -> Result<Limits, Error> {
        if prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        model.check_tokens(prompt)?;
        model.check_len(prompt.len())?;
        let max_length = match (options.max_new_tokens, options.max_length) {
            (Some(n), _) => prompt.len().saturating_add(n),
            (None, None) => prompt.len() + DEFAULT_NEW_TOKENS,
            (None, Some(len)) if len > prompt.len() => len,
            (None, Some(len)) => {
                let value = format!("{len}, the prompt has {} tokens", prompt.len());
                let expected = "more than the prompt's, or set max_new_tokens";
                return Err(Error::Option { option: "max_length", value, expected });
            }
        };
        let max_time = options.max_time.and_then(|it| Duration::try_from_secs_f64(it).ok());
        Ok(Limits {
            n_prompt: prompt.len(),
            max_length,
            positions: model.max_positions(),
            deadline: max_time.and_then(|it| Instant::now().checked_add(it)),
            eos_token_ids: options.eos_token_ids.clone(),
        })
    }

    /// Where the token after these is.
    pub(crate) fn place<'a>(&self, tokens: &'a [u32]) -> Place<'a> {
        Place { tokens, n_prompt: self.n_prompt, max_length: self.max_length }
    }

    /// Whether there can be another token.
    pub(crate) fn stop(&self, tokens: &[u32]) -> Option<Stop> {
        let (len, is_new) = (tokens.len(), tokens.len() > self.n_prompt);
        let ends = |it: &u32| self.eos_token_ids.contains(it);
        match () {
            () if is_new && tokens.last().is_some_and(ends) => Some(Stop::Eos),
            () if len >= self.max_length => Some(Stop::Length),
            () if self.positions.is_some_and(|it| len > it) => Some(Stop::Positions),
            // However short the time is, there is one token, as in transformers.
            () if is_new && self.deadline.is_some_and(|it| Instant::now() >= it) => {
                Some(Stop::Time)
            }
            () => None,
        }
    }

    /// The same, where a text may also end by what its new tokens say.
    pub(crate) fn stop_of_text(
        &self,
        tokens: &[u32],
        stop_strings: Option<StopStrings<'_>>,
    ) -> Result<Option<Stop>, Error> {
        let stop = self.stop(tokens);
        Ok(match stop_strings {
            Some(it)
                if stop != Some(Stop::Eos) && it.are_in(&tokens[..self.n_prompt], tokens)? =>
            {
                Some(Stop::StopString)
            }
            _ => stop,
        })
    }
}

impl StopStrings<'_> {
    /// Whether one is in a text that ends with these new tokens, and not in the prompt alone.
    fn are_in(&self, prompt: &[u32], tokens: &[u32]) -> Result<bool, Error> {
        if self.strings.is_empty() {
            return Ok(false);
        }
        let reach = within_reach(self.strings, prompt);
        let before = self.tokenizer.decode(reach, true)?;
        let text = self.tokenizer.decode(&tokens[prompt.len() - reach.len()..], true)?;
        Ok(any_ends_after(self.strings, &text, before.len()))
    }
}

/// The end of a prompt, in which one of the strings may begin. Tokens without text, which are few, are
/// not counted.
pub(crate) fn within_reach<'p>(strings: &[String], prompt: &'p [u32]) -> &'p [u32] {
    let longest = strings.iter().map(String::len).max().unwrap_or(0);
    &prompt[prompt.len().saturating_sub(longest)..]
}

/// Whether a text has one of the strings, with its end after the first `start` bytes.
pub(crate) fn any_ends_after(strings: &[String], text: &str, start: usize) -> bool {
    let ends_after = |it: &String| {
        let from = text.ceil_char_boundary((start + 1).saturating_sub(it.len()).min(text.len()));
        !it.is_empty() && text[from..].contains(it.as_str())
    };
    strings.iter().any(ends_after)
}

/// What Hugging Face makes when nobody says how much.
const DEFAULT_NEW_TOKENS: usize = 20;
