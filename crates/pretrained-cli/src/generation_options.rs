//! How text is generated: what `generate` and `chat` have in common.

use pretrained::torch::{AutoModelForCausalLM, GenerationOptions};

/// The options of the command line; what is not given comes from the model's own.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Stop after this many tokens
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// Draw tokens at random instead of taking the most likely one
    #[arg(long)]
    do_sample: bool,
    /// Below 1 closer to the most likely tokens, above 1 more even
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Draw from this many of the most likely tokens; 0: from all
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Draw from the smallest set of tokens that is this likely together
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// Draw from tokens that are at least this likely, as a part of the most likely one
    #[arg(long, value_name = "P")]
    min_p: Option<f64>,
    /// Above 1, what has been said comes less often; below, more often
    #[arg(long, value_name = "PENALTY")]
    repetition_penalty: Option<f64>,
    /// End the text with this text; may be given several times
    #[arg(long = "stop", value_name = "TEXT", allow_hyphen_values = true)]
    stop_strings: Vec<String>,
    /// The same seed draws the same tokens
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
}

impl Options {
    /// The model's own options, with those of the command line on top.
    pub(crate) fn over(&self, model: &AutoModelForCausalLM) -> anyhow::Result<GenerationOptions> {
        let mut options = GenerationOptions::new(model)?;
        options.do_sample |= self.do_sample;
        for (is_given, name) in [
            (self.temperature.is_some(), "--temperature"),
            (self.top_k.is_some(), "--top-k"),
            (self.top_p.is_some(), "--top-p"),
            (self.min_p.is_some(), "--min-p"),
            (self.seed.is_some(), "--seed"),
        ] {
            // An option without effect would be a silent lie.
            anyhow::ensure!(!is_given || options.do_sample, "{name} needs --do-sample");
        }
        options.max_new_tokens = self.max_new_tokens.or(options.max_new_tokens);
        options.temperature = self.temperature.unwrap_or(options.temperature);
        options.top_k = self.top_k.unwrap_or(options.top_k);
        options.top_p = self.top_p.unwrap_or(options.top_p);
        options.min_p = self.min_p.or(options.min_p);
        options.repetition_penalty = self.repetition_penalty.unwrap_or(options.repetition_penalty);
        options.stop_strings.extend(self.stop_strings.iter().cloned());
        options.seed = self.seed.unwrap_or(options.seed);
        Ok(options)
    }
}
