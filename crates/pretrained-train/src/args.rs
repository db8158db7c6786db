mod check;
mod field;
mod json;
mod known;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Map, Value};

use self::field::{Bool, Count, Float, Int, Maybe, Name, Object, Spelling, Text, Words};

pub use self::{
    field::{CountTokens, IntervalStrategy, Optimizer, Sampling, SaveStrategy, SchedulerType},
    known::{FIELDS, other_names},
};

/// One argument: what a command line needs to offer it as an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldInfo {
    /// Its name in the struct and in JSON; options spell it with `-` for `_`.
    pub name: &'static str,
    /// The kind of value it takes, for help.
    pub value: &'static str,
    /// What it does, for help.
    pub help: &'static str,
    /// Whether it takes only `true` and `false`, so that a bare option means `true`.
    pub is_switch: bool,
}

/// An argument that cannot be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentError {
    /// No argument has this name.
    #[error("{name}: no such training argument{}", hint.as_ref().map(|it| format!(", did you mean {it}?")).unwrap_or_default())]
    Unknown {
        /// The name.
        name: String,
        /// A name that is close to it.
        hint: Option<String>,
    },
    /// The value is not of the argument's kind.
    #[error("{name}: {value} is not {expected}")]
    Value {
        /// The argument.
        name: String,
        /// The value.
        value: String,
        /// What would do.
        expected: String,
    },
    /// Hugging Face knows the argument; this value of it is not supported here.
    #[error("{name}: {value} is not supported, {way_out}")]
    Unsupported {
        /// The argument.
        name: String,
        /// The value.
        value: String,
        /// What to do.
        way_out: String,
    },
    /// Arguments contradict each other, or one is out of range.
    #[error("{name}: {reason}")]
    Conflict {
        /// The argument to change.
        name: String,
        /// Why.
        reason: String,
    },
    /// The text is not a JSON object.
    #[error("not a JSON object of training arguments: {0}")]
    Json(String),
}

/// Declares the struct, its defaults and the access to its fields by name.
macro_rules! arguments {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty, $spelling:ty, $default:expr;)+) => {
        /// How to train, in Hugging Face's names and with its defaults.
        ///
        /// Every field of transformers' `TrainingArguments` is known by name. Those that are
        /// fields here are obeyed. A value of another that would change what happens is refused,
        /// never ignored; see [`set`](TrainingArguments::set).
        #[derive(Debug, Clone, PartialEq)]
        pub struct TrainingArguments {
            $($(#[doc = $doc])+ pub $name: $type,)+
            /// Values of arguments that make no difference with one process and one device, such
            /// as `dataloader_num_workers`: kept, so that a file of arguments is written as it
            /// was read.
            pub without_effect: BTreeMap<String, Value>,
        }

        impl Default for TrainingArguments {
            fn default() -> TrainingArguments {
                TrainingArguments { $($name: $default,)+ without_effect: BTreeMap::new() }
            }
        }

        impl TrainingArguments {
            /// The value of a field of the struct.
            fn field(&self, name: &str) -> Option<Value> {
                match name {
                    $(stringify!($name) => Some(<$spelling as Spelling<$type>>::to_json(&self.$name)),)+
                    _ => None,
                }
            }

            /// Sets a field of the struct; `Some(false)`: the value is of another kind.
            fn set_field(&mut self, name: &str, value: &Value) -> Option<bool> {
                match name {
                    $(stringify!($name) => {
                        let parsed = <$spelling as Spelling<$type>>::from_json(value);
                        let is_parsed = parsed.is_some();
                        if let Some(it) = parsed {
                            self.$name = it;
                        }
                        Some(is_parsed)
                    })+
                    _ => None,
                }
            }
        }

        const SUPPORTED: &[FieldInfo] = &[$(FieldInfo {
            name: stringify!($name),
            value: <$spelling as Spelling<$type>>::NAME,
            help: concat!($($doc),+),
            is_switch: is_switch(<$spelling as Spelling<$type>>::NAME),
        },)+];
    };
}

arguments! {
    /// Directory of the run: checkpoints, metrics, report.
    output_dir: PathBuf, Text, PathBuf::from("trainer_output");
    /// Examples in a micro-batch.
    per_device_train_batch_size: usize, Int, 8;
    /// Passes over the data; a fraction ends in the middle of one.
    num_train_epochs: f64, Float, 3.0;
    /// Optimizer steps in the whole run; overrides num_train_epochs when above 0.
    max_steps: i64, Int, -1;
    /// Learning rate after warmup.
    learning_rate: f64, Float, 5e-5;
    /// Shape of the learning rate over the run.
    lr_scheduler_type: SchedulerType, Name, SchedulerType::Linear;
    /// Parameters of the scheduler.
    lr_scheduler_kwargs: Option<Map<String, Value>>, Maybe<Object>, None;
    /// Steps of warmup; below 1, a share of the run.
    warmup_steps: f64, Count, 0.0;
    /// Optimizer.
    optim: Optimizer, Name, Optimizer::AdamwTorchFused;
    /// Parameters of the optimizer, as "name=value,name=value".
    optim_args: Option<String>, Maybe<Text>, None;
    /// Decoupled weight decay; never on biases and norms.
    weight_decay: f64, Float, 0.0;
    /// Decay of the first moment.
    adam_beta1: f64, Float, 0.9;
    /// Decay of the second moment.
    adam_beta2: f64, Float, 0.999;
    /// Term that keeps Adam's denominator from zero.
    adam_epsilon: f64, Float, 1e-8;
    /// Micro-batches in one optimizer step.
    gradient_accumulation_steps: usize, Int, 1;
    /// Norm to which gradients are clipped; 0: not at all.
    max_grad_norm: f64, Float, 1.0;
    /// Share of the target spread over the vocabulary.
    label_smoothing_factor: f64, Float, 0.0;
    /// Computes in bfloat16 where that is safe; weights and moments stay as they are.
    bf16: bool, Bool, false;
    /// Keeps no activations inside layers and computes them again for the gradient.
    activation_checkpointing: bool, Bool, false;
    /// When the loss is logged.
    logging_strategy: IntervalStrategy, Name, IntervalStrategy::Steps;
    /// Steps between logs; below 1, a share of the run.
    logging_steps: f64, Count, 500.0;
    /// Logs the first step too.
    logging_first_step: bool, Bool, false;
    /// Leaves losses that are not finite out of the logged mean.
    logging_nan_inf_filter: bool, Bool, true;
    /// Which input tokens are counted in the logs.
    include_num_input_tokens_seen: CountTokens, Name, CountTokens::No;
    /// Shows no progress bar.
    disable_tqdm: bool, Bool, false;
    /// Where metrics go besides the run's own files: tensorboard, all or none.
    report_to: Vec<String>, Words, Vec::new();
    /// A name for the run, shown in its report.
    run_name: Option<String>, Maybe<Text>, None;
    /// When the model is evaluated.
    eval_strategy: IntervalStrategy, Name, IntervalStrategy::No;
    /// Steps between evaluations; below 1, a share of the run; default: logging_steps.
    eval_steps: Option<f64>, Maybe<Count>, None;
    /// Steps or epochs, by eval_strategy, before the first evaluation.
    eval_delay: f64, Count, 0.0;
    /// Examples in an evaluation batch.
    per_device_eval_batch_size: usize, Int, 8;
    /// Evaluates once before the first step.
    eval_on_start: bool, Bool, false;
    /// Saves no optimizer state: smaller, but training cannot go on exactly.
    save_only_model: bool, Bool, false;
    /// When a checkpoint is written.
    save_strategy: SaveStrategy, Name, SaveStrategy::Steps;
    /// Steps between checkpoints; below 1, a share of the run.
    save_steps: f64, Count, 500.0;
    /// Newest checkpoints to keep; default: all.
    save_total_limit: Option<i64>, Maybe<Int>, None;
    /// Loads the weights of the best checkpoint after the last step.
    load_best_model_at_end: bool, Bool, false;
    /// Metric that decides which checkpoint is best.
    metric_for_best_model: Option<String>, Maybe<Text>, None;
    /// Whether a greater metric is better; default: unless its name ends in "loss".
    greater_is_better: Option<bool>, Maybe<Bool>, None;
    /// Seed of everything random.
    seed: u64, Int, 42;
    /// Seed of the order of the data; default: seed.
    data_seed: Option<u64>, Maybe<Int>, None;
    /// Stays on the CPU.
    use_cpu: bool, Bool, false;
    /// Leaves out a last batch that is not full.
    dataloader_drop_last: bool, Bool, false;
    /// Order of the examples in an epoch.
    train_sampling_strategy: Sampling, Name, Sampling::Random;
    /// Directory for TensorBoard's files; default: runs/DATE_HOST in output_dir.
    logging_dir: Option<PathBuf>, Maybe<Text>, None;
    /// Stops after this many evaluations without a better metric.
    early_stopping_patience: Option<u64>, Maybe<Int>, None;
    /// By how much a metric must be better to count.
    early_stopping_threshold: f64, Float, 0.0;
    /// Also keeps every checkpoint whose step is a multiple of this.
    save_keep_every: Option<u64>, Maybe<Int>, None;
    /// Best checkpoints to keep, apart from save_total_limit.
    save_best_limit: u64, Int, 1;
    /// Writes checkpoints behind the next steps.
    async_save: bool, Bool, true;
    /// Goes on without a checkpoint that could not be written, and says so.
    continue_on_save_error: bool, Bool, false;
    /// Keeps the optimizer's state in optimizer.pt and scheduler.pt, from which Hugging Face's Trainer can go on.
    hf_trainer_compatible: bool, Bool, false;
}

impl TrainingArguments {
    /// Sets one argument from the text of an option.
    ///
    /// # Errors
    ///
    /// As [`set_value`](TrainingArguments::set_value).
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ArgumentError> {
        self.set_value(name, &Value::String(value.to_owned()))
    }

    /// The seed of the order of the data.
    pub fn order_seed(&self) -> u64 {
        self.data_seed.unwrap_or(self.seed)
    }

    /// `metric_for_best_model` as it is named in the results of an evaluation.
    pub fn best_metric_name(&self) -> Option<String> {
        let name = self.metric_for_best_model.as_ref()?;
        Some(if name.starts_with("eval_") { name.clone() } else { format!("eval_{name}") })
    }

    /// Whether a greater value of `metric_for_best_model` is better.
    pub fn greater_is_better(&self) -> bool {
        let by_name =
            || !self.metric_for_best_model.as_ref().is_some_and(|it| it.ends_with("loss"));
        self.greater_is_better.unwrap_or_else(by_name)
    }

    /// Whether metrics go to TensorBoard.
    pub fn reports_to_tensorboard(&self) -> bool {
        self.report_to.iter().any(|it| it == "tensorboard" || it == "all")
    }
}

const fn is_switch(value: &str) -> bool {
    matches!(value.as_bytes(), b"BOOL")
}
