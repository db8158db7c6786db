use super::{ArgumentError, IntervalStrategy, SaveStrategy, SchedulerType, TrainingArguments};

impl TrainingArguments {
    /// Checks ranges and combinations, as transformers does when arguments are made.
    ///
    /// # Errors
    ///
    /// [`ArgumentError::Conflict`] if one is out of range, or contradicts another;
    /// [`ArgumentError::Unsupported`] if `report_to` names what does not exist here.
    pub fn check(&self) -> Result<(), ArgumentError> {
        let args = self.resolved();
        args.check_ranges()?;
        args.check_steps("logging_steps", args.logging_strategy, Some(args.logging_steps))?;
        args.check_steps("eval_steps", args.eval_strategy, args.eval_steps)?;
        let save = match args.save_strategy {
            SaveStrategy::Steps => IntervalStrategy::Steps,
            _ => IntervalStrategy::No,
        };
        args.check_steps("save_steps", save, Some(args.save_steps))?;
        args.check_reports()?;
        args.check_best()?;

        let no_eval = args.eval_strategy == IntervalStrategy::No;
        if args.lr_scheduler_type == SchedulerType::ReduceLrOnPlateau && no_eval {
            return conflict("lr_scheduler_type", "reduce_lr_on_plateau needs an eval_strategy");
        }
        if args.early_stopping_patience.is_some() && no_eval {
            return conflict("early_stopping_patience", "needs an eval_strategy");
        }
        Ok(())
    }

    /// The arguments with those filled in that follow from others.
    pub fn resolved(&self) -> TrainingArguments {
        let mut res = self.clone();
        if res.eval_strategy == IntervalStrategy::Steps && res.eval_steps.is_none_or(|it| it == 0.0)
        {
            res.eval_steps = Some(res.logging_steps);
        }
        if res.eval_strategy != IntervalStrategy::No {
            res.without_effect.insert("do_eval".to_owned(), true.into());
        }
        if res.is_changed_by_evaluations() && res.metric_for_best_model.is_none() {
            res.metric_for_best_model = Some("loss".to_owned());
        }
        if res.metric_for_best_model.is_some() {
            res.greater_is_better = Some(res.greater_is_better());
        }
        res
    }

    /// Whether what a run comes to depends on its evaluations.
    pub(crate) fn is_changed_by_evaluations(&self) -> bool {
        self.load_best_model_at_end
            || self.early_stopping_patience.is_some()
            || self.lr_scheduler_type == SchedulerType::ReduceLrOnPlateau
    }

    fn check_ranges(&self) -> Result<(), ArgumentError> {
        let at_least_1 = [
            ("per_device_train_batch_size", self.per_device_train_batch_size),
            ("per_device_eval_batch_size", self.per_device_eval_batch_size),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps),
        ];
        if let Some((name, _)) = at_least_1.iter().find(|it| it.1 == 0) {
            return conflict(name, "must be at least 1");
        }
        let not_negative = [
            ("learning_rate", self.learning_rate),
            ("warmup_steps", self.warmup_steps),
            ("weight_decay", self.weight_decay),
            ("adam_epsilon", self.adam_epsilon),
            ("eval_delay", self.eval_delay),
            ("early_stopping_threshold", self.early_stopping_threshold),
        ];
        if let Some((name, value)) = not_negative.iter().find(|it| it.1.is_nan() || it.1 < 0.0) {
            return conflict(name, &format!("must not be negative, it is {value}"));
        }
        let below_1 = [
            ("adam_beta1", self.adam_beta1),
            ("adam_beta2", self.adam_beta2),
            ("label_smoothing_factor", self.label_smoothing_factor),
        ];
        if let Some((name, value)) = below_1.iter().find(|it| !(0.0..1.0).contains(&it.1)) {
            return conflict(name, &format!("must be from 0 to below 1, it is {value}"));
        }
        if self.max_steps <= 0 && !(self.num_train_epochs > 0.0 && self.num_train_epochs < 1e9) {
            return conflict("num_train_epochs", "must be above 0 when max_steps is not given");
        }
        Ok(())
    }

    fn check_steps(
        &self,
        name: &str,
        strategy: IntervalStrategy,
        steps: Option<f64>,
    ) -> Result<(), ArgumentError> {
        let (IntervalStrategy::Steps, Some(steps)) = (strategy, steps) else { return Ok(()) };
        if !(steps > 0.0 && steps < 1e15) {
            return conflict(name, "must be above 0");
        }
        if steps > 1.0 && steps.fract() != 0.0 {
            return conflict(name, &format!("must be an integer when above 1, it is {steps}"));
        }
        Ok(())
    }

    /// A watcher that is asked for and does not exist would be missed only after the run.
    fn check_reports(&self) -> Result<(), ArgumentError> {
        match self
            .report_to
            .iter()
            .find(|it| !["all", "none", "tensorboard"].contains(&it.as_str()))
        {
            Some(it) => Err(ArgumentError::Unsupported {
                name: "report_to".to_owned(),
                value: it.clone(),
                way_out: "use tensorboard, all or none".to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// What `save_strategy = best` and `load_best_model_at_end` ask of the other arguments.
    fn check_best(&self) -> Result<(), ArgumentError> {
        if self.save_strategy == SaveStrategy::Best {
            if self.metric_for_best_model.is_none() {
                return conflict("save_strategy", "best needs metric_for_best_model");
            }
            if self.eval_strategy == IntervalStrategy::No {
                return conflict("save_strategy", "best needs an eval_strategy");
            }
            return Ok(());
        }
        if !self.load_best_model_at_end {
            return Ok(());
        }
        let name = "load_best_model_at_end";
        if self.eval_strategy.name() != self.save_strategy.name() {
            return conflict(name, "needs eval_strategy and save_strategy to be the same");
        }
        let (save, eval) = (self.save_steps, self.eval_steps.unwrap_or(self.save_steps));
        if self.eval_strategy == IntervalStrategy::Steps {
            if (save < 1.0) != (eval < 1.0) {
                return conflict(
                    name,
                    "cannot mix a ratio and a number in save_steps and eval_steps",
                );
            }
            // Ratios are scaled as transformers scales them, to spare them rounding.
            let scale = if save < 1.0 { 1e6 } else { 1.0 };
            if (save * scale) % (eval * scale) != 0.0 {
                return conflict(name, "needs save_steps to be a multiple of eval_steps");
            }
        }
        Ok(())
    }
}

fn conflict<T>(name: &str, reason: &str) -> Result<T, ArgumentError> {
    Err(ArgumentError::Conflict { name: name.to_owned(), reason: reason.to_owned() })
}
