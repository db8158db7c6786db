//! Continues texts: one token at a time, or several texts side by side.

mod batch;
mod beams;
mod limits;
mod rows;
mod single;
mod text;

pub(crate) use self::single::Seen;
pub use self::{
    batch::{
        Continuation, TextContinuation, generate_batch, generate_batch_with, generate_text_batch,
    },
    limits::Stop,
    single::{Generation, generate, generate_with},
    text::{TextGeneration, generate_text},
};
use crate::{
    GenerationOptions,
    options::Place,
    processors::{likeliest, renormalize},
    sample::{Rng, draw},
};

/// Changes the scores of the next token, given the tokens so far.
pub type Processor<'p> = dyn FnMut(&[u32], &mut [f32]) + 'p;

/// All that changes scores before a token is chosen.
pub(crate) struct Shaping<'p> {
    pub(crate) options: GenerationOptions,
    /// The caller's own, after all but what only tokens that are drawn go through.
    pub(crate) processor: Box<Processor<'p>>,
}

impl Shaping<'_> {
    /// The next token: drawn, or the likeliest.
    fn choose(&mut self, place: Place<'_>, scores: &mut [f32], rng: &mut Rng) -> u32 {
        self.apply(place, scores);
        let token = match self.options.do_sample {
            true => draw(scores, rng),
            false => likeliest(scores),
        };
        token as u32
    }

    fn apply(&mut self, place: Place<'_>, scores: &mut [f32]) {
        self.options.process(place, scores);
        (self.processor)(place.tokens, scores);
        if self.options.do_sample {
            self.options.warp(scores);
        }
        if self.options.renormalize_logits {
            renormalize(scores);
        }
    }
}
