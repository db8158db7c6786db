use crate::{ArgumentError, Sampling, TrainingArguments, mt19937::randperm};

/// Which examples make up which optimizer step: Hugging Face's order for the same seed.
///
/// A pure function of the arguments, the number of examples and the step. Seeking costs at most
/// one permutation, wherever the step is.
#[derive(Debug, Clone)]
pub struct Order {
    n_examples: u32,
    batch_size: usize,
    accumulation: usize,
    drop_last: bool,
    seed: u64,
    sampling: Sampling,
    lengths: Vec<usize>,
    /// The epoch whose order was asked for last, with that order.
    epoch: Option<(u64, Vec<u32>)>,
}

impl Order {
    /// The order in which a run with `args` visits `n_examples` examples.
    ///
    /// # Errors
    ///
    /// What [`check`](TrainingArguments::check) finds, and [`ArgumentError::Conflict`] if there are
    /// no examples, 2^32 or more, fewer than a batch where `dataloader_drop_last` drops it, or if
    /// they are to be grouped by length.
    pub fn new(args: &TrainingArguments, n_examples: usize) -> Result<Order, ArgumentError> {
        if args.train_sampling_strategy == Sampling::GroupByLength {
            let reason = "group_by_length needs the examples' lengths".to_owned();
            return Err(ArgumentError::Conflict { name: "train_sampling_strategy".into(), reason });
        }
        Order::with_lengths(args, n_examples, Vec::new())
    }

    /// The same, for sampling strategies that look at lengths too.
    ///
    /// # Errors
    ///
    /// As [`new`](Order::new), but for lengths.
    pub fn by_length(
        args: &TrainingArguments,
        lengths: Vec<usize>,
    ) -> Result<Order, ArgumentError> {
        Order::with_lengths(args, lengths.len(), lengths)
    }

    /// An order of which only the numbers of batches are asked.
    pub(crate) fn unordered(
        args: &TrainingArguments,
        n_examples: usize,
    ) -> Result<Order, ArgumentError> {
        Order::with_lengths(args, n_examples, Vec::new())
    }

    fn with_lengths(
        args: &TrainingArguments,
        n_examples: usize,
        lengths: Vec<usize>,
    ) -> Result<Order, ArgumentError> {
        args.check()?;
        let conflict = |name: &str, reason: &str| ArgumentError::Conflict {
            name: name.to_owned(),
            reason: reason.to_owned(),
        };
        let res = Order {
            n_examples: u32::try_from(n_examples)
                .map_err(|_| conflict("train_dataset", "has 2^32 examples or more"))?,
            batch_size: args.per_device_train_batch_size,
            accumulation: args.gradient_accumulation_steps,
            drop_last: args.dataloader_drop_last,
            seed: args.order_seed(),
            sampling: args.train_sampling_strategy,
            lengths,
            epoch: None,
        };
        if n_examples == 0 {
            return Err(conflict("train_dataset", "has no examples"));
        }
        if res.micro_batches_per_epoch() == 0 {
            return Err(conflict("dataloader_drop_last", "leaves no batch, the data is too small"));
        }
        Ok(res)
    }

    /// Micro-batches in one pass over the data.
    pub fn micro_batches_per_epoch(&self) -> u64 {
        let (n, batch_size) = (u64::from(self.n_examples), self.batch_size as u64);
        if self.drop_last { n / batch_size } else { n.div_ceil(batch_size) }
    }

    /// Optimizer steps in one pass over the data.
    pub fn steps_per_epoch(&self) -> u64 {
        self.micro_batches_per_epoch().div_ceil(self.accumulation as u64)
    }

    /// The micro-batches of optimizer step `step`, counting from 0, as numbers of examples.
    ///
    /// The last step of an epoch may have fewer of them, and the last one may be shorter.
    pub fn micro_batches(&mut self, step: u64) -> Vec<Vec<usize>> {
        let (batch_size, drop_last) = (self.batch_size, self.drop_last);
        let per_step = batch_size.saturating_mul(self.accumulation);
        let first = ((step % self.steps_per_epoch()) as usize).saturating_mul(per_step);

        let indices = self.epoch(step / self.steps_per_epoch());
        let last = first.saturating_add(per_step).min(indices.len());
        let group = indices[first..last].chunks(batch_size);
        let group = group.filter(|it| !drop_last || it.len() == batch_size);
        group.map(|it| it.iter().map(|i| *i as usize).collect()).collect()
    }

    /// All examples in the order in which epoch `epoch` visits them.
    pub fn epoch(&mut self, epoch: u64) -> &[u32] {
        if self.epoch.as_ref().is_none_or(|it| it.0 != epoch) {
            self.epoch = None;
            self.epoch = Some((epoch, self.draw(epoch)));
        }
        self.epoch.as_ref().map_or(&[], |it| &it.1)
    }

    fn draw(&self, epoch: u64) -> Vec<u32> {
        let seed = self.seed.wrapping_add(epoch);
        match self.sampling {
            Sampling::Random => randperm(self.n_examples, seed),
            Sampling::Sequential => (0..self.n_examples).collect(),
            Sampling::GroupByLength => {
                let batch_size = self.batch_size.saturating_mul(self.accumulation);
                group_by_length(randperm(self.n_examples, seed), &self.lengths, batch_size)
            }
        }
    }
}

/// `get_length_grouped_indices` of transformers.
fn group_by_length(mut indices: Vec<u32>, lengths: &[usize], batch_size: usize) -> Vec<u32> {
    let n_batches = (indices.len() / batch_size.saturating_mul(4)).clamp(1, 50);
    let size = n_batches.saturating_mul(batch_size);
    let length = |i: u32| lengths[i as usize];
    for megabatch in indices.chunks_mut(size) {
        megabatch.sort_by_key(|it| std::cmp::Reverse(length(*it)));
    }
    // The longest example comes first, so that it is now that memory runs out, if ever.
    let firsts = (0..indices.len()).step_by(size);
    let longest = firsts
        .fold(0, |best, it| if length(indices[it]) > length(indices[best]) { it } else { best });
    indices.swap(0, longest);
    indices
}
