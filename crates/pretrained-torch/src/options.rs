use std::fmt::Display;

use pretrained_config::{EarlyStopping, GenerationConfig};

use crate::{AutoModelForCausalLM, Error, processors};

/// How text is continued, in Hugging Face's words and with its defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationOptions {
    /// How many tokens to make at most. `None`: `max_length` decides.
    pub max_new_tokens: Option<usize>,
    /// How long prompt and new tokens may be together. `None`: 20 more than the prompt.
    pub max_length: Option<usize>,
    /// How long prompt and new tokens are together at least.
    pub min_length: usize,
    /// How many tokens to make at least.
    pub min_new_tokens: usize,
    /// How long to go on at most, in seconds.
    pub max_time: Option<f64>,
    /// Texts that end the text; [`generate_text`](crate::generate_text) knows the tokenizer that
    /// they need.
    pub stop_strings: Vec<String>,
    /// How many texts are looked for at once, of which the likeliest are kept. Above 1,
    /// [`generate_batch`](crate::generate_batch) does it.
    pub num_beams: usize,
    /// How many texts a prompt is continued to: that are drawn, or of beams.
    pub num_return_sequences: usize,
    /// Above 0, longer beams are worth more; below, shorter ones.
    pub length_penalty: f64,
    /// When beams stop.
    pub early_stopping: EarlyStopping,
    /// Whether tokens are drawn at random; if not, each is the most likely one.
    pub do_sample: bool,
    /// Below 1, more like greedy; above, more even.
    pub temperature: f64,
    /// So many of the most likely tokens are drawn from; 0 for all.
    pub top_k: usize,
    /// The smallest set of tokens that is this likely together is drawn from.
    pub top_p: f64,
    /// The least likelihood that is drawn, as a part of the highest.
    pub min_p: Option<f64>,
    /// The part of the entropy that is kept.
    pub top_h: Option<f64>,
    /// The most typical tokens that are this likely together are drawn from.
    pub typical_p: f64,
    /// The least likelihood that is drawn; 0 for any.
    pub epsilon_cutoff: f64,
    /// The same, lowered where the distribution is flat.
    pub eta_cutoff: f64,
    /// What the scores of tokens that have come are divided by.
    pub repetition_penalty: f64,
    /// What the scores of the prompt's tokens are multiplied by.
    pub encoder_repetition_penalty: f64,
    /// Runs of so many tokens come once only; 0 for no limit.
    pub no_repeat_ngram_size: usize,
    /// Runs of so many tokens that are in the prompt do not come; 0 for no limit.
    pub encoder_no_repeat_ngram_size: usize,
    /// Sequences that do not come.
    pub bad_words_ids: Vec<Vec<u32>>,
    /// What is added to the score of a sequence's last token after the others.
    pub sequence_bias: Vec<(Vec<u32>, f64)>,
    /// Tokens that do not come.
    pub suppress_tokens: Vec<u32>,
    /// Tokens that do not come first.
    pub begin_suppress_tokens: Vec<u32>,
    /// The token that comes after a single one.
    pub forced_bos_token_id: Option<u32>,
    /// The tokens of which one is the last at the greatest length.
    pub forced_eos_token_id: Vec<u32>,
    /// From so many new tokens on, the end gets likelier by that factor per token.
    pub exponential_decay_length_penalty: Option<(usize, f64)>,
    /// Whether scores that are no numbers, or infinite, are replaced.
    pub remove_invalid_values: bool,
    /// Whether scores are made logarithms of probabilities again after all changes.
    pub renormalize_logits: bool,
    /// The same seed gives the same text.
    pub seed: u64,
    /// Tokens that end the text.
    pub eos_token_ids: Vec<u32>,
    /// The scale of classifier-free guidance, which is not supported: anything but 1 is refused.
    pub guidance_scale: f64,
}

/// Where in a text its next token is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Prompt and new tokens.
    pub(crate) tokens: &'a [u32],
    pub(crate) n_prompt: usize,
    /// The greatest length.
    pub(crate) max_length: usize,
}

impl Default for GenerationOptions {
    fn default() -> GenerationOptions {
        GenerationOptions {
            max_new_tokens: None,
            max_length: None,
            min_length: 0,
            min_new_tokens: 0,
            max_time: None,
            stop_strings: Vec::new(),
            num_beams: 1,
            num_return_sequences: 1,
            length_penalty: 1.0,
            early_stopping: EarlyStopping::Guess,
            do_sample: false,
            temperature: 1.0,
            top_k: 50,
            top_p: 1.0,
            min_p: None,
            top_h: None,
            typical_p: 1.0,
            epsilon_cutoff: 0.0,
            eta_cutoff: 0.0,
            repetition_penalty: 1.0,
            encoder_repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            encoder_no_repeat_ngram_size: 0,
            bad_words_ids: Vec::new(),
            sequence_bias: Vec::new(),
            suppress_tokens: Vec::new(),
            begin_suppress_tokens: Vec::new(),
            forced_bos_token_id: None,
            forced_eos_token_id: Vec::new(),
            exponential_decay_length_penalty: None,
            remove_invalid_values: false,
            renormalize_logits: false,
            seed: 0,
            eos_token_ids: Vec::new(),
            guidance_scale: 1.0,
        }
    }
}

impl GenerationOptions {
    /// How the model's author wants its text to be generated.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there is no `generation_config.json`, and what the configuration says of
    /// generation instead is of another kind than it should be.
    pub fn new(model: &AutoModelForCausalLM) -> Result<GenerationOptions, Error> {
        Ok(match model.generation_config() {
            Some(config) => GenerationOptions::from(config),
            None => GenerationOptions::from(&GenerationConfig::from_config_file(model.config())?),
        })
    }

    /// Changes the scores of the next token as these options say, in transformers' order.
    pub(crate) fn process(&self, place: Place<'_>, scores: &mut [f32]) {
        let Place { tokens, n_prompt, max_length } = place;
        let (prompt, len) = (&tokens[..n_prompt], tokens.len());
        let eos = &self.eos_token_ids;
        processors::sequence_bias(tokens, scores, &self.sequence_bias);
        if self.encoder_repetition_penalty != 1.0 {
            let penalty = self.encoder_repetition_penalty.recip();
            processors::repetition_penalty(prompt, scores, penalty);
        }
        if self.repetition_penalty != 1.0 {
            processors::repetition_penalty(tokens, scores, self.repetition_penalty);
        }
        processors::no_repeat_ngram(tokens, scores, self.no_repeat_ngram_size);
        processors::no_ngram_of(prompt, tokens, scores, self.encoder_no_repeat_ngram_size);
        processors::bad_words(tokens, scores, &self.bad_words_ids, eos);
        if len < self.min_length || len - n_prompt < self.min_new_tokens {
            processors::suppress(scores, eos);
        }
        if let (1, Some(bos)) = (len, self.forced_bos_token_id) {
            processors::force(scores, &[bos]);
        }
        if len + 1 == max_length && !self.forced_eos_token_id.is_empty() {
            processors::force(scores, &self.forced_eos_token_id);
        }
        if self.remove_invalid_values {
            processors::remove_invalid(scores);
        }
        if let Some((start, factor)) = self.exponential_decay_length_penalty {
            processors::exponential_decay(scores, eos, len, n_prompt.saturating_add(start), factor);
        }
        processors::suppress(scores, &self.suppress_tokens);
        let forced_first = n_prompt == 1 && self.forced_bos_token_id.is_some();
        if len == n_prompt + usize::from(forced_first) {
            processors::suppress(scores, &self.begin_suppress_tokens);
        }
    }

    /// What is done to scores that are drawn from, after all else.
    pub(crate) fn warp(&self, scores: &mut [f32]) {
        // A beam needs one that goes on, though every end be among those that are kept.
        let min_keep = if self.num_beams > 1 { (self.eos_token_ids.len() + 1).max(2) } else { 1 };
        processors::temperature(scores, self.temperature);
        if let Some(h) = self.top_h {
            processors::top_h(scores, h);
        }
        if self.top_k > 0 {
            processors::top_k(scores, self.top_k.max(min_keep));
        }
        processors::top_p(scores, self.top_p, min_keep);
        if let Some(p) = self.min_p {
            processors::min_p(scores, p, min_keep);
        }
        if self.typical_p < 1.0 {
            processors::typical(scores, self.typical_p, min_keep);
        }
        if self.epsilon_cutoff > 0.0 {
            processors::epsilon_cutoff(scores, self.epsilon_cutoff, min_keep);
        }
        if self.eta_cutoff > 0.0 {
            processors::eta_cutoff(scores, self.eta_cutoff, min_keep);
        }
    }

    /// Refuses stop strings, for this reason.
    pub(crate) fn refuse_stop_strings(&self, expected: &'static str) -> Result<(), Error> {
        let strings = &self.stop_strings;
        within("stop_strings", format_args!("{strings:?}"), strings.is_empty(), expected)
    }

    /// Refuses all that takes more than one row.
    pub(crate) fn refuse_several(&self) -> Result<(), Error> {
        let (beams, texts) = (self.num_beams, self.num_return_sequences);
        let expected = "that is what generate_batch is for";
        within("num_beams", beams, beams <= 1, expected)?;
        within("num_return_sequences", texts, texts <= 1, expected)
    }

    fn check_counts(&self) -> Result<(), Error> {
        let (beams, texts) = (self.num_beams, self.num_return_sequences);
        let (counts, expected) = (1..=MAX_TEXTS, "a number from 1 to 4096");
        within("num_beams", beams, counts.contains(&beams), expected)?;
        let within = |fits, expected| within("num_return_sequences", texts, fits, expected);
        within(counts.contains(&texts), expected)?;
        let several = beams > 1 || self.do_sample;
        within(texts == 1 || several, "without do_sample and num_beams there is one text")?;
        within(beams == 1 || texts <= beams, "no more than num_beams")
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.check_counts()?;
        let positive = |it: f64| it > 0.0 && it.is_finite();
        let share = |it: f64| it > 0.0 && it <= 1.0;
        let (above, part) = ("a number above 0", "a number above 0, and at most 1");
        let cutoff = "a number from 0 to below 1";
        let scale = self.guidance_scale;
        within("guidance_scale", scale, scale == 1.0, "this is not supported, leave it out")?;
        let t = self.temperature;
        within("temperature", t, positive(t), "a number above 0; for greedy text, do not sample")?;
        let penalty = self.length_penalty;
        within("length_penalty", penalty, penalty.is_finite(), "a number")?;
        within("top_p", self.top_p, share(self.top_p), part)?;
        within("typical_p", self.typical_p, share(self.typical_p), part)?;
        let (min_p, top_h) = (self.min_p.unwrap_or(1.0), self.top_h.unwrap_or(1.0));
        within("min_p", min_p, (0.0..=1.0).contains(&min_p), "a number from 0 to 1")?;
        within("top_h", top_h, share(top_h), part)?;
        for (option, value) in
            [("epsilon_cutoff", self.epsilon_cutoff), ("eta_cutoff", self.eta_cutoff)]
        {
            within(option, value, (0.0..1.0).contains(&value), cutoff)?;
        }
        let penalty = self.repetition_penalty;
        within("repetition_penalty", penalty, positive(penalty), above)?;
        let penalty = self.encoder_repetition_penalty;
        within("encoder_repetition_penalty", penalty, positive(penalty), above)
    }
}

impl From<&GenerationConfig> for GenerationOptions {
    /// What a file says, and the defaults where it says nothing.
    fn from(config: &GenerationConfig) -> GenerationOptions {
        let default = GenerationOptions::default();
        let count = |it: Option<i64>| it.map(|it| usize::try_from(it).unwrap_or_default());
        let decay = config.exponential_decay_length_penalty;
        GenerationOptions {
            max_new_tokens: count(config.max_new_tokens),
            max_length: count(config.max_length),
            min_length: count(config.min_length).unwrap_or_default(),
            min_new_tokens: count(config.min_new_tokens).unwrap_or_default(),
            max_time: config.max_time,
            stop_strings: config.stop_strings.clone(),
            num_beams: count(config.num_beams).unwrap_or(default.num_beams),
            num_return_sequences: count(config.num_return_sequences)
                .unwrap_or(default.num_return_sequences),
            length_penalty: config.length_penalty.unwrap_or(default.length_penalty),
            early_stopping: config.early_stopping.unwrap_or(default.early_stopping),
            do_sample: config.do_sample.unwrap_or_default(),
            temperature: config.temperature.unwrap_or(default.temperature),
            top_k: count(config.top_k).unwrap_or(default.top_k),
            top_p: config.top_p.unwrap_or(default.top_p),
            min_p: config.min_p,
            top_h: config.top_h,
            typical_p: config.typical_p.unwrap_or(default.typical_p),
            epsilon_cutoff: config.epsilon_cutoff.unwrap_or_default(),
            eta_cutoff: config.eta_cutoff.unwrap_or_default(),
            repetition_penalty: config.repetition_penalty.unwrap_or(1.0),
            encoder_repetition_penalty: config.encoder_repetition_penalty.unwrap_or(1.0),
            no_repeat_ngram_size: count(config.no_repeat_ngram_size).unwrap_or_default(),
            encoder_no_repeat_ngram_size: count(config.encoder_no_repeat_ngram_size)
                .unwrap_or_default(),
            bad_words_ids: config.bad_words_ids.clone(),
            sequence_bias: config.sequence_bias.clone(),
            suppress_tokens: config.suppress_tokens.clone(),
            begin_suppress_tokens: config.begin_suppress_tokens.clone(),
            forced_bos_token_id: config.forced_bos_token_id,
            forced_eos_token_id: config.forced_eos_token_id.clone(),
            exponential_decay_length_penalty: decay
                .map(|(start, factor)| (count(Some(start)).unwrap_or_default(), factor)),
            remove_invalid_values: config.remove_invalid_values.unwrap_or_default(),
            renormalize_logits: config.renormalize_logits.unwrap_or_default(),
            seed: default.seed,
            eos_token_ids: config.eos_token_id.clone(),
            guidance_scale: config.guidance_scale.unwrap_or(1.0),
        }
    }
}

/// Refuses an option's value that does not fit.
fn within(
    option: &'static str,
    value: impl Display,
    fits: bool,
    expected: &'static str,
) -> Result<(), Error> {
    match fits {
        true => Ok(()),
        false => Err(Error::Option { option, value: value.to_string(), expected }),
    }
}

/// More texts of one prompt are a mistake.
const MAX_TEXTS: usize = 4096;
