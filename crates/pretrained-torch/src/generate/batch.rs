use std::collections::BTreeMap;

use pretrained_tokenizer::AutoTokenizer;

use super::{
    Shaping, Stop,
    beams::Beams,
    limits::{Limits, StopStrings},
    rows::Rows,
};
use crate::{AutoModelForCausalLM, Error, GenerationOptions, sample::Rng};

/// What one prompt was continued with.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// The new tokens, with the one that ended the text.
    pub tokens: Vec<u32>,
    /// Of beams: the logarithm of the likelihood, divided by the number of new tokens to the power
    /// of the length penalty.
    pub score: Option<f64>,
    /// Why it has ended.
    pub stop: Stop,
}

/// The same as a text.
#[derive(Debug, Clone, PartialEq)]
pub struct TextContinuation {
    /// The new text, without special tokens.
    pub text: String,
    /// Its tokens.
    pub continuation: Continuation,
}

/// Continues several prompts side by side, each to as many texts as `num_return_sequences` says,
/// the best first if they are of beams.
///
/// Prompts need not be of one length: those that are shorter are padded at the start, and neither
/// see nor count the padding, so that each text is the one that its prompt alone would give. Fewer
/// texts than asked for come back only where a search finds no more.
///
/// # Errors
///
/// As [`generate`](crate::generate); none of the texts is returned then.
pub fn generate_batch(
    model: &AutoModelForCausalLM,
    prompts: &[Vec<u32>],
    options: &GenerationOptions,
) -> Result<Vec<Vec<Continuation>>, Error> {
    generate_batch_with(model, prompts, options, |_, _| {})
}

/// The same with a processor of your own; see [`generate_with`](crate::generate_with).
///
/// # Errors
///
/// As [`generate_batch`].
pub fn generate_batch_with(
    model: &AutoModelForCausalLM,
    prompts: &[Vec<u32>],
    options: &GenerationOptions,
    processor: impl FnMut(&[u32], &mut [f32]),
) -> Result<Vec<Vec<Continuation>>, Error> {
    options.refuse_stop_strings("they need the tokenizer: use generate_text_batch")?;
    let processor = Box::new(processor);
    run(model, prompts, &mut Shaping { options: options.clone(), processor }, None)
}

/// Continues several texts side by side. A stop string ends a text, and is not cut off.
///
/// # Errors
///
/// As [`generate_batch`], but stop strings are welcome; also [`Error::Tokenizer`] if a text cannot
/// be encoded, or tokens not be decoded.
pub fn generate_text_batch(
    model: &AutoModelForCausalLM,
    tokenizer: &AutoTokenizer,
    prompts: &[&str],
    options: &GenerationOptions,
) -> Result<Vec<Vec<TextContinuation>>, Error> {
    let prompts = prompts.iter().map(|it| tokenizer.encode(it, true));
    let prompts = prompts.collect::<Result<Vec<Vec<u32>>, _>>()?;
    let stop_strings = StopStrings { tokenizer, strings: &options.stop_strings };
    let shaping = &mut Shaping { options: options.clone(), processor: Box::new(|_, _| {}) };
    let continuations = run(model, &prompts, shaping, Some(stop_strings))?;
    let text = |continuation: Continuation| {
        let text = tokenizer.decode(&continuation.tokens, true)?;
        Ok(TextContinuation { text, continuation })
    };
    continuations.into_iter().map(|it| it.into_iter().map(text).collect()).collect()
}

/// How the continuations of one prompt are looked for.
pub(crate) trait Search {
    /// Chooses the next tokens, given the scores of those of its rows, and returns which of them
    /// each row that is left goes on from.
    fn step(
        &mut self,
        scores: &mut [&mut [f32]],
        shaping: &mut Shaping<'_>,
        stop_strings: Option<StopStrings<'_>>,
    ) -> Result<Vec<usize>, Error>;

    /// The texts that are to be continued: prompts and new tokens.
    fn rows(&self) -> Vec<&[u32]>;

    /// What was found.
    fn finish(self: Box<Self>) -> Vec<Continuation>;
}

fn run(
    model: &AutoModelForCausalLM,
    prompts: &[Vec<u32>],
    shaping: &mut Shaping<'_>,
    stop_strings: Option<StopStrings<'_>>,
) -> Result<Vec<Vec<Continuation>>, Error> {
    let options = &shaping.options;
    options.check()?;
    let limits = prompts.iter().map(|it| Limits::new(model, it, options));
    let limits = limits.collect::<Result<Vec<Limits>, Error>>()?;

    let mut found = vec![Vec::new(); prompts.len()];
    for group in groups(model, prompts) {
        let mut searches: Vec<Box<dyn Search>> = Vec::new();
        for &i in &group {
            let (prompt, limits) = (prompts[i].clone(), limits[i].clone());
            searches.push(match shaping.options.num_beams {
                1 => Box::new(Samples::new(prompt, limits, &shaping.options, i)),
                _ => Box::new(Beams::new(prompt, limits, &shaping.options, i)),
            });
        }
        search(model, &mut searches, shaping, stop_strings)?;
        for (&i, search) in group.iter().zip(searches) {
            found[i] = search.finish();
        }
    }
    Ok(found)
}

/// Which prompts go side by side: all, unless how a token is seen depends on how long the longest
/// text is, so that none of them may be longer than another.
fn groups(model: &AutoModelForCausalLM, prompts: &[Vec<u32>]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, prompt) in prompts.iter().enumerate() {
        let group = if model.depends_on_length() { prompt.len() } else { 0 };
        groups.entry(group).or_default().push(i);
    }
    groups.into_values().collect()
}

fn search(
    model: &AutoModelForCausalLM,
    searches: &mut [Box<dyn Search>],
    shaping: &mut Shaping<'_>,
    stop_strings: Option<StopStrings<'_>>,
) -> Result<(), Error> {
    let lens: Vec<usize> = searches.iter().flat_map(|it| it.rows()).map(<[u32]>::len).collect();
    let mut rows = Rows::new(model, &lens);
    loop {
        let texts: Vec<&[u32]> = searches.iter().flat_map(|it| it.rows()).collect();
        if texts.is_empty() {
            return Ok(());
        }
        let mut scores = rows.scores(&texts)?;
        if shaping.options.num_beams > 1 {
            scores = scores.log_softmax(-1, None);
        }
        let n_scores = scores.size()[1] as usize;
        let mut scores = Vec::<f32>::try_from(scores.flatten(0, 1))?;
        let mut scores: Vec<&mut [f32]> = scores.chunks_exact_mut(n_scores).collect();

        let mut sources = Vec::new();
        let mut first = 0;
        for search in searches.iter_mut() {
            let n = search.rows().len();
            let kept = search.step(&mut scores[first..first + n], shaping, stop_strings)?;
            sources.extend(kept.into_iter().map(|it| first + it));
            first += n;
        }
        rows.select(&sources)?;
    }
}

/// Texts of one prompt that know nothing of each other.
struct Samples {
    limits: Limits,
    texts: Vec<Sample>,
    /// Before the first step, all are one row.
    is_new: bool,
}

struct Sample {
    tokens: Vec<u32>,
    rng: Rng,
    stop: Option<Stop>,
}

impl Samples {
    fn new(prompt: Vec<u32>, limits: Limits, options: &GenerationOptions, i: usize) -> Samples {
        let n = options.num_return_sequences;
        let stop = limits.stop(&prompt);
        let sample = |j| {
            let rng = Rng::new(options.seed, (i * n + j) as u64);
            Sample { tokens: prompt.clone(), rng, stop }
        };
        Samples { texts: (0..n).map(sample).collect(), limits, is_new: true }
    }
}

impl Search for Samples {
    fn step(
        &mut self,
        scores: &mut [&mut [f32]],
        shaping: &mut Shaping<'_>,
        stop_strings: Option<StopStrings<'_>>,
    ) -> Result<Vec<usize>, Error> {
        let mut sources = Vec::new();
        let is_shared = self.is_new && self.texts.len() > 1;
        let running = self.texts.iter_mut().filter(|it| it.stop.is_none());
        for (i, text) in running.enumerate() {
            let source = if self.is_new { 0 } else { i };
            let mut copy = if is_shared { scores[source].to_vec() } else { Vec::new() };
            let scores = if is_shared { &mut copy } else { &mut *scores[source] };
            let place = self.limits.place(&text.tokens);
            let token = shaping.choose(place, scores, &mut text.rng);
            text.tokens.push(token);
            text.stop = self.limits.stop_of_text(&text.tokens, stop_strings)?;
            if text.stop.is_none() {
                sources.push(source);
            }
        }
        self.is_new = false;
        Ok(sources)
    }

    fn rows(&self) -> Vec<&[u32]> {
        let running = self.texts.iter().filter(|it| it.stop.is_none());
        running
            .map(|it| it.tokens.as_slice())
            .take(if self.is_new { 1 } else { usize::MAX })
            .collect()
    }

    fn finish(self: Box<Self>) -> Vec<Continuation> {
        let n_prompt = self.limits.n_prompt;
        let texts = self.texts.into_iter();
        texts
            .map(|it| Continuation {
                tokens: it.tokens[n_prompt..].to_vec(),
                score: None,
                stop: it.stop.unwrap_or(Stop::Failed),
            })
            .collect()
    }
}
