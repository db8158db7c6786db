//! Beam search, as transformers has it: <https://arxiv.org/abs/1702.01806>.

use pretrained_config::EarlyStopping;

use super::{
    Continuation, Shaping, Stop,
    batch::Search,
    limits::{Limits, StopStrings},
};
use crate::{
    Error, GenerationOptions,
    processors::highest,
    sample::{Rng, draw_several},
};

/// The beams of one prompt.
#[derive(Debug)]
pub(crate) struct Beams {
    limits: Limits,
    n: usize,
    /// How many texts are returned.
    n_returned: usize,
    /// How many candidates are looked at in a step: so many that as many as there are beams go on,
    /// though every end-of-text token be among them.
    n_candidates: usize,
    length_penalty: f64,
    early_stopping: EarlyStopping,
    /// None if candidates are not drawn at random.
    rng: Option<Rng>,
    /// The best first. One at first, the prompt.
    running: Vec<Beam>,
    /// The best first, no more than beams.
    finished: Vec<Finished>,
}

#[derive(Debug, Clone)]
struct Beam {
    /// Prompt and new tokens.
    tokens: Vec<u32>,
    /// The logarithm of the likelihood of the new ones.
    score: f32,
}

#[derive(Debug)]
struct Finished {
    tokens: Vec<u32>,
    score: f64,
    stop: Stop,
}

impl Beams {
    /// The search for the prompt of this number.
    pub(crate) fn new(
        prompt: Vec<u32>,
        limits: Limits,
        options: &GenerationOptions,
        i: usize,
    ) -> Beams {
        let n = options.num_beams;
        let mut beams = Beams {
            n,
            n_returned: options.num_return_sequences,
            n_candidates: n * (1 + options.eos_token_ids.len()).max(2),
            length_penalty: options.length_penalty,
            early_stopping: options.early_stopping,
            rng: options.do_sample.then(|| Rng::new(options.seed, i as u64)),
            running: Vec::new(),
            finished: Vec::new(),
            limits,
        };
        let beam = Beam { tokens: prompt, score: 0.0 };
        match beams.limits.stop(&beam.tokens) {
            // There is room for none.
            Some(stop) => beams.finished.push(Finished { tokens: beam.tokens, score: 0.0, stop }),
            None => beams.running.push(beam),
        }
        beams
    }

    /// What a text of so many new tokens is compared by.
    fn penalized(&self, score: f32, n_new: usize) -> f64 {
        f64::from(score) / (n_new as f64).powf(self.length_penalty)
    }

    /// Whether a running beam, now of so many new tokens, may still become one of the best.
    fn can_improve(&self, n_new: usize) -> bool {
        let Some(best) = self.running.first() else { return false };
        let Some(worst) = self.finished.get(self.n - 1) else { return true };
        let n_new = match self.early_stopping {
            EarlyStopping::Immediately => return false,
            EarlyStopping::Never if self.length_penalty > 0.0 => {
                self.limits.max_length - self.limits.n_prompt
            }
            EarlyStopping::Guess | EarlyStopping::Never => n_new,
        };
        self.penalized(best.score, n_new) > worst.score
    }
}

impl Search for Beams {
    fn step(
        &mut self,
        scores: &mut [&mut [f32]],
        shaping: &mut Shaping<'_>,
        stop_strings: Option<StopStrings<'_>>,
    ) -> Result<Vec<usize>, Error> {
        let mut all: Vec<f32> = Vec::with_capacity(scores.iter().map(|it| it.len()).sum());
        for (beam, scores) in self.running.iter().zip(scores.iter_mut()) {
            shaping.apply(self.limits.place(&beam.tokens), scores);
            all.extend(scores.iter().map(|it| *it + beam.score));
        }
        let candidates = match &mut self.rng {
            Some(rng) => draw_several(&all, self.n_candidates, rng),
            None => highest(&all, self.n_candidates),
        };

        let n_scores = scores.first().map_or(1, |it| it.len());
        let mut next = Vec::new();
        for (rank, i) in candidates.into_iter().enumerate() {
            let source = i / n_scores;
            let mut tokens = self.running[source].tokens.clone();
            tokens.push((i % n_scores) as u32);
            let score = all[i];
            match self.limits.stop_of_text(&tokens, stop_strings)? {
                None => next.push((source, Beam { tokens, score })),
                // Those behind are only there so that enough go on.
                Some(stop) if rank < self.n => {
                    let n_new = tokens.len() - self.limits.n_prompt;
                    let score = self.penalized(score, n_new);
                    self.finished.push(Finished { tokens, score, stop });
                }
                Some(_) => {}
            }
        }
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.finished.truncate(self.n);
        // Candidates that were drawn are in the order of the draw.
        next.sort_by(|(_, a), (_, b)| b.score.total_cmp(&a.score));
        next.truncate(self.n);

        let n_new = next.first().map_or(0, |(_, it)| it.tokens.len() - self.limits.n_prompt);
        let sources;
        (sources, self.running) = next.into_iter().unzip();
        if !self.can_improve(n_new) {
            self.running.clear();
            return Ok(Vec::new());
        }
        Ok(sources)
    }

    fn rows(&self) -> Vec<&[u32]> {
        self.running.iter().map(|it| it.tokens.as_slice()).collect()
    }

    fn finish(self: Box<Self>) -> Vec<Continuation> {
        let n_prompt = self.limits.n_prompt;
        let texts = self.finished.into_iter().take(self.n_returned);
        texts
            .map(|it| Continuation {
                tokens: it.tokens[n_prompt..].to_vec(),
                score: Some(it.score),
                stop: it.stop,
            })
            .collect()
    }
}
