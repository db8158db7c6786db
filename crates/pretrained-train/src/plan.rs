use std::collections::BTreeMap;

use crate::{ArgumentError, IntervalStrategy, Order, SaveStrategy, TrainingArguments};

/// The sizes that a run depends on besides its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dims {
    /// Examples to train on.
    pub examples: usize,
    /// Examples to evaluate on; `None`: nothing is evaluated.
    pub eval_examples: Option<usize>,
    /// What the run's results depend on besides arguments and step, by name: the data's
    /// fingerprint, the dtype, the world size. A run that is resumed with other values is told
    /// that it does not go on exactly; with another [`FROZEN`](Dims::FROZEN) it does not go on.
    pub identity: BTreeMap<String, String>,
    /// The same of what only evaluations depend on, such as the fingerprint of their data. It counts
    /// where evaluations change the run: with early stopping, `load_best_model_at_end` or
    /// `reduce_lr_on_plateau`.
    pub eval_identity: BTreeMap<String, String>,
}

impl Dims {
    /// The name in [`identity`](Dims::identity) of what the run does not train, and has no state for.
    pub const FROZEN: &'static str = "frozen";
}

/// When what happens: the arguments in absolute numbers of steps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) micro_batches_per_epoch: u64,
    pub(crate) steps_per_epoch: u64,
    pub(crate) accumulation: u64,
    pub(crate) max_steps: u64,
    /// Epochs begun in the whole run.
    pub(crate) n_epochs: u64,
    pub(crate) logging_steps: u64,
    pub(crate) eval_steps: u64,
    pub(crate) save_steps: u64,
    logging: IntervalStrategy,
    logs_first_step: bool,
    eval: IntervalStrategy,
    eval_delay: f64,
    save: SaveStrategy,
}

/// What is to be done at some point of the run, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Todo {
    pub(crate) log: bool,
    pub(crate) evaluate: bool,
    pub(crate) save: bool,
}

impl Plan {
    pub(crate) fn new(args: &TrainingArguments, dims: &Dims) -> Result<Plan, ArgumentError> {
        args.check()?;
        // The lengths of the examples change the order, not the numbers.
        let sizes = Order::unordered(args, dims.examples)?;
        let steps_per_epoch = sizes.steps_per_epoch();
        let (max_steps, n_epochs) = match u64::try_from(args.max_steps) {
            Ok(max_steps @ 1..) => (max_steps, max_steps.div_ceil(steps_per_epoch)),
            _ => {
                let max_steps = (args.num_train_epochs * steps_per_epoch as f64).ceil() as u64;
                (max_steps, args.num_train_epochs.ceil() as u64)
            }
        };
        let eval =
            if dims.eval_examples.is_some() { args.eval_strategy } else { IntervalStrategy::No };
        if eval != args.eval_strategy {
            let reason = "needs data to evaluate on".to_owned();
            return Err(ArgumentError::Conflict { name: "eval_strategy".to_owned(), reason });
        }
        let absolute = |steps: f64| {
            let steps = if steps < 1.0 { (max_steps as f64 * steps).ceil() } else { steps };
            (steps as u64).max(1)
        };
        let eval_steps = args.resolved().eval_steps;
        Ok(Plan {
            micro_batches_per_epoch: sizes.micro_batches_per_epoch(),
            steps_per_epoch,
            accumulation: args.gradient_accumulation_steps as u64,
            max_steps,
            n_epochs,
            logging_steps: absolute(args.logging_steps),
            eval_steps: eval_steps.map_or(500, absolute),
            save_steps: absolute(args.save_steps),
            logging: args.logging_strategy,
            logs_first_step: args.logging_first_step,
            eval,
            eval_delay: args.eval_delay,
            save: args.save_strategy,
        })
    }

    /// Passes over the data after `done` steps.
    pub(crate) fn epoch(&self, done: u64) -> f64 {
        let Some(last) = done.checked_sub(1) else { return 0.0 };
        let in_epoch = (last % self.steps_per_epoch + 1).saturating_mul(self.accumulation);
        let in_epoch = in_epoch.min(self.micro_batches_per_epoch);
        (last / self.steps_per_epoch) as f64 + in_epoch as f64 / self.micro_batches_per_epoch as f64
    }

    /// Whether an epoch ends after `done` steps, or the run does and cuts it short.
    pub(crate) fn ends_epoch(&self, done: u64, is_stopping: bool) -> bool {
        done.is_multiple_of(self.steps_per_epoch) || done >= self.max_steps || is_stopping
    }

    /// What follows step number `done`, counting from 1.
    pub(crate) fn after_step(&self, done: u64) -> Todo {
        let is_last = done >= self.max_steps;
        let is_delayed = self.eval_delay > done as f64;
        let logs =
            self.logging == IntervalStrategy::Steps && done.is_multiple_of(self.logging_steps);
        let evaluates = is_last || done.is_multiple_of(self.eval_steps);
        let saves = is_last || done.is_multiple_of(self.save_steps);
        Todo {
            log: logs || self.logs_first_step && done == 1,
            evaluate: self.eval == IntervalStrategy::Steps && evaluates && !is_delayed,
            save: self.save == SaveStrategy::Steps && saves,
        }
    }

    /// What follows the end of an epoch, after what followed its last step.
    pub(crate) fn after_epoch(&self, done: u64) -> Todo {
        Todo {
            log: self.logging == IntervalStrategy::Epoch,
            evaluate: self.eval == IntervalStrategy::Epoch && self.eval_delay <= self.epoch(done),
            save: self.save == SaveStrategy::Epoch,
        }
    }
}
