use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    Difference, Dims, IntervalStrategy, LogEntry, TrainingArguments, json,
    plan::{Plan, Todo},
};

/// What going on exactly needs besides `trainer_state.json`, which may hold Hugging Face's keys
/// only.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ledger {
    /// Losses since the last log.
    pub(crate) since_log: Losses,
    /// Losses of the whole run.
    pub(crate) total: Losses,
    /// The last step's gradient norm and learning rate, for a log that is still to come.
    pub(crate) last_step: Option<(f64, f64)>,
    /// Evaluations without a better metric.
    pub(crate) patience: u64,
    /// The part of the step in which the checkpoint was written.
    pub(crate) phase: Phase,
    /// What of that part was left out.
    pub(crate) pending: Todo,
    /// The state of `reduce_lr_on_plateau`.
    pub(crate) plateau: Value,
    /// What the results depend on.
    pub(crate) facts: BTreeMap<String, String>,
}

/// A sum and what it is the sum of.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Losses {
    pub(crate) sum: f64,
    pub(crate) steps: u64,
}

/// What follows a step is done in two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// What follows every step.
    Step,
    /// What follows the last step of an epoch.
    Epoch,
}

impl Losses {
    /// What a log says of the steps that it was written for: each mean is that of the steps since the one
    /// before.
    pub(crate) fn of_log(log: &[LogEntry]) -> Losses {
        let mut losses = Losses::default();
        for entry in log {
            let loss = entry.get("loss").filter(|it| it.is_finite());
            let since = entry.step().saturating_sub(losses.steps);
            if let Some(loss) = loss.filter(|_| since > 0) {
                let sum = losses.sum + loss * since as f64;
                losses = Losses { sum, steps: entry.step() };
            }
        }
        losses
    }

    pub(crate) fn mean(&self) -> f64 {
        self.sum / self.steps.max(1) as f64
    }
}

impl Ledger {
    /// Its file in a checkpoint.
    pub(crate) const FILE: &'static str = "resume.json";

    pub(crate) fn new(args: &TrainingArguments, plan: &Plan, dims: &Dims) -> Ledger {
        Ledger {
            since_log: Losses::default(),
            total: Losses::default(),
            last_step: None,
            patience: 0,
            phase: Phase::Epoch,
            pending: Todo::default(),
            plateau: Value::Null,
            facts: facts(args, plan, dims),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let losses = |it: &Losses| json!({ "sum": json::number(it.sum), "steps": it.steps });
        let Todo { log, evaluate, save } = self.pending;
        let document = json!({
            "version": 1,
            "loss_since_log": losses(&self.since_log),
            "loss_total": losses(&self.total),
            "last_step": self.last_step.map(|(grad_norm, learning_rate)| json!({
                "grad_norm": json::number(grad_norm),
                "learning_rate": json::number(learning_rate),
            })),
            "early_stopping_patience_counter": self.patience,
            "phase": match self.phase { Phase::Step => "step", Phase::Epoch => "epoch" },
            "pending": { "log": log, "evaluate": evaluate, "save": save },
            "plateau": self.plateau,
            "facts": self.facts,
        });
        json::to_python(&document) + "\n"
    }

    /// Takes over what `text` holds of the run's progress; the facts stay as they are now.
    /// Returns how they differ, or `None` if the text is something else.
    pub(crate) fn restore(&mut self, text: &str) -> Option<Vec<Difference>> {
        let document = json::parse(text).ok()?;
        if document.get("version")?.as_u64()? != 1 {
            return None;
        }
        let losses = |name: &str| {
            let it = document.get(name)?;
            let (sum, steps) = (json::as_number(it.get("sum")?)?, it.get("steps")?.as_u64()?);
            Some(Losses { sum, steps })
        };
        let last_step = match document.get("last_step")? {
            Value::Null => None,
            it => {
                let number = |name: &str| json::as_number(it.get(name)?);
                Some((number("grad_norm")?, number("learning_rate")?))
            }
        };
        let pending = document.get("pending")?;
        let flag = |name: &str| pending.get(name)?.as_bool();
        let differences = self.differences(&document)?;
        *self = Ledger {
            since_log: losses("loss_since_log")?,
            total: losses("loss_total")?,
            last_step,
            patience: document.get("early_stopping_patience_counter")?.as_u64()?,
            phase: match document.get("phase")?.as_str()? {
                "step" => Phase::Step,
                "epoch" => Phase::Epoch,
                _ => return None,
            },
            pending: Todo { log: flag("log")?, evaluate: flag("evaluate")?, save: flag("save")? },
            plateau: document.get("plateau")?.clone(),
            facts: std::mem::take(&mut self.facts),
        };
        Some(differences)
    }

    /// What of another ledger's text is not as it is now; nothing is changed.
    pub(crate) fn differences_from(&self, text: &str) -> Option<Vec<Difference>> {
        self.differences(&json::parse(text).ok()?)
    }

    /// Facts that only one of the two knows are none of them: they were added by a later version.
    fn differences(&self, document: &Value) -> Option<Vec<Difference>> {
        let before = document.get("facts")?.as_object()?;
        let differences = self.facts.iter().filter_map(|(name, now)| {
            let before = before.get(name)?.as_str()?;
            (before != now).then(|| Difference {
                name: name.clone(),
                before: before.to_owned(),
                now: now.clone(),
            })
        });
        Some(differences.collect())
    }

    /// Hugging Face's record of callbacks, as it is at a save.
    pub(crate) fn callbacks(
        &self,
        args: &TrainingArguments,
        is_stopping: bool,
    ) -> Map<String, Value> {
        let mut res = Map::new();
        if let Some(patience) = args.early_stopping_patience {
            let state = json!({
                "args": {
                    "early_stopping_patience": patience,
                    "early_stopping_threshold": args.early_stopping_threshold,
                },
                "attributes": { "early_stopping_patience_counter": self.patience },
            });
            res.insert("EarlyStoppingCallback".to_owned(), state);
        }
        let control = json!({
            "args": {
                "should_epoch_stop": false,
                "should_evaluate": false,
                "should_log": false,
                "should_save": true,
                "should_training_stop": is_stopping,
            },
            "attributes": {},
        });
        res.insert("TrainerControl".to_owned(), control);
        res
    }
}

/// Everything that the numbers of a run depend on.
fn facts(args: &TrainingArguments, plan: &Plan, dims: &Dims) -> BTreeMap<String, String> {
    let mut res = dims.identity.clone();
    let mut names = ARGUMENTS.to_vec();
    if args.is_changed_by_evaluations() {
        names.extend(EVALUATION);
        res.extend(dims.eval_identity.clone());
        let n_examples = dims.eval_examples.unwrap_or_default();
        res.insert("number of examples to evaluate on".to_owned(), n_examples.to_string());
        if args.eval_strategy == IntervalStrategy::Steps {
            res.insert("eval_steps".to_owned(), plan.eval_steps.to_string());
        }
    }
    let values = names.iter().filter_map(|name| Some((*name, args.get(name)?)));
    res.extend(values.map(|(name, it)| (name.to_owned(), json::to_python(&it))));
    res.insert("data_seed".to_owned(), args.order_seed().to_string());
    res.insert("max_steps".to_owned(), plan.max_steps.to_string());
    res.insert("number of examples".to_owned(), dims.examples.to_string());
    res
}

const ARGUMENTS: &[&str] = &[
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "learning_rate",
    "lr_scheduler_type",
    "lr_scheduler_kwargs",
    "warmup_steps",
    "optim",
    "optim_args",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
    "label_smoothing_factor",
    "bf16",
    "seed",
    "dataloader_drop_last",
    "train_sampling_strategy",
];

/// What evaluations depend on, and what they lead to.
const EVALUATION: &[&str] = &[
    "eval_strategy",
    "eval_delay",
    "per_device_eval_batch_size",
    "load_best_model_at_end",
    "metric_for_best_model",
    "greater_is_better",
    "early_stopping_patience",
    "early_stopping_threshold",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_a_log_are_those_of_its_steps() {
        let entry = |step: u64, name: &str, value: f64| {
            let mut entry = LogEntry::default();
            entry.insert(name, value);
            entry.insert_count("step", step);
            entry
        };
        assert_eq!(Losses::of_log(&[]), Losses::default());
        let log = [
            entry(10, "loss", 4.0),
            entry(10, "eval_loss", 9.0),
            entry(15, "loss", f64::NAN),
            entry(20, "loss", 3.0),
            entry(25, "loss", 2.0),
            entry(25, "train_loss", 7.0),
        ];
        assert_eq!(Losses::of_log(&log), Losses { sum: 40.0 + 30.0 + 10.0, steps: 25 });
    }
}
