use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pretrained_checkpoint::{Checkpoint, PassedOver, Reason};

use crate::{
    Action, Difference, Dims, Error, Event, RestoreError, Resume, Task, TrainerState, json,
    kinship::{self, Kinship},
    ledger::{Ledger, Losses},
    run::{ARGUMENTS, Run},
    train::fault_of,
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
            let path = run.spelled_as_own(path);
            if let Some(reason) = fault_of(&path) {
                return Err(Error::Damaged { path, reason });
            }
            run.refuse_to_overwrite(&path)?;
            run.restore(&path).map_err(|source| Error::Restore { path: path.clone(), source })?;
            Checkpoint { step: run.state.global_step, path }
        }
        Resume::Latest => run.restore_latest()?,
    };
    let is_own = run.checkpoints.path_of(checkpoint.step) == checkpoint.path;
    run.last_saved = is_own.then_some(checkpoint.step);
    run.resumable = Some(checkpoint.clone());
    if is_own && run.is_done() {
        run.remove_what_was_left()?;
    }
    Ok(Some(checkpoint))
}

impl<T: Task, A: Into<Action>, F: FnMut(&Event<'_>) -> A> Run<'_, '_, T, F> {
    /// Restores the newest checkpoint that is whole, of this run, and that the task takes.
    fn restore_latest(&mut self) -> Result<Checkpoint, Error<T::Error>> {
        let mut refused: BTreeMap<u64, String> = BTreeMap::new();
        loop {
            let latest = self.checkpoints.latest_that(|it| match refused.get(&it.step) {
                Some(reason) => Err(reason.clone()),
                None => Ok(()),
            })?;
            let mut passed_over = latest.passed_over;
            let Some(newest) = latest.checkpoint else {
                return Err(self.nothing_to_resume(&passed_over));
            };
            let checkpoint = self.own_instead_of(newest, &refused, &mut passed_over)?;
            match self.restore(&checkpoint.path) {
                Ok(()) => {
                    for it in passed_over {
                        self.emit(&Event::PassedOver(&it));
                        if let Reason::Refused(_) = it.reason {
                            self.strangers.push(it.checkpoint);
                        }
                    }
                    return Ok(checkpoint);
                }
                Err(source) => {
                    refused.insert(checkpoint.step, pretrained_fs::with_causes(&source));
                }
            }
        }
    }

    /// The newest whole checkpoint, or an older one if that is this run's and the newest is not.
    fn own_instead_of(
        &self,
        newest: Checkpoint,
        refused: &BTreeMap<u64, String>,
        passed_over: &mut Vec<PassedOver>,
    ) -> Result<Checkpoint, Error<T::Error>> {
        let mut listed = self.checkpoints.list()?;
        listed.retain(|it| it.step <= newest.step);
        listed.reverse();
        // What was refused is no candidate, whatever it recorded.
        let is_candidate = |it: &&Checkpoint| !refused.contains_key(&it.step);
        let candidates: Vec<&Checkpoint> = listed.iter().filter(is_candidate).collect();
        let kinship: Vec<Kinship> = candidates.iter().map(|it| self.kinship(it)).collect();

        let mut order = kinship::order(&kinship).into_iter();
        let is_whole = |i: &usize| *i == 0 || self.checkpoints.fault_of(candidates[*i]).is_none();
        let Some(chosen) = order.find(is_whole).map(|i| candidates[i]) else { return Ok(newest) };
        let newer = listed.iter().take_while(|it| it.step > chosen.step);
        passed_over.extend(newer.map(|it| {
            let of_candidate = || match self.kinship(it) {
                // Their own, and not taken: it is damaged.
                Kinship::Same => self.checkpoints.fault_of(it),
                other => Some(Reason::Refused(other.reason())),
            };
            let reason = refused.get(&it.step).cloned().map(Reason::Refused).or_else(of_candidate);
            let reason = reason.unwrap_or_else(|| Reason::Refused(Kinship::Unknown.reason()));
            PassedOver { checkpoint: it.clone(), reason }
        }));
        Ok(chosen.clone())
    }

    /// Removes what the process that wrote the last checkpoint did not come to remove any more: this one
    /// saves none, after which it would.
    fn remove_what_was_left(&mut self) -> Result<(), Error<T::Error>> {
        // Where something has changed, or may be another run's, nobody has asked for that.
        if self.checkpoints.list()?.iter().any(|it| self.kinship(it) != Kinship::Same) {
            return Ok(());
        }
        let step = self.state.global_step;
        let keep = self.retention(step)?;
        match self.checkpoints.rotate(&keep) {
            Err(error) if self.args.continue_on_save_error => {
                self.emit(&Event::NotSaved { step, error: &error });
                Ok(())
            }
            res => Ok(res.map(drop)?),
        }
    }

    fn kinship(&self, checkpoint: &Checkpoint) -> Kinship {
        let text = fs::read_to_string(checkpoint.path.join(Ledger::FILE)).ok();
        match text.and_then(|it| self.ledger.differences_from(&it)) {
            None => Kinship::Unknown,
            Some(differences) if differences.is_empty() => Kinship::Same,
            Some(differences) => Kinship::Differs(differences),
        }
    }

    /// Gets what is not this run's out of the way of a checkpoint to come at `step`: behind that
    /// it would be taken for one of the run's own.
    pub(crate) fn set_strangers_aside(&mut self, step: u64) -> Result<(), Error<T::Error>> {
        let (behind, ahead) =
            std::mem::take(&mut self.strangers).into_iter().partition(|it| it.step <= step);
        self.strangers = ahead;
        let behind: Vec<Checkpoint> = behind;
        for stranger in behind.iter().filter(|it| it.path.is_dir()) {
            self.checkpoints.set_aside(stranger)?;
        }
        Ok(())
    }

    fn nothing_to_resume(&self, passed_over: &[PassedOver]) -> Error<T::Error> {
        let reason = passed_over
            .first()
            .map(|it| format!(": checkpoint-{}: {}", it.checkpoint.step, it.reason));
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
        let changed = ledger.as_ref().and_then(|it| self.ledger.differences_from(it));
        let frozen = changed.into_iter().flatten().find(|it| it.name == Dims::FROZEN);
        if let Some(Difference { before, now, .. }) = frozen {
            return Err(RestoreError::Frozen { before, now });
        }
        if is_model_only(dir) {
            return Err(RestoreError::ModelOnly);
        }
        self.task.restore(dir).map_err(RestoreError::Task)?;

        self.state = state;
        self.best = None;
        self.set_references();
        self.state.epoch = self.plan.epoch(self.state.global_step);
        let mut differences = Vec::new();
        if let Some(ledger) = ledger {
            let reason = || wrong(Ledger::FILE, "not written by this version".to_owned());
            differences = self.ledger.restore(&ledger).ok_or_else(reason)?;
            if let Some(plateau) = &mut self.plateau
                && !self.ledger.plateau.is_null()
                && !plateau.restore(&self.ledger.plateau)
            {
                return Err(wrong(Ledger::FILE, "plateau: not a learning rate's state".to_owned()));
            }
        } else {
            self.take_over_callbacks();
            self.ledger.total = Losses::of_log(&self.state.log_history);
        }
        self.find_best(dir);
        if !differences.is_empty() {
            self.emit(&Event::NotExact(&differences));
        }
        Ok(())
    }

    /// A checkpoint in the run's own directory under the one name that it has here.
    fn spelled_as_own(&self, path: &Path) -> PathBuf {
        let root = self.checkpoints.root();
        let absolute = |it: &Path| fs::canonicalize(it).ok();
        match (path.file_name(), absolute(path), absolute(root)) {
            (Some(name), Some(path), Some(of)) if path == of.join(name) => root.join(name),
            _ => path.to_owned(),
        }
    }

    /// The patience that is left, from a checkpoint of Hugging Face's Trainer.
    fn take_over_callbacks(&mut self) {
        let callback = self.state.stateful_callbacks.get("EarlyStoppingCallback");
        let attributes = callback.and_then(|it| it.get("attributes"));
        let counter = attributes.and_then(|it| it.get("early_stopping_patience_counter"));
        self.ledger.patience = counter.and_then(serde_json::Value::as_u64).unwrap_or_default();
    }

    /// Points at the best checkpoint where it is now, or at none if it is gone: beside the one gone
    /// on from, as where a run was moved as a whole, or where that says.
    fn find_best(&mut self, from: &Path) {
        let Some(named) = &self.state.best_model_checkpoint else { return };
        let named = Path::new(named);
        let own = self.state.best_global_step.map(|it| self.checkpoints.path_of(it));
        let name = own.as_deref().and_then(Path::file_name);
        let beside = match self.state.best_global_step {
            Some(step) if step == self.state.global_step => Some(from.to_owned()),
            _ => name.map(|it| from.with_file_name(it)),
        };
        let beside = beside.filter(|it| it.is_dir());
        // Theirs may still name a checkpoint that was the best before.
        let is_best = beside.is_some() || named.file_name() == name;
        let path = beside.or_else(|| Some(named.to_owned()).filter(|it| it.is_dir()));
        let step = self.state.best_global_step.filter(|_| is_best);
        self.state.best_model_checkpoint =
            path.as_deref().map(|it| it.to_string_lossy().into_owned());
        self.best = step.zip(path).map(|(step, path)| Checkpoint { step, path });
    }

    /// A run that goes on from an older checkpoint would come to where newer ones are.
    fn refuse_to_overwrite(&self, from: &Path) -> Result<(), Error<T::Error>> {
        let state = fs::read_to_string(from.join(TrainerState::FILE)).ok();
        // What cannot be read is told by what restores it.
        let Some(state) = state.and_then(|it| TrainerState::parse(&it).ok()) else { return Ok(()) };
        let latest = self.checkpoints.latest()?.checkpoint;
        match latest.filter(|it| it.step > state.global_step) {
            Some(newer) => {
                let root = self.checkpoints.root().to_owned();
                Err(Error::NewerCheckpoints { root, step: newer.step, from: from.to_owned() })
            }
            None => Ok(()),
        }
    }
}

/// Whether a checkpoint says that it was saved without what training goes on with.
fn is_model_only(dir: &Path) -> bool {
    let arguments = fs::read_to_string(dir.join(ARGUMENTS)).ok();
    let arguments = arguments.and_then(|it| json::parse(&it).ok());
    arguments.is_some_and(|it| it.get("save_only_model") == Some(&true.into()))
}
