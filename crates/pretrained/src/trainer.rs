use std::collections::BTreeMap;

use pretrained_checkpoint::Checkpoints;
use pretrained_data::Dataset;
use pretrained_tokenizer::AutoTokenizer;
use pretrained_torch::{AutoModelForCausalLM, CausalLmTask, fingerprint};
use pretrained_train::{Action, Dims, Event, Outcome, Recorder, Resume, TrainingArguments, train};

/// Trains a model and keeps its checkpoints in `args.output_dir`.
///
/// Only a name for things that belong together: a [`CausalLmTask`], the run's [`Checkpoints`], a
/// [`Recorder`] of what happens, and [`train()`], which does the work.
pub struct Trainer<'a> {
    model: &'a AutoModelForCausalLM,
    tokenizer: &'a AutoTokenizer,
    args: TrainingArguments,
    train_dataset: Box<dyn Dataset + 'a>,
    eval_dataset: Option<Box<dyn Dataset + 'a>>,
    checkpoints: Checkpoints,
    metrics: Option<Box<Metrics<'a>>>,
    /// What the weights were before any step.
    initial_weights: String,
}

/// Computes metrics of a model on the evaluation dataset.
type Metrics<'a> = dyn FnMut(
        &AutoModelForCausalLM,
        &dyn Dataset,
    ) -> Result<BTreeMap<String, f64>, pretrained_torch::Error>
    + 'a;

/// Training could not begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainerError {
    /// The run's directory cannot be used.
    #[error(transparent)]
    Checkpoints(#[from] pretrained_checkpoint::Error),
    /// The model cannot be trained like this.
    #[error(transparent)]
    Task(#[from] pretrained_torch::Error),
    /// The run ended before its last step.
    #[error(transparent)]
    Train(Box<pretrained_train::Error<pretrained_torch::Error>>),
}

impl From<pretrained_train::Error<pretrained_torch::Error>> for TrainerError {
    fn from(error: pretrained_train::Error<pretrained_torch::Error>) -> TrainerError {
        TrainerError::Train(Box::new(error))
    }
}

impl<'a> Trainer<'a> {
    /// Opens the run's directory and locks it: one trainer at a time may write there.
    ///
    /// # Errors
    ///
    /// [`TrainerError::Checkpoints`] if another process trains there, or if the directory cannot be
    /// made or listed; [`TrainerError::Task`] if the parameters cannot be read for their
    /// fingerprint.
    pub fn new(
        model: &'a AutoModelForCausalLM,
        tokenizer: &'a AutoTokenizer,
        args: TrainingArguments,
        train_dataset: impl Dataset + 'a,
        eval_dataset: Option<Box<dyn Dataset + 'a>>,
    ) -> Result<Trainer<'a>, TrainerError> {
        let checkpoints = Checkpoints::open(&args.output_dir)?;
        let train_dataset = Box::new(train_dataset);
        // Here, so that a run that goes on with the same trainer still knows what it began from.
        let initial_weights = fingerprint(model.params())?;
        Ok(Trainer {
            model,
            tokenizer,
            args,
            train_dataset,
            eval_dataset,
            checkpoints,
            metrics: None,
            initial_weights,
        })
    }

    /// Adds metrics of one's own to every evaluation; see [`CausalLmTask::with_metrics`].
    pub fn with_metrics(
        mut self,
        metrics: impl FnMut(
            &AutoModelForCausalLM,
            &dyn Dataset,
        ) -> Result<BTreeMap<String, f64>, pretrained_torch::Error>
        + 'a,
    ) -> Trainer<'a> {
        self.metrics = Some(Box::new(metrics));
        self
    }

    /// Trains from the first step to the last.
    ///
    /// # Errors
    ///
    /// As [`train_with`](Trainer::train_with); [`TrainerError::Train`] also if the run has checkpoints
    /// already.
    pub fn train(&mut self) -> Result<Outcome, TrainerError> {
        self.train_with(Resume::No, |_| ())
    }

    /// Goes on after the newest checkpoint that is whole, to the bytes of an unbroken run.
    ///
    /// # Errors
    ///
    /// As [`train_with`](Trainer::train_with); [`TrainerError::Train`] also if there is no checkpoint
    /// to go on from.
    pub fn resume(&mut self) -> Result<Outcome, TrainerError> {
        self.train_with(Resume::Latest, |_| ())
    }

    /// Trains, and tells `on_event` what happens. It may ask for something in return, such as
    /// [`Action::SAVE_AND_STOP`].
    ///
    /// # Errors
    ///
    /// [`TrainerError::Task`] if the arguments do not fit the data, the optimizer or the model;
    /// [`TrainerError::Train`] for what ends the run, see [`train()`]. What cannot be recorded is
    /// an [`Event::NotRecorded`].
    pub fn train_with<A: Into<Action>>(
        &mut self,
        resume: Resume,
        mut on_event: impl FnMut(&Event<'_>) -> A,
    ) -> Result<Outcome, TrainerError> {
        let dims = self.dims();
        let mut recorder = Recorder::new(&self.args, Some(self.model.config().to_json()));
        let eval = self.eval_dataset.as_deref();
        let files = Some(self.tokenizer.files());
        let mut task =
            CausalLmTask::new(self.model, files, &self.args, &*self.train_dataset, eval)?;
        if let Some(metrics) = self.metrics.as_deref_mut() {
            task = task.with_metrics(metrics);
        }
        let watch = |event: &Event<'_>| {
            if let Err(e) = recorder.observe(event) {
                on_event(&Event::NotRecorded(&e));
            }
            on_event(event)
        };
        let outcome = train(&mut task, &self.args, &dims, &self.checkpoints, resume, watch);
        let recorded = match &outcome {
            Ok(outcome) => recorder.finish(outcome),
            Err(e) => recorder.fail(e),
        };
        if let Err(e) = recorded {
            on_event(&Event::NotRecorded(&e));
        }
        Ok(outcome?)
    }

    /// What the run's results depend on besides its arguments.
    fn dims(&self) -> Dims {
        let frozen = match self.model.frozen_parts() {
            parts if parts.is_empty() => "nothing".to_owned(),
            parts => parts.join(" "),
        };
        let identity = [
            ("train_dataset", self.train_dataset.fingerprint()),
            ("initial_weights", self.initial_weights.clone()),
            ("dtype", format!("{:?}", self.model.kind())),
            ("device", format!("{:?}", self.model.device())),
            ("world_size", "1".to_owned()),
            (Dims::FROZEN, frozen),
        ];
        let mut identity = BTreeMap::from(identity.map(|(name, value)| (name.to_owned(), value)));
        for (key, value) in self.model.config().document().iter() {
            if !NOT_THE_NETWORK.contains(&key) {
                identity.insert(format!("config.{key}"), value.to_string());
            }
        }
        let eval_dataset = self.eval_dataset.as_deref();
        let eval_identity = eval_dataset.map(|it| ("eval_dataset".to_owned(), it.fingerprint()));
        Dims {
            examples: self.train_dataset.len(),
            eval_examples: eval_dataset.map(Dataset::len),
            identity,
            eval_identity: eval_identity.into_iter().collect(),
        }
    }
}

/// Keys of a configuration that say nothing of what the network computes.
const NOT_THE_NETWORK: [&str; 5] =
    ["architectures", "dtype", "torch_dtype", "transformers_version", "use_cache"];
