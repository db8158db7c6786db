//! Examples become tensors.

use pretrained_data::{Dataset, IGNORED};
use tch::{Device, Tensor};

use crate::{AutoModelForCausalLM, Error, loss::Targets};

/// Examples side by side, padded at the end to the length of the longest.
#[derive(Debug)]
pub(crate) struct Batch {
    input_ids: Vec<i64>,
    /// What each position should predict: the label of the next one.
    targets: Vec<i64>,
    rows: i64,
    /// Tokens that are there to fill a row.
    pub(crate) padding: u64,
    /// Rows whose first token has a label, which nothing predicts.
    first_labels: u64,
}

impl Batch {
    /// Puts these examples side by side. Refuses ids that are not in the model's vocabulary and
    /// texts that are longer than it can see.
    pub(crate) fn new(
        model: &AutoModelForCausalLM,
        dataset: &dyn Dataset,
        examples: &[usize],
    ) -> Result<Batch, Error> {
        let len = examples.iter().map(|&it| dataset.example_len(it)).max().unwrap_or_default();
        if len == 0 {
            return Err(Error::EmptyPrompt);
        }
        model.check_len(len)?;
        let rows = examples.len() as i64;
        let mut batch =
            Batch { input_ids: Vec::new(), targets: Vec::new(), rows, padding: 0, first_labels: 0 };
        for &i in examples {
            let example = dataset.example(i);
            let ids = &example.input_ids;
            model.check_tokens(ids)?;
            let label = |at: usize| match &example.labels {
                _ if at >= ids.len() => IGNORED.into(),
                Some(labels) => labels.get(at).map_or(IGNORED.into(), |&it| i64::from(it)),
                None => i64::from(ids[at]),
            };
            batch.first_labels += u64::from(label(0) != i64::from(IGNORED));
            for at in 0..len {
                // What stands on padding is seen by no token of the text.
                batch.input_ids.push(ids.get(at).map_or(0, |&it| it.into()));
                batch.targets.push(check_label(model, label(at + 1), at + 1)?);
            }
            batch.padding += (len - ids.len()) as u64;
        }
        Ok(batch)
    }

    /// How many predictions the loss is taken on.
    pub(crate) fn predictions(&self) -> u64 {
        self.targets.iter().filter(|&&it| it != i64::from(IGNORED)).count() as u64
    }

    /// How many labels the loss of an optimizer step is divided by in Hugging Face's Trainer. Of models
    /// whose class is not called after causal language models, GPT-2 that is, it takes the labels for
    /// shifted already, and counts each row's first.
    pub(crate) fn items(&self, model: &AutoModelForCausalLM) -> Result<u64, Error> {
        let is_shifted_later = model.config().causal_lm_class()?.contains("ForCausalLM");
        Ok(self.predictions() + if is_shifted_later { 0 } else { self.first_labels })
    }

    /// How many tokens there are, padding included.
    pub(crate) fn tokens(&self) -> u64 {
        self.input_ids.len() as u64
    }

    /// Token ids, (B, T).
    pub(crate) fn input_ids(&self, device: Device) -> Tensor {
        Tensor::from_slice(&self.input_ids).view([self.rows, -1]).to_device(device)
    }

    /// What all positions should predict.
    pub(crate) fn targets(&self, device: Device, label_smoothing: f64) -> Targets {
        Targets { ids: Tensor::from_slice(&self.targets).to_device(device), label_smoothing }
    }
}

fn check_label(model: &AutoModelForCausalLM, label: i64, position: usize) -> Result<i64, Error> {
    let vocab_size = model.vocab_size() as i64;
    if label == i64::from(IGNORED) || (0..vocab_size).contains(&label) {
        return Ok(label);
    }
    Err(Error::TokenId { id: label, position, vocab_size })
}
