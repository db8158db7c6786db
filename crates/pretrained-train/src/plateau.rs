use serde_json::{Value, json};

use crate::{ArgumentError, TrainingArguments, json as python, schedule::Kwargs};

/// The learning rate of `reduce_lr_on_plateau`: torch's `ReduceLROnPlateau`, stepped with the
/// metric after each evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Plateau {
    is_max: bool,
    is_relative: bool,
    factor: f64,
    patience: f64,
    threshold: f64,
    cooldown: f64,
    min_lr: f64,
    eps: f64,

    /// The learning rate now.
    pub learning_rate: f64,
    best: f64,
    n_bad: f64,
    cooldown_left: f64,
}

impl Plateau {
    /// The state before the first evaluation.
    ///
    /// # Errors
    ///
    /// [`ArgumentError::Value`] if one of `lr_scheduler_kwargs` is not of its kind;
    /// [`ArgumentError::Conflict`] if the scheduler takes no such one, or `factor` is not below 1.
    pub fn new(args: &TrainingArguments) -> Result<Plateau, ArgumentError> {
        let mut kwargs = Kwargs { kwargs: args.lr_scheduler_kwargs.clone().unwrap_or_default() };
        let is_one = |kwargs: &mut Kwargs, name: &str, default: &str, other: &str| {
            let word = kwargs.word(name)?.unwrap_or_else(|| default.to_owned());
            match word == other || word == default {
                true => Ok(word == other),
                false => Err(kwargs.wrong(name, &word.into(), &format!("{default} or {other}"))),
            }
        };
        let is_max = is_one(&mut kwargs, "mode", "min", "max")?;
        let res = Plateau {
            is_max,
            is_relative: !is_one(&mut kwargs, "threshold_mode", "rel", "abs")?,
            factor: kwargs.number("factor")?.unwrap_or(0.1),
            patience: kwargs.number("patience")?.unwrap_or(10.0),
            threshold: kwargs.number("threshold")?.unwrap_or(1e-4),
            cooldown: kwargs.number("cooldown")?.unwrap_or(0.0),
            min_lr: kwargs.number("min_lr")?.unwrap_or(0.0),
            eps: kwargs.number("eps")?.unwrap_or(1e-8),
            learning_rate: args.learning_rate,
            best: if is_max { f64::NEG_INFINITY } else { f64::INFINITY },
            n_bad: 0.0,
            cooldown_left: 0.0,
        };
        if res.factor >= 1.0 {
            return Err(kwargs.conflict("factor must be below 1"));
        }
        kwargs.all_used(args.lr_scheduler_type)?;
        Ok(res)
    }

    /// Takes the metric of an evaluation into account.
    pub fn update(&mut self, metric: f64) {
        if self.is_better(metric) {
            self.best = metric;
            self.n_bad = 0.0;
        } else {
            self.n_bad += 1.0;
        }
        if self.cooldown_left > 0.0 {
            self.cooldown_left -= 1.0;
            self.n_bad = 0.0;
        }
        if self.n_bad > self.patience {
            let lower = (self.learning_rate * self.factor).max(self.min_lr);
            if self.learning_rate - lower > self.eps {
                self.learning_rate = lower;
            }
            self.cooldown_left = self.cooldown;
            self.n_bad = 0.0;
        }
    }

    /// What a checkpoint has to hold of it.
    pub(crate) fn state(&self) -> Value {
        json!({
            "learning_rate": python::number(self.learning_rate),
            "best": python::number(self.best),
            "num_bad_epochs": self.n_bad,
            "cooldown_counter": self.cooldown_left,
        })
    }

    /// Puts back what [`state`](Plateau::state) gave; false if that is not what it is.
    pub(crate) fn restore(&mut self, state: &Value) -> bool {
        let number = |name: &str| python::as_number(state.get(name)?);
        let fields = [
            ("learning_rate", &mut self.learning_rate),
            ("best", &mut self.best),
            ("num_bad_epochs", &mut self.n_bad),
            ("cooldown_counter", &mut self.cooldown_left),
        ];
        let mut is_whole = true;
        for (name, field) in fields {
            match number(name) {
                Some(it) => *field = it,
                None => is_whole = false,
            }
        }
        is_whole
    }

    fn is_better(&self, metric: f64) -> bool {
        match (self.is_max, self.is_relative) {
            (false, true) => metric < self.best * (1.0 - self.threshold),
            (true, true) => metric > self.best * (self.threshold + 1.0),
            (false, false) => metric < self.best - self.threshold,
            (true, false) => metric > self.best + self.threshold,
        }
    }
}
