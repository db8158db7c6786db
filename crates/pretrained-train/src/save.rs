use std::{
    any::Any,
    path::Path,
    thread::{Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use pretrained_checkpoint::{Checkpoint, Checkpoints, Retention, SaveError};

use crate::{Saved, Task, WriteError, error::Error};

/// Writes checkpoints, in line or behind the next steps, at most one at a time.
pub(crate) struct Saver<'scope, 'env, E: std::error::Error + Send + 'static> {
    scope: &'scope Scope<'scope, 'env>,
    checkpoints: &'env Checkpoints,
    in_flight: Option<InFlight<'scope, E>>,
}

/// A save behind the steps: its step, how long training stood still for it, and its thread.
type InFlight<'scope, E> = (u64, Duration, ScopedJoinHandle<'scope, Result<Published, Error<E>>>);

/// What is written into a checkpoint besides the task's own files.
pub(crate) struct Files(pub(crate) Vec<(&'static str, String)>);

/// A checkpoint that is durable, and those that were removed after it.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) removed: Vec<Checkpoint>,
}

/// How a save ended: its step, how long training stood still for it, and what came of it.
pub(crate) type Ended<E> = (u64, Duration, Result<Published, Error<E>>);

impl<'scope, 'env, E: std::error::Error + Send + Sync + 'static> Saver<'scope, 'env, E> {
    pub(crate) fn new(
        scope: &'scope Scope<'scope, 'env>,
        checkpoints: &'env Checkpoints,
    ) -> Saver<'scope, 'env, E> {
        Saver { scope, checkpoints, in_flight: None }
    }

    /// Saves `task` after `step` steps. Returns how saves ended, this one unless it goes on
    /// behind the next steps.
    pub(crate) fn save<T: Task<Error = E>>(
        &mut self,
        task: &mut T,
        step: u64,
        what: Saved,
        files: Files,
        keep: Retention,
        is_async: bool,
    ) -> Vec<Ended<E>> {
        let start = Instant::now();
        // One at a time, so that memory for one copy is enough.
        let mut ended: Vec<Ended<E>> = self.wait().into_iter().collect();

        let snapshot = if is_async { task.snapshot(what) } else { Ok(None) };
        match snapshot {
            Ok(Some(snapshot)) => {
                let checkpoints = self.checkpoints;
                let handle = self
                    .scope
                    // The steps need the cores and the memory.
                    .spawn(move || {
                        pretrained_fs::around_cache(|| {
                            publish(checkpoints, step, &files, &keep, |dir| snapshot(dir))
                        })
                    });
                self.in_flight = Some((step, start.elapsed(), handle));
            }
            Ok(None) => {
                let write = |dir: &Path| task.save(dir, what);
                let published = publish(self.checkpoints, step, &files, &keep, write);
                ended.push((step, start.elapsed(), published));
            }
            Err(source) => {
                let source = WriteError::Task(source);
                let error = SaveError::Write { step, source }.into();
                ended.push((step, start.elapsed(), Err(error)));
            }
        }
        ended
    }

    /// How the save behind the steps ended, if it has.
    pub(crate) fn poll(&mut self) -> Option<Ended<E>> {
        let is_finished = self.in_flight.as_ref().is_some_and(|it| it.2.is_finished());
        if is_finished { self.wait() } else { None }
    }

    /// Waits for the save behind the steps.
    pub(crate) fn wait(&mut self) -> Option<Ended<E>> {
        let (step, stalled, handle) = self.in_flight.take()?;
        match handle.join() {
            Ok(published) => Some((step, stalled, published)),
            // One more way in which a save can fail: the run may be asked to outlive it.
            Err(panic) => {
                let source = WriteError::Panicked(said(&*panic));
                Some((step, stalled, Err(SaveError::Write { step, source }.into())))
            }
        }
    }
}

/// The message of a panic.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|it| (*it).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}

/// Writes, publishes, and only then removes what need not be kept any more.
fn publish<E: std::error::Error + 'static>(
    checkpoints: &Checkpoints,
    step: u64,
    files: &Files,
    keep: &Retention,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<Published, Error<E>> {
    let saved = checkpoints.save(step, |dir| {
        write(dir).map_err(WriteError::Task)?;
        for (name, text) in &files.0 {
            pretrained_fs::write_new(&dir.join(name), text.as_bytes())?;
        }
        Ok(())
    })?;
    let removed = checkpoints.rotate(keep)?.removed;
    Ok(Published { checkpoint: saved.checkpoint, removed })
}
