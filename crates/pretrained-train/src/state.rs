use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::json;

/// One entry of `log_history`: numbers by name, as Hugging Face logs them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogEntry(BTreeMap<String, Value>);

impl LogEntry {
    /// The number with this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        json::as_number(self.0.get(name)?)
    }

    /// The step of the entry.
    pub fn step(&self) -> u64 {
        self.0.get("step").and_then(Value::as_u64).unwrap_or_default()
    }

    /// Adds a number that is written with a decimal point.
    pub fn insert(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), json::number(value));
    }

    /// Adds a count.
    pub fn insert_count(&mut self, name: &str, value: u64) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Adds a duration and what was done in it, rounded as Hugging Face rounds them.
    pub(crate) fn insert_speeds(&mut self, split: &str, seconds: f64, done: &[(&str, f64)]) {
        let round = |value: f64, scale: f64| (value * scale).round() / scale;
        self.insert(&format!("{split}_runtime"), round(seconds, 1e4));
        for (what, count) in done {
            let per_second = count / seconds.max(1e-9);
            self.insert(&format!("{split}_{what}_per_second"), round(per_second, 1e3));
        }
    }

    /// All numbers, by name.
    pub fn numbers(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().filter_map(|(name, it)| Some((name.as_str(), json::as_number(it)?)))
    }

    /// The entry that [`to_json_line`](LogEntry::to_json_line) wrote.
    pub(crate) fn parse_line(line: &str) -> Option<LogEntry> {
        let fields: Map<String, Value> = serde_json::from_str(line).ok()?;
        let nan = |it: Value| if it.is_null() { json::number(f64::NAN) } else { it };
        Some(LogEntry(fields.into_iter().map(|(name, it)| (name, nan(it))).collect()))
    }

    /// The entry as JSON on one line, in which numbers that are not finite are `null`.
    pub fn to_json_line(&self) -> String {
        let finite = self.0.iter().map(|(name, it)| {
            let is_finite = json::as_number(it).is_none_or(f64::is_finite);
            (name.clone(), if is_finite { it.clone() } else { Value::Null })
        });
        Value::Object(finite.collect()).to_string()
    }
}

/// `trainer_state.json`: how far a run has come, with Hugging Face's keys and no others, since it
/// refuses a file that has others.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names are Hugging Face's, explained in its TrainerState")]
pub struct TrainerState {
    pub best_global_step: Option<u64>,
    pub best_metric: Option<f64>,
    pub best_model_checkpoint: Option<String>,
    pub epoch: f64,
    pub eval_steps: u64,
    pub global_step: u64,
    pub is_hyper_param_search: bool,
    pub is_local_process_zero: bool,
    pub is_world_process_zero: bool,
    pub log_history: Vec<LogEntry>,
    pub logging_steps: u64,
    pub max_steps: u64,
    pub num_input_tokens_seen: u64,
    pub num_train_epochs: u64,
    pub save_steps: u64,
    pub stateful_callbacks: Map<String, Value>,
    pub total_flos: f64,
    pub train_batch_size: Option<u64>,
    pub trial_name: Value,
    pub trial_params: Value,
}

impl Default for TrainerState {
    fn default() -> TrainerState {
        TrainerState {
            best_global_step: None,
            best_metric: None,
            best_model_checkpoint: None,
            epoch: 0.0,
            eval_steps: 500,
            global_step: 0,
            is_hyper_param_search: false,
            is_local_process_zero: true,
            is_world_process_zero: true,
            log_history: Vec::new(),
            logging_steps: 500,
            max_steps: 0,
            num_input_tokens_seen: 0,
            num_train_epochs: 0,
            save_steps: 500,
            stateful_callbacks: Map::new(),
            total_flos: 0.0,
            train_batch_size: None,
            trial_name: Value::Null,
            trial_params: Value::Null,
        }
    }
}

/// Text that is no `trainer_state.json`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StateError(String);

impl TrainerState {
    /// Its file in a checkpoint.
    pub const FILE: &'static str = "trainer_state.json";

    /// Parses the file; keys that are missing have their default, keys that nobody knows are
    /// passed over.
    ///
    /// # Errors
    ///
    /// If the text is no JSON object, or one of its keys has a value of another kind.
    pub fn parse(text: &str) -> Result<TrainerState, StateError> {
        let document = json::parse(text).map_err(|e| StateError(e.to_string()))?;
        let Value::Object(document) = document else {
            return Err(StateError("not a JSON object".to_owned()));
        };
        let default = TrainerState::default();
        let keys = Keys(&document);
        Ok(TrainerState {
            best_global_step: keys.count("best_global_step")?,
            best_metric: keys.number("best_metric")?,
            best_model_checkpoint: keys.text("best_model_checkpoint")?,
            epoch: keys.number("epoch")?.unwrap_or_default(),
            eval_steps: keys.count("eval_steps")?.unwrap_or(default.eval_steps),
            global_step: keys.count("global_step")?.unwrap_or_default(),
            is_hyper_param_search: keys.flag("is_hyper_param_search")?.unwrap_or(false),
            is_local_process_zero: keys.flag("is_local_process_zero")?.unwrap_or(true),
            is_world_process_zero: keys.flag("is_world_process_zero")?.unwrap_or(true),
            log_history: keys.log_history()?,
            logging_steps: keys.count("logging_steps")?.unwrap_or(default.logging_steps),
            max_steps: keys.count("max_steps")?.unwrap_or_default(),
            num_input_tokens_seen: keys.count("num_input_tokens_seen")?.unwrap_or_default(),
            num_train_epochs: keys.count("num_train_epochs")?.unwrap_or_default(),
            save_steps: keys.count("save_steps")?.unwrap_or(default.save_steps),
            stateful_callbacks: match document.get("stateful_callbacks") {
                None | Some(Value::Null) => Map::new(),
                Some(Value::Object(it)) => it.clone(),
                Some(_) => return Err(StateError("stateful_callbacks: not an object".to_owned())),
            },
            total_flos: keys.number("total_flos")?.unwrap_or_default(),
            train_batch_size: keys.count("train_batch_size")?,
            trial_name: document.get("trial_name").cloned().unwrap_or_default(),
            trial_params: document.get("trial_params").cloned().unwrap_or_default(),
        })
    }

    /// The file, byte for byte as Hugging Face writes it.
    pub fn to_json(&self) -> String {
        let log_history = self.log_history.iter();
        let log_history = log_history.map(|it| Value::Object(it.0.clone().into_iter().collect()));
        let document = json!({
            "best_global_step": self.best_global_step,
            "best_metric": self.best_metric.map(json::number),
            "best_model_checkpoint": self.best_model_checkpoint,
            "epoch": json::number(self.epoch),
            "eval_steps": self.eval_steps,
            "global_step": self.global_step,
            "is_hyper_param_search": self.is_hyper_param_search,
            "is_local_process_zero": self.is_local_process_zero,
            "is_world_process_zero": self.is_world_process_zero,
            "log_history": log_history.collect::<Vec<_>>(),
            "logging_steps": self.logging_steps,
            "max_steps": self.max_steps,
            "num_input_tokens_seen": self.num_input_tokens_seen,
            "num_train_epochs": self.num_train_epochs,
            "save_steps": self.save_steps,
            "stateful_callbacks": json::sorted(&Value::Object(self.stateful_callbacks.clone())),
            "total_flos": json::number(self.total_flos),
            "train_batch_size": self.train_batch_size,
            "trial_name": self.trial_name,
            "trial_params": self.trial_params,
        });
        json::to_python(&document) + "\n"
    }
}

/// Typed access to the keys of a document.
struct Keys<'a>(&'a Map<String, Value>);

impl Keys<'_> {
    fn get<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, StateError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let wrong = || StateError(format!("{name}: {value} is not {expected}"));
                parse(value).map(Some).ok_or_else(wrong)
            }
        }
    }

    fn count(&self, name: &str) -> Result<Option<u64>, StateError> {
        // Python writes 10.0 where a user gave a float.
        let integral = |it: &f64| it.fract() == 0.0 && (0.0..2f64.powi(53)).contains(it);
        let count = |it: &Value| it.as_u64().or(it.as_f64().filter(integral).map(|it| it as u64));
        self.get(name, "a count", count)
    }

    fn number(&self, name: &str) -> Result<Option<f64>, StateError> {
        self.get(name, "a number", json::as_number)
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, StateError> {
        self.get(name, "true or false", Value::as_bool)
    }

    fn text(&self, name: &str) -> Result<Option<String>, StateError> {
        self.get(name, "text", |it| it.as_str().map(str::to_owned))
    }

    fn log_history(&self) -> Result<Vec<LogEntry>, StateError> {
        let entry = |it: &Value| Some(LogEntry(it.as_object()?.clone().into_iter().collect()));
        let entries = |it: &Value| it.as_array()?.iter().map(entry).collect();
        Ok(self.get("log_history", "a list of objects", entries)?.unwrap_or_default())
    }
}
