use pretrained_checkpoint::{Checkpoint, PassedOver};

use crate::{LogEntry, TrainerState};

/// What just happened. The one way to watch a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The run begins, or goes on after a checkpoint.
    Started(&'a Started<'a>),
    /// A checkpoint that is newer than the one resumed from, and why it was not used.
    PassedOver(&'a PassedOver),
    /// What is not as it was before the run was interrupted: it goes on, but not exactly.
    NotExact(&'a [Difference]),
    /// An optimizer step was taken.
    Stepped(&'a StepReport),
    /// An entry was added to the log: a loss, an evaluation or the run's summary.
    Logged(&'a LogEntry),
    /// An evaluation is at work. An interruption does not wait for its end.
    Evaluating,
    /// An evaluation gave these metrics.
    Evaluated(&'a LogEntry),
    /// A checkpoint is durable.
    Saved {
        /// Which.
        checkpoint: &'a Checkpoint,
        /// How long training stood still for it.
        stalled: std::time::Duration,
        /// Checkpoints that were removed since it is there.
        removed: &'a [Checkpoint],
    },
    /// A checkpoint could not be written, and training goes on without it.
    NotSaved {
        /// Its step.
        step: u64,
        /// Why.
        error: &'a dyn std::error::Error,
    },
    /// A file by which people watch the run could not be written. Training goes on without it.
    NotRecorded(&'a pretrained_fs::Error),
    /// The weights of the best checkpoint were loaded after the last step.
    BestLoaded(&'a Checkpoint),
    /// `load_best_model_at_end` was asked for, and the last weights are kept; this is why.
    BestNotLoaded(&'a str),
}

/// The beginning of a run, or of its continuation.
#[derive(Debug, Clone, PartialEq)]
pub struct Started<'a> {
    /// How far the run is.
    pub state: &'a TrainerState,
    /// The checkpoint that it goes on from.
    pub resumed: Option<Checkpoint>,
    /// Optimizer steps in one pass over the data.
    pub steps_per_epoch: u64,
}

/// One optimizer step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Steps of the whole run.
    pub max_steps: u64,
    /// Passes over the data.
    pub epoch: f64,
    /// The step's loss.
    pub loss: f64,
    /// The norm of the gradients before clipping.
    pub grad_norm: f64,
    /// The learning rate that it used.
    pub learning_rate: f64,
    /// Input tokens of the step.
    pub tokens: u64,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Something that a run depends on and that has changed since a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// An argument, or a name of [`Dims::identity`](crate::Dims).
    pub name: String,
    /// What it was.
    pub before: String,
    /// What it is.
    pub now: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Difference { name, before, now } = self;
        write!(f, "{name} was {before} and is {now}")
    }
}

/// What a watcher asks of the loop. `()` asks for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Action {
    /// Log the loss after this step.
    pub log: bool,
    /// Evaluate after this step.
    pub evaluate: bool,
    /// Write a checkpoint after this step.
    pub save: bool,
    /// Take no further step.
    pub stop: bool,
    /// Write a checkpoint at once and take no further step; an evaluation that is due is left to
    /// the run that goes on from there.
    pub interrupt: bool,
}

impl Action {
    /// Go on.
    pub const CONTINUE: Action =
        Action { log: false, evaluate: false, save: false, stop: false, interrupt: false };
    /// Take no further step.
    pub const STOP: Action = Action { stop: true, ..Action::CONTINUE };
    /// Write a checkpoint at once and take no further step: what to do when the process is asked
    /// to terminate.
    pub const SAVE_AND_STOP: Action = Action { interrupt: true, ..Action::CONTINUE };

    pub(crate) fn add(&mut self, other: Action) {
        self.log |= other.log;
        self.evaluate |= other.evaluate;
        self.save |= other.save;
        self.stop |= other.stop;
        self.interrupt |= other.interrupt;
    }
}

impl From<()> for Action {
    fn from((): ()) -> Action {
        Action::CONTINUE
    }
}
