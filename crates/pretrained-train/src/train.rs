use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use pretrained_checkpoint::{Checkpoint, Checkpoints, Reason, verify};

use crate::{
    Action, Dims, Error, Event, LogEntry, Started, Task, TrainerState, TrainingArguments,
    plan::Plan, resume, run::Run, save::Saver,
};

/// Where a run begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Resume {
    /// At step 0. An error if the run has checkpoints already: they are not overwritten.
    #[default]
    No,
    /// After the newest checkpoint that is whole and that the task can restore.
    Latest,
    /// After this checkpoint.
    From(PathBuf),
}

/// Why a run took no further step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It took all of them.
    Completed,
    /// The metric did not get better any more (`early_stopping_patience`).
    EarlyStopping,
    /// The watcher asked for it.
    Stopped,
    /// The watcher asked for it with [`Action::SAVE_AND_STOP`]; resuming goes on exactly.
    Interrupted,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub ended: Ended,
    /// How far it came, with the whole log.
    pub state: TrainerState,
    /// Mean loss over the steps of the run; NaN where none is known: of a run that was taken over at its end,
    /// without a log.
    pub train_loss: f64,
    /// The run's summary, as it is in the log.
    pub metrics: LogEntry,
    /// The newest durable checkpoint that can be gone on from: this run's, or the one that it went on
    /// from itself. `None`: an interrupted run has to begin again.
    pub resumable: Option<Checkpoint>,
}

/// Runs `task` to the end of what `args` say, and keeps `checkpoints` on the way.
///
/// `on_event` is told everything and may ask for something in return. After a step it is logged,
/// evaluated and saved in this order; then the same once more where an epoch ends.
///
/// # Errors
///
/// [`Error::Arguments`] if `args` and `dims` make no run; [`Error::HasCheckpoints`],
/// [`Error::NoCheckpoint`], [`Error::Damaged`] or [`Error::Restore`] if it cannot begin where
/// `resume` says.
///
/// [`Error::Step`], [`Error::Evaluate`], [`Error::Restore`] or [`Error::Save`] if `task` cannot,
/// and [`Error::Metric`] if an evaluation lacks what decides; [`Error::Save`] or
/// [`Error::Checkpoints`] if `checkpoints` cannot be written, listed or rotated. With
/// `continue_on_save_error`, a checkpoint that could not be written is an [`Event::NotSaved`]
/// instead.
pub fn train<T: Task, A: Into<Action>>(
    task: &mut T,
    args: &TrainingArguments,
    dims: &Dims,
    checkpoints: &Checkpoints,
    resume: Resume,
    on_event: impl FnMut(&Event<'_>) -> A,
) -> Result<Outcome, Error<T::Error>> {
    let args = args.resolved();
    let plan = Plan::new(&args, dims)?;
    std::thread::scope(|scope| {
        let saver = Saver::new(scope, checkpoints);
        let mut run = Run::new(task, &args, plan, dims, checkpoints, saver, on_event)?;
        let resumed = resume::restore(&mut run, &resume)?;
        let is_resumed = resumed.is_some();
        run.start(resumed);

        // What the interrupted run left to do after its last step.
        let mut goes_on = if is_resumed { run.catch_up()? } else { run.evaluate_on_start()? };
        while goes_on && !run.is_done() {
            run.step()?;
            goes_on = run.after_step()?;
        }
        run.finish()
    })
}

impl<T: Task, A: Into<Action>, F: FnMut(&Event<'_>) -> A> Run<'_, '_, T, F> {
    fn start(&mut self, resumed: Option<Checkpoint>) {
        let state = self.state.clone();
        let steps_per_epoch = self.plan.steps_per_epoch;
        self.started = Instant::now();
        self.first_step = state.global_step;
        self.first_tokens = state.num_input_tokens_seen;
        self.emit(&Event::Started(&Started { state: &state, resumed, steps_per_epoch }));
    }

    fn evaluate_on_start(&mut self) -> Result<bool, Error<T::Error>> {
        if self.args.eval_on_start {
            self.evaluate()?;
        }
        Ok(!self.is_stopping())
    }

    fn finish(mut self) -> Result<Outcome, Error<T::Error>> {
        self.settle(true)?;
        let ended = self.ended();
        let total = self.ledger.total;
        let train_loss = if total.steps > 0 { total.mean() } else { f64::NAN };
        let metrics = self.summary(train_loss);
        self.log_entry(metrics.clone());
        if self.args.load_best_model_at_end && ended != Ended::Interrupted {
            self.load_best()?;
        }
        let metrics = self.state.log_history.last().cloned().unwrap_or(metrics);
        // One that holds more than the model may be gone since.
        let resumable = self.resumable.filter(|it| it.path.is_dir());
        Ok(Outcome { ended, state: self.state, train_loss, metrics, resumable })
    }

    fn ended(&self) -> Ended {
        if self.action.interrupt {
            Ended::Interrupted
        } else if self.is_patience_lost() {
            Ended::EarlyStopping
        } else if self.action.stop && !self.is_done() {
            Ended::Stopped
        } else {
            Ended::Completed
        }
    }

    /// The last entry of the log, with the speeds of this process's part of the run.
    fn summary(&self, train_loss: f64) -> LogEntry {
        let n_steps = self.state.global_step - self.first_step;
        let n_examples = match self.args.max_steps {
            1.. => {
                let batch_size = self.args.per_device_train_batch_size as f64;
                self.plan.max_steps as f64 * batch_size * self.plan.accumulation as f64
            }
            _ => self.n_examples as f64 * self.args.num_train_epochs,
        };
        let n_examples = n_examples * n_steps as f64 / self.plan.max_steps.max(1) as f64;

        let mut entry = LogEntry::default();
        let seconds = self.started.elapsed().as_secs_f64();
        let speeds = [("samples", n_examples), ("steps", n_steps as f64)];
        entry.insert_speeds("train", seconds, &speeds);
        entry.insert("total_flos", self.state.total_flos);
        if !train_loss.is_nan() {
            entry.insert("train_loss", train_loss);
        }
        entry
    }

    /// Loads the weights of the best checkpoint; without one that is whole, the last stay.
    fn load_best(&mut self) -> Result<(), Error<T::Error>> {
        let best = match self.best_whole() {
            Ok(best) => best,
            Err(reason) => {
                self.emit(&Event::BestNotLoaded(&reason));
                return Ok(());
            }
        };
        let loaded = self.task.load_model(&best.path);
        loaded.map_err(|source| Error::Restore {
            path: best.path.clone(),
            source: crate::RestoreError::Task(source),
        })?;
        self.emit(&Event::BestLoaded(&best));
        Ok(())
    }

    /// The best checkpoint, every byte of it checked, or why there is none.
    fn best_whole(&self) -> Result<Checkpoint, String> {
        let Some(step) = self.state.best_global_step else {
            let metric = self.args.best_metric_name().unwrap_or_default();
            return Err(match self.state.best_metric {
                None => format!("no evaluation gave a number for {metric}"),
                Some(it) => format!("no checkpoint says that {metric} {it} is of it"),
            });
        };
        let Some(best) = self.best.clone().filter(|it| it.step == step) else {
            return Err(format!("there is no checkpoint of step {step}, which was the best"));
        };
        if !best.path.is_dir() {
            return Err(format!("{} is not there", best.path.display()));
        }
        match fault_of(&best.path) {
            None => Ok(best),
            Some(reason) => Err(format!("{} is damaged: {reason}", best.path.display())),
        }
    }
}

/// Why a checkpoint, wherever it is, does not count. Every byte is read.
pub(crate) fn fault_of(checkpoint: &Path) -> Option<Reason> {
    match verify(checkpoint) {
        Ok(report) if report.is_whole() => None,
        Ok(report) => Some(Reason::Damaged(report.damage)),
        Err(e) => Some(Reason::Unreadable(pretrained_fs::with_causes(&e))),
    }
}
