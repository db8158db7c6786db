use std::num::{NonZeroU64, NonZeroUsize};

use pretrained_checkpoint::Retention;

use crate::{TrainerState, TrainingArguments};

/// Which of the checkpoints at `steps` to keep.
///
/// The single best one counts against `save_total_limit`, as it does in Hugging Face's Trainer.
/// More best ones, and every n-th, have budgets of their own.
pub(crate) fn keep(args: &TrainingArguments, state: &TrainerState, steps: &[u64]) -> Retention {
    let limit = args.save_total_limit.and_then(|it| usize::try_from(it).ok());
    let limit = limit.and_then(NonZeroUsize::new).map(NonZeroUsize::get);
    let mut res = Retention::save_total_limit(limit, state.best_global_step);
    res.every = args.save_keep_every.and_then(NonZeroU64::new);
    res.pinned = best(args, state, steps).into_iter().collect();
    if let Some(step) = state.best_global_step {
        res.pinned.remove(&step);
    }
    res
}

/// The `save_best_limit` best of `steps`, best first.
fn best(args: &TrainingArguments, state: &TrainerState, steps: &[u64]) -> Vec<u64> {
    let Some(name) = args.best_metric_name() else { return Vec::new() };
    let evaluated = state.log_history.iter().filter_map(|it| Some((it.get(&name)?, it.step())));
    let mut evaluated: Vec<(f64, u64)> = evaluated
        .filter(|(metric, step)| !metric.is_nan() && steps.contains(step))
        .map(|(metric, step)| (if args.greater_is_better() { -metric } else { metric }, step))
        .collect();
    // Stable, so that of equals the first is best.
    evaluated.sort_by(|a, b| a.0.total_cmp(&b.0));
    evaluated.truncate(usize::try_from(args.save_best_limit).unwrap_or(usize::MAX));
    evaluated.into_iter().map(|it| it.1).collect()
}
