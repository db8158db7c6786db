use std::{fs, path::Path};

use pretrained_checkpoint::{Checkpoint, PassedOver, Reason};

use crate::{
    Action, Error, Event, RestoreError, Resume, Task, TrainerState, ledger::Ledger, run::Run,
};

/// Brings `run` to where `resume` says; returns the checkpoint that it goes on from.
pub(crate) fn restore<T: Task, A: Into<Action>, F: FnMut(&Event<'_>) -> A>(
    run: &mut Run<'_, '_, T, F>,
    resume: &Resume,
) -> Result<Option<Checkpoint>, Error<T::Error>> {
    let checkpoint = match resume {
        Resume::No => {
            if let Some(newest) = run.checkpoints.list()?.pop() {
                let root = run.checkpoints.root().to_owned();
                return Err(Error::HasCheckpoints { root, step: newest.step });
            }
            return Ok(None);
        }
        Resume::From(path) => {
            run.restore(path).map_err(|source| Error::Restore { path: path.clone(), source })?;
            Checkpoint { step: run.state.global_step, path: path.clone() }
        }
        Resume::Latest => run.restore_latest()?,
    };
    run.refuse_to_overwrite(&checkpoint)?;
    let is_own = run.checkpoints.path_of(checkpoint.step) == checkpoint.path;
    run.last_saved = is_own.then_some(checkpoint.step);
    Ok(Some(checkpoint))
}

impl<T: Task, A: Into<Action>, F: FnMut(&Event<'_>) -> A> Run<'_, '_, T, F> {
    /// Restores the newest checkpoint that is whole and that the task takes.
    fn restore_latest(&mut self) -> Result<Checkpoint, Error<T::Error>> {
        let mut refused: Vec<(Checkpoint, String)> = Vec::new();
        loop {
            let refusal = |it: &Checkpoint| refused.iter().find(|(refused, _)| refused == it);
            let latest = self.checkpoints.latest_that(|it| match refusal(it) {
                Some((_, reason)) => Err(reason.clone()),
                None => Ok(()),
            })?;
            let Some(checkpoint) = latest.checkpoint else {
                return Err(self.nothing_to_resume(&latest.passed_over));
            };
            match self.restore(&checkpoint.path) {
                Ok(()) => {
                    for passed_over in &latest.passed_over {
                        self.emit(&Event::PassedOver(passed_over));
                    }
                    // Whole, but not this run's: out of the way of the checkpoint to come.
                    for (refused, _) in &refused {
                        self.checkpoints.set_aside(refused)?;
                    }
                    return Ok(checkpoint);
                }
                Err(source) => refused.push((checkpoint, pretrained_fs::with_causes(&source))),
            }
        }
    }

    fn nothing_to_resume(&self, passed_over: &[PassedOver]) -> Error<T::Error> {
        let reason = passed_over.first().map(|it| {
            let reason = match &it.reason {
                Reason::Refused(it) | Reason::Unreadable(it) => it.clone(),
                Reason::Damaged(_) => "damaged".to_owned(),
                other => format!("{other:?}"),
            };
            format!(": checkpoint-{}: {reason}", it.checkpoint.step)
        });
        let root = self.checkpoints.root().to_owned();
        Error::NoCheckpoint { root, reason: reason.unwrap_or_default() }
    }

    fn restore(&mut self, dir: &Path) -> Result<(), RestoreError<T::Error>> {
        let text = |file: &'static str| {
            let reason = |e: std::io::Error| RestoreError::State { file, reason: e.to_string() };
            fs::read_to_string(dir.join(file)).map_err(reason)
        };
        let wrong = |file, reason: String| RestoreError::State { file, reason };
        let state = TrainerState::parse(&text(TrainerState::FILE)?)
            .map_err(|e| wrong(TrainerState::FILE, e.to_string()))?;
        // A checkpoint of Hugging Face's Trainer has none.
        let ledger = match dir.join(Ledger::FILE).exists() {
            true => Some(text(Ledger::FILE)?),
            false => None,
        };
        self.task.restore(dir).map_err(RestoreError::Task)?;

        self.state = state;
        self.set_references();
        self.state.epoch = self.plan.epoch(self.state.global_step);
        if let Some(ledger) = ledger {
            let differences = self.ledger.restore(&ledger);
            let reason = || wrong(Ledger::FILE, "not written by this version".to_owned());
            let differences = differences.ok_or_else(reason)?;
            if !differences.is_empty() {
                self.emit(&Event::NotExact(&differences));
            }
            if let Some(plateau) = &mut self.plateau
                && !self.ledger.plateau.is_null()
                && !plateau.restore(&self.ledger.plateau)
            {
                return Err(wrong(Ledger::FILE, "plateau: not a learning rate's state".to_owned()));
            }
        } else {
            self.take_over_callbacks();
        }
        self.find_best();
        Ok(())
    }

    /// The patience that is left, from a checkpoint of Hugging Face's Trainer.
    fn take_over_callbacks(&mut self) {
        let callback = self.state.stateful_callbacks.get("EarlyStoppingCallback");
        let attributes = callback.and_then(|it| it.get("attributes"));
        let counter = attributes.and_then(|it| it.get("early_stopping_patience_counter"));
        self.ledger.patience = counter.and_then(serde_json::Value::as_u64).unwrap_or_default();
    }

    /// Points at the best checkpoint where it is now, or at none if it is gone.
    fn find_best(&mut self) {
        let Some(path) = &self.state.best_model_checkpoint else { return };
        let own = self.state.best_global_step.map(|it| self.checkpoints.path_of(it));
        self.state.best_model_checkpoint = match own.filter(|it| it.is_dir()) {
            Some(own) => Some(own.to_string_lossy().into_owned()),
            None => Some(path.clone()).filter(|it| Path::new(it).is_dir()),
        };
    }

    /// A run that goes on from an older checkpoint would come to where newer ones are.
    fn refuse_to_overwrite(&self, from: &Checkpoint) -> Result<(), Error<T::Error>> {
        let latest = self.checkpoints.latest()?.checkpoint;
        match latest.filter(|it| it.step > from.step) {
            Some(newer) => {
                let root = self.checkpoints.root().to_owned();
                Err(Error::HasCheckpoints { root, step: newer.step })
            }
            None => Ok(()),
        }
    }
}
