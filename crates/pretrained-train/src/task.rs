use std::{collections::BTreeMap, path::Path};

/// Something that can be trained, evaluated, saved and restored.
///
/// The one seam between the loop and the model. Everything random in a step must come from its
/// number and the run's seed, so that a resumed run draws what an uninterrupted one would have.
pub trait Task {
    /// Why a step, a save or a restore failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Takes optimizer step number `step`, counting from 0: all its micro-batches, clipping and
    /// the update.
    ///
    /// # Errors
    ///
    /// Ends the run with [`Error::Step`](crate::Error::Step).
    fn step(&mut self, step: u64, learning_rate: f64) -> Result<Stepped, Self::Error>;

    /// Evaluates the model as it is. Keys as in Hugging Face's logs: `eval_loss`, and
    /// `eval_<metric>` for whatever else is measured.
    ///
    /// # Errors
    ///
    /// Ends the run with [`Error::Evaluate`](crate::Error::Evaluate).
    fn evaluate(&mut self) -> Result<BTreeMap<String, f64>, Self::Error>;

    /// The same, and asks now and then whether to go on. Where the answer is no, nothing is returned, and
    /// the evaluation is made once more when the run goes on. If this is not implemented, an
    /// interrupted run evaluates to the end.
    ///
    /// # Errors
    ///
    /// As [`evaluate`](Task::evaluate).
    fn evaluate_while(
        &mut self,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<BTreeMap<String, f64>>, Self::Error> {
        let _ = goes_on;
        self.evaluate().map(Some)
    }

    /// Writes the state into an empty directory.
    ///
    /// # Errors
    ///
    /// Nothing is published, and the run ends with [`Error::Save`](crate::Error::Save), unless
    /// `continue_on_save_error` is set.
    fn save(&mut self, dir: &Path, what: Saved) -> Result<(), Self::Error>;

    /// Restores what [`save`](Task::save) wrote with [`Saved::Full`].
    ///
    /// # Errors
    ///
    /// The run goes on from an older checkpoint, or not at all where this one was named:
    /// [`Error::Restore`](crate::Error::Restore).
    fn restore(&mut self, dir: &Path) -> Result<(), Self::Error>;

    /// Loads the weights of a checkpoint and leaves the optimizer alone: the best model at the
    /// end of a run.
    ///
    /// # Errors
    ///
    /// Ends the run with [`Error::Restore`](crate::Error::Restore).
    fn load_model(&mut self, dir: &Path) -> Result<(), Self::Error>;

    /// Copies what [`save`](Task::save) would write, to be written behind the next steps.
    ///
    /// Nothing that happens to the model afterwards may reach the copy. At most one snapshot is
    /// alive at a time, so a task can reuse its buffers. `None`: not supported, the loop saves in
    /// line.
    ///
    /// # Errors
    ///
    /// As of [`save`](Task::save).
    fn snapshot(&mut self, what: Saved) -> Result<Option<Snapshot<Self::Error>>, Self::Error> {
        let _ = what;
        Ok(None)
    }
}

/// Writes a copied state into an empty directory, on another thread.
pub type Snapshot<E> = Box<dyn FnOnce(&Path) -> Result<(), E> + Send>;

/// What one optimizer step reports.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stepped {
    /// The step's loss: summed over its micro-batches, normalised by the tokens predicted.
    pub loss: f64,
    /// The norm of all gradients, before clipping.
    pub grad_norm: f64,
    /// Input tokens of all micro-batches, padding included.
    pub tokens: u64,
    /// How many of `tokens` are padding.
    pub padding: u64,
    /// Floating-point operations as Hugging Face estimates them: 6 · tokens · parameters without
    /// the input embeddings.
    pub flos: f64,
}

/// How much a checkpoint holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Saved {
    /// A model directory (`save_only_model`): training cannot go on exactly from it.
    Model,
    /// A model directory with the optimizer's state.
    Full(Progress),
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// Optimizer steps done.
    pub steps: u64,
    /// The learning rate of the next one.
    pub learning_rate: f64,
}
