use std::path::PathBuf;

use pretrained_checkpoint::{Reason, SaveError};

use crate::ArgumentError;

/// Training stopped before it was done. What was durable before is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E: std::error::Error + 'static> {
    /// The arguments, or the data they are for, make no run.
    #[error(transparent)]
    Arguments(#[from] ArgumentError),
    /// The task could not take a step.
    #[error("step {step}")]
    Step {
        /// Its number, counting from 1.
        step: u64,
        /// Why.
        source: E,
    },
    /// The task could not be evaluated.
    #[error("evaluate after step {step}")]
    Evaluate {
        /// Steps done.
        step: u64,
        /// Why.
        source: E,
    },
    /// An evaluation did not measure what decides which model is best.
    #[error("metric_for_best_model: no {name} among the metrics {}", metrics.join(", "))]
    Metric {
        /// The metric.
        name: String,
        /// Those that were measured.
        metrics: Vec<String>,
    },
    /// The run has checkpoints already, and resuming was not asked for.
    #[error(
        "{} has checkpoints already (the newest is checkpoint-{step}): resume the run, or choose \
         another output directory", root.display()
    )]
    HasCheckpoints {
        /// The run's directory.
        root: PathBuf,
        /// Step of the newest one.
        step: u64,
    },
    /// The checkpoint that was named is older than others of the run.
    #[error(
        "{} is older than checkpoint-{step} in {}, which going on from it would come to and does not \
         overwrite: name no checkpoint to go on from the newest, or choose another output directory \
         to go on from this one", from.display(), root.display()
    )]
    NewerCheckpoints {
        /// The run's directory.
        root: PathBuf,
        /// Step of the newest one there.
        step: u64,
        /// The directory of the one that was named.
        from: PathBuf,
    },
    /// There is nothing to resume from.
    #[error("{} has no checkpoint to resume from{reason}", root.display())]
    NoCheckpoint {
        /// The run's directory.
        root: PathBuf,
        /// Why the checkpoints that are there will not do.
        reason: String,
    },
    /// The checkpoint that was named is not as it was saved.
    #[error(
        "{} is damaged: {reason}; name another checkpoint, or none to go on from the newest that \
         is whole", path.display()
    )]
    Damaged {
        /// Its directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: Reason,
    },
    /// A checkpoint could not be restored.
    #[error("restore {}", path.display())]
    Restore {
        /// Its directory.
        path: PathBuf,
        /// Why.
        source: RestoreError<E>,
    },
    /// A checkpoint could not be saved.
    #[error(transparent)]
    Save(#[from] SaveError<WriteError<E>>),
    /// The run's directory could not be listed or rotated.
    #[error(transparent)]
    Checkpoints(#[from] pretrained_checkpoint::Error),
}

/// Why a checkpoint could not be restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError<E: std::error::Error + 'static> {
    /// The task could not.
    #[error(transparent)]
    Task(E),
    /// It was saved with `save_only_model`.
    #[error(
        "it holds the model only (save_only_model) and nothing to go on with; begin a new run with \
         it as the --model"
    )]
    ModelOnly,
    /// The run left other parameters as they are.
    #[error(
        "{before} was frozen and {now} is: that does not change within a run; freeze the same, or begin \
         a new run with it as the --model"
    )]
    Frozen {
        /// What it froze.
        before: String,
        /// What is frozen now.
        now: String,
    },
    /// One of the files of the loop itself could not be read.
    #[error("{file}: {reason}")]
    State {
        /// Its name.
        file: &'static str,
        /// Why.
        reason: String,
    },
}

/// Why the content of a checkpoint could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError<E: std::error::Error + 'static> {
    /// The task could not.
    #[error(transparent)]
    Task(E),
    /// One of the files of the loop itself could not be written.
    #[error(transparent)]
    File(#[from] pretrained_fs::Error),
    /// What was written behind the steps panicked; this is what it said.
    #[error("it panicked: {0}")]
    Panicked(String),
}
