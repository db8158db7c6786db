use std::time::Instant;

use pretrained_checkpoint::{Checkpoint, Checkpoints, Retention};

use crate::{
    Action, Dims, Error, Event, LogEntry, Plateau, Progress, SaveStrategy, Saved, Schedule,
    SchedulerType, StepReport, Task, TrainerState, TrainingArguments,
    args::CountTokens,
    ledger::{Ledger, Losses, Phase},
    plan::{Plan, Todo},
    retention,
    save::{Ended, Files, Saver},
};

/// A run between two steps.
pub(crate) struct Run<'scope, 'env, T: Task, F> {
    pub(crate) task: &'env mut T,
    pub(crate) args: &'env TrainingArguments,
    pub(crate) plan: Plan,
    pub(crate) n_examples: usize,
    n_eval_examples: usize,
    pub(crate) checkpoints: &'env Checkpoints,
    saver: Saver<'scope, 'env, T::Error>,
    on_event: F,

    pub(crate) state: TrainerState,
    pub(crate) ledger: Ledger,
    schedule: Schedule,
    pub(crate) plateau: Option<Plateau>,
    /// What the watcher has asked for since the last step.
    pub(crate) action: Action,
    pub(crate) last_saved: Option<u64>,
    /// The newest durable checkpoint that can be gone on from.
    pub(crate) resumable: Option<Checkpoint>,
    /// Where the best weights so far are, once they are saved.
    pub(crate) best: Option<Checkpoint>,
    /// Checkpoints ahead in the run's directory that are not its own.
    pub(crate) strangers: Vec<Checkpoint>,

    pub(crate) started: Instant,
    pub(crate) first_step: u64,
    pub(crate) first_tokens: u64,
}

impl<'scope, 'env, T: Task, A: Into<Action>, F: FnMut(&Event<'_>) -> A> Run<'scope, 'env, T, F> {
    pub(crate) fn new(
        task: &'env mut T,
        args: &'env TrainingArguments,
        plan: Plan,
        dims: &Dims,
        checkpoints: &'env Checkpoints,
        saver: Saver<'scope, 'env, T::Error>,
        on_event: F,
    ) -> Result<Self, Error<T::Error>> {
        let is_plateau = args.lr_scheduler_type == SchedulerType::ReduceLrOnPlateau;
        let mut run = Run {
            task,
            args,
            n_examples: dims.examples,
            n_eval_examples: dims.eval_examples.unwrap_or_default(),
            checkpoints,
            saver,
            on_event,
            state: TrainerState::default(),
            ledger: Ledger::new(args, &plan, dims),
            schedule: Schedule::new(args, plan.max_steps)?,
            plateau: if is_plateau { Some(Plateau::new(args)?) } else { None },
            plan,
            action: Action::CONTINUE,
            last_saved: None,
            resumable: None,
            best: None,
            strangers: Vec::new(),
            started: Instant::now(),
            first_step: 0,
            first_tokens: 0,
        };
        run.set_references();
        Ok(run)
    }

    /// Puts into the state what it holds of the arguments, whatever a checkpoint says.
    pub(crate) fn set_references(&mut self) {
        self.state.max_steps = self.plan.max_steps;
        self.state.num_train_epochs = self.plan.n_epochs;
        self.state.logging_steps = self.plan.logging_steps;
        self.state.eval_steps = self.plan.eval_steps;
        self.state.save_steps = self.plan.save_steps;
        self.state.train_batch_size = Some(self.args.per_device_train_batch_size as u64);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state.global_step >= self.plan.max_steps
    }

    /// Whether no further step is taken, though there may be more.
    pub(crate) fn is_stopping(&self) -> bool {
        self.action.stop || self.action.interrupt || self.is_patience_lost()
    }

    pub(crate) fn is_patience_lost(&self) -> bool {
        self.args.early_stopping_patience.is_some_and(|it| it <= self.ledger.patience)
    }

    pub(crate) fn emit(&mut self, event: &Event<'_>) {
        let action: Action = (self.on_event)(event).into();
        self.action.add(action);
    }

    /// Takes one optimizer step.
    pub(crate) fn step(&mut self) -> Result<(), Error<T::Error>> {
        self.settle(false)?;
        let step = self.state.global_step;
        let learning_rate = self.learning_rate(step);

        let start = Instant::now();
        let stepped = self.task.step(step, learning_rate);
        let stepped = stepped.map_err(|source| Error::Step { step: step + 1, source })?;

        self.add_loss(stepped.loss);
        self.ledger.last_step = Some((stepped.grad_norm, learning_rate));
        self.state.global_step = step + 1;
        self.state.epoch = self.plan.epoch(step + 1);
        self.state.total_flos += stepped.flos;
        self.state.num_input_tokens_seen += match self.args.include_num_input_tokens_seen {
            CountTokens::No => 0,
            CountTokens::All => stepped.tokens,
            CountTokens::NonPadding => stepped.tokens.saturating_sub(stepped.padding),
        };
        self.emit(&Event::Stepped(&StepReport {
            step: step + 1,
            max_steps: self.plan.max_steps,
            epoch: self.state.epoch,
            loss: stepped.loss,
            grad_norm: stepped.grad_norm,
            learning_rate,
            tokens: stepped.tokens,
            seconds: start.elapsed().as_secs_f64(),
        }));
        Ok(())
    }

    fn add_loss(&mut self, loss: f64) {
        let Losses { sum, steps } = self.ledger.since_log;
        let loss = match loss.is_finite() || !self.args.logging_nan_inf_filter {
            true => loss,
            // As Hugging Face does, the mean so far stands in.
            false => sum / (1 + steps) as f64,
        };
        self.ledger.since_log = Losses { sum: sum + loss, steps: steps + 1 };
        let Losses { sum, steps } = self.ledger.total;
        self.ledger.total = Losses { sum: sum + loss, steps: steps + 1 };
    }

    /// Does what follows a step; false if no further step is to be taken.
    pub(crate) fn after_step(&mut self) -> Result<bool, Error<T::Error>> {
        let done = self.state.global_step;
        let asked = Action { stop: false, interrupt: false, ..self.action };
        let todo = self.plan.after_step(done);
        let todo = Todo {
            log: todo.log || asked.log,
            evaluate: todo.evaluate || asked.evaluate,
            save: todo.save || asked.save,
        };
        self.action = Action { log: false, evaluate: false, save: false, ..self.action };
        self.perform(todo, Phase::Step)?;
        self.after_epoch()
    }

    /// Does what the run that wrote the checkpoint had still to do after its last step.
    pub(crate) fn catch_up(&mut self) -> Result<bool, Error<T::Error>> {
        let phase = self.ledger.phase;
        let pending = std::mem::take(&mut self.ledger.pending);
        self.perform(pending, phase)?;
        if phase == Phase::Step { self.after_epoch() } else { Ok(!self.is_stopping()) }
    }

    fn after_epoch(&mut self) -> Result<bool, Error<T::Error>> {
        let done = self.state.global_step;
        if !self.action.interrupt && self.plan.ends_epoch(done, self.is_stopping()) {
            self.perform(self.plan.after_epoch(done), Phase::Epoch)?;
        }
        Ok(!self.is_stopping())
    }

    fn perform(&mut self, mut todo: Todo, phase: Phase) -> Result<(), Error<T::Error>> {
        if todo.log {
            self.log();
            todo.log = false;
        }
        if self.action.interrupt {
            // There may be little time: what is left is left to the run that resumes.
            return self.save(phase, todo);
        }
        if todo.evaluate {
            let Some(metrics) = self.evaluate()? else { return self.save(phase, todo) };
            let is_best = self.note_best(&metrics)?;
            if self.args.save_strategy == SaveStrategy::Best {
                todo.save = is_best;
            }
        }
        if todo.save || self.action.interrupt {
            self.save(phase, Todo::default())?;
        }
        Ok(())
    }

    fn log(&mut self) {
        let since_log = self.ledger.since_log;
        if since_log.steps == 0 {
            return;
        }
        let mut entry = LogEntry::default();
        entry.insert("loss", since_log.mean());
        if let Some((grad_norm, learning_rate)) = self.ledger.last_step {
            entry.insert("grad_norm", grad_norm);
            entry.insert("learning_rate", learning_rate);
        }
        if self.args.include_num_input_tokens_seen != CountTokens::No {
            let n_tokens = self.state.num_input_tokens_seen - self.first_tokens;
            let seconds = self.started.elapsed().as_secs_f64();
            entry.insert_speeds("train", seconds, &[("tokens", n_tokens as f64)]);
        }
        self.ledger.since_log = Losses::default();
        self.log_entry(entry);
    }

    pub(crate) fn log_entry(&mut self, mut entry: LogEntry) {
        entry.insert("epoch", self.state.epoch);
        entry.insert_count("step", self.state.global_step);
        if self.args.include_num_input_tokens_seen != CountTokens::No {
            entry.insert_count("num_input_tokens_seen", self.state.num_input_tokens_seen);
        }
        self.state.log_history.push(entry.clone());
        self.emit(&Event::Logged(&entry));
    }

    /// Evaluates, logs it, and lets it act on patience and on the learning rate; nothing if it was
    /// interrupted.
    pub(crate) fn evaluate(&mut self) -> Result<Option<LogEntry>, Error<T::Error>> {
        let step = self.state.global_step;
        let start = Instant::now();
        let (on_event, action) = (&mut self.on_event, &mut self.action);
        let metrics = self.task.evaluate_while(&mut || {
            action.add(on_event(&Event::Evaluating).into());
            !action.interrupt
        });
        let metrics = metrics.map_err(|source| Error::Evaluate { step, source })?;
        let Some(metrics) = metrics else { return Ok(None) };

        let mut entry = LogEntry::default();
        let n_batches = self.n_eval_examples.div_ceil(self.args.per_device_eval_batch_size);
        let speeds = [("samples", self.n_eval_examples as f64), ("steps", n_batches as f64)];
        entry.insert_speeds("eval", start.elapsed().as_secs_f64(), &speeds);
        metrics.iter().for_each(|(name, value)| entry.insert(name, *value));
        self.log_entry(entry.clone());

        if let Some(name) = self.args.best_metric_name() {
            let metric = self.metric(&entry, &name)?;
            self.count_patience(metric);
            // An evaluation before the first step is none of the scheduler's.
            if let Some(plateau) = self.plateau.as_mut().filter(|_| step > 0) {
                plateau.update(metric);
            }
        }
        self.emit(&Event::Evaluated(&entry));
        Ok(Some(entry))
    }

    fn count_patience(&mut self, metric: f64) {
        let is_better = match self.state.best_metric {
            None => !metric.is_nan(),
            Some(best) => {
                self.is_better(metric, best)
                    && (metric - best).abs() > self.args.early_stopping_threshold
            }
        };
        self.ledger.patience = if is_better { 0 } else { self.ledger.patience + 1 };
    }

    /// Notes a metric that is better than all before it. A metric that is not a number never is.
    fn note_best(&mut self, metrics: &LogEntry) -> Result<bool, Error<T::Error>> {
        let Some(name) = self.args.best_metric_name() else { return Ok(false) };
        let metric = self.metric(metrics, &name)?;
        let worst = if self.args.greater_is_better() { f64::NEG_INFINITY } else { f64::INFINITY };
        let is_best = self.is_better(metric, self.state.best_metric.unwrap_or(worst));
        if is_best {
            self.state.best_metric = Some(metric);
            if self.args.save_strategy != SaveStrategy::No {
                self.state.best_global_step = Some(self.state.global_step);
            }
        }
        Ok(is_best)
    }

    fn is_better(&self, metric: f64, than: f64) -> bool {
        if self.args.greater_is_better() { metric > than } else { metric < than }
    }

    fn metric(&self, metrics: &LogEntry, name: &str) -> Result<f64, Error<T::Error>> {
        metrics.get(name).ok_or_else(|| Error::Metric {
            name: name.to_owned(),
            metrics: metrics.numbers().map(|it| it.0.to_owned()).collect(),
        })
    }

    fn save(&mut self, phase: Phase, pending: Todo) -> Result<(), Error<T::Error>> {
        let step = self.state.global_step;
        if self.last_saved == Some(step) {
            return Ok(());
        }
        // The one before it has to be done first, so that the best one is known to be there.
        self.settle(true)?;
        self.set_strangers_aside(step)?;
        self.note_where_best_is();
        let is_stopping = self.is_done() || self.action.stop || self.is_patience_lost();
        self.state.stateful_callbacks = self.ledger.callbacks(self.args, is_stopping);
        self.ledger.phase = phase;
        self.ledger.pending = pending;
        self.ledger.plateau = self.plateau.as_ref().map(Plateau::state).unwrap_or_default();
        let files = Files(vec![
            (ARGUMENTS, self.args.to_json() + "\n"),
            (Ledger::FILE, self.ledger.to_json()),
            (TrainerState::FILE, self.state.to_json()),
        ]);

        let what = match self.args.save_only_model {
            true => Saved::Model,
            false => Saved::Full(Progress { steps: step, learning_rate: self.learning_rate(step) }),
        };
        let keep = self.retention(step)?;
        let is_async = self.args.async_save;
        let ended = self.saver.save(self.task, step, what, files, keep, is_async);
        self.last_saved = Some(step);
        ended.into_iter().try_for_each(|it| self.report(it))
    }

    fn note_where_best_is(&mut self) {
        let Some(step) = self.state.best_global_step else { return };
        if self.best.as_ref().is_some_and(|it| it.step == step) {
            return;
        }
        let path = self.checkpoints.path_of(step);
        if step == self.state.global_step || path.is_dir() {
            self.state.best_model_checkpoint = Some(path.to_string_lossy().into_owned());
            self.best = Some(Checkpoint { step, path });
        }
    }

    /// Of step `step`, counting from 0.
    fn learning_rate(&self, step: u64) -> f64 {
        let rate = self.plateau.as_ref().map(|it| it.learning_rate);
        rate.unwrap_or_else(|| self.schedule.at(step))
    }

    pub(crate) fn retention(&self, step: u64) -> Result<Retention, Error<T::Error>> {
        let listed = self.checkpoints.list()?;
        let mut steps: Vec<u64> = listed.iter().map(|it| it.step).collect();
        steps.push(step);
        steps.retain(|step| self.strangers.iter().all(|it| it.step != *step));
        let foreign = self.strangers.iter().map(|it| it.step).collect();
        Ok(Retention { foreign, ..retention::keep(self.args, &self.state, &steps) })
    }

    /// Takes note of the save behind the steps; with `waits` once it has ended.
    pub(crate) fn settle(&mut self, waits: bool) -> Result<(), Error<T::Error>> {
        let ended = if waits { self.saver.wait() } else { self.saver.poll() };
        ended.map_or(Ok(()), |it| self.report(it))
    }

    fn report(&mut self, ended: Ended<T::Error>) -> Result<(), Error<T::Error>> {
        match ended {
            (_, stalled, Ok(published)) => {
                let (checkpoint, removed) = (&published.checkpoint, &published.removed[..]);
                self.emit(&Event::Saved { checkpoint, stalled, removed });
                if !self.args.save_only_model {
                    self.resumable = Some(published.checkpoint);
                }
                Ok(())
            }
            (step, _, Err(error)) if self.args.continue_on_save_error => {
                self.emit(&Event::NotSaved { step, error: &error });
                Ok(())
            }
            (_, _, Err(error)) => Err(error),
        }
    }
}

/// The run's arguments, in a checkpoint.
pub(crate) const ARGUMENTS: &str = "training_args.json";
