//! Turns gradients into updates.
//!
//! tch binds libtorch's optimizers but not their state, so they cannot be resumed. These ones'
//! state is named tensors, saved like any others.

mod adafactor;
mod adamw;
mod lion;
mod sgd;
mod torch_files;

use std::path::Path;

use pretrained_fs::NewFile;
use pretrained_safetensors::{Dtype, Layout, Metadata, TensorFile};
use pretrained_train::{Progress, TrainingArguments};
use tch::Tensor;

use self::{adafactor::Adafactor, adamw::AdamW, lion::Lion, sgd::Sgd, torch_files::TorchFiles};
use crate::{
    AutoModelForCausalLM, Error, ParamMap, kinds,
    save::{Bytes, specs},
};

/// The rule that turns gradients into updates, with its state.
#[derive(Debug)]
pub(crate) struct Optimizer {
    rule: Rule,
    /// Gains and biases are not decayed.
    weight_decay: f64,
    /// `exp_avg.{name}` and the like.
    state: ParamMap,
    /// How the state is kept in Hugging Face's Trainer's files.
    torch_files: Option<TorchFiles>,
    /// Whether it is.
    is_torch: bool,
}

/// Writes a state into a directory, wherever it has been copied to.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    torch_files: Option<TorchFiles>,
    progress: Progress,
}

#[derive(Debug)]
enum Rule {
    AdamW(AdamW),
    Adafactor(Adafactor),
    Sgd(Sgd),
    Lion(Lion),
}

/// One parameter, and what it is updated with.
struct Update<'a> {
    param: Tensor,
    grad: Tensor,
    /// Counts from 0.
    step: u64,
    learning_rate: f64,
    weight_decay: f64,
    state: &'a dyn Fn(&str) -> Tensor,
}

impl Optimizer {
    /// What the arguments ask for, at the start of a run.
    pub(crate) fn new(
        args: &TrainingArguments,
        model: &AutoModelForCausalLM,
    ) -> Result<Optimizer, Error> {
        use pretrained_train::Optimizer as Name;

        let betas = (args.adam_beta1, args.adam_beta2);
        let mut weight_decay = args.weight_decay;
        let rule = match args.optim {
            Name::AdamwTorch | Name::AdamwTorchFused => {
                Rule::AdamW(AdamW { beta1: betas.0, beta2: betas.1, eps: args.adam_epsilon })
            }
            Name::Adafactor => Rule::Adafactor(Adafactor),
            Name::Lion => Rule::Lion(Lion { beta1: betas.0, beta2: betas.1 }),
            Name::Sgd => {
                let (sgd, decay) = Sgd::new(args.optim_args.as_deref().unwrap_or_default())?;
                weight_decay = decay.unwrap_or(weight_decay);
                Rule::Sgd(sgd)
            }
        };
        if let (Some(given), false) = (&args.optim_args, matches!(rule, Rule::Sgd(_))) {
            let expected = "only sgd has arguments of its own";
            return Err(Error::Option { option: "optim_args", value: given.clone(), expected });
        }
        let mut state = ParamMap::new();
        for (name, param) in model.trained() {
            for (which, tensor) in rule.init(param) {
                state.insert(format!("{which}.{name}"), tensor);
            }
        }
        let torch_files = match &rule {
            Rule::AdamW(rule) => Some(TorchFiles::new(args, rule, model.trained().map(|it| it.0))),
            _ => None,
        };
        let is_torch = args.hf_trainer_compatible;
        if is_torch {
            TorchFiles::check(args, model)?;
        }
        Ok(Optimizer { rule, weight_decay, state, torch_files, is_torch })
    }

    /// Updates the parameters from their gradients. `step` counts from 0.
    pub(crate) fn step(
        &mut self,
        params: &ParamMap,
        step: u64,
        learning_rate: f64,
    ) -> Result<(), Error> {
        let _guard = tch::no_grad_guard();
        let mut updates = Vec::new();
        for (name, param) in params {
            let grad = param.grad();
            if grad.defined() {
                let weight_decay = if is_decayed(name) { self.weight_decay } else { 0.0 };
                updates.push((name, param.shallow_clone(), grad, weight_decay));
            }
        }
        if let Rule::AdamW(rule) = &self.rule {
            return rule.step(updates, &self.state, step, learning_rate);
        }
        for (name, param, grad, weight_decay) in updates {
            let state = |which: &str| self.state[&format!("{which}.{name}")].shallow_clone();
            let update = Update { param, grad, step, learning_rate, weight_decay, state: &state };
            match &self.rule {
                Rule::Adafactor(rule) => rule.step(update),
                Rule::Sgd(rule) => rule.step(update),
                Rule::Lion(rule) => rule.step(update),
                Rule::AdamW(_) => {}
            }
        }
        Ok(())
    }

    /// The state, by name.
    pub(crate) fn state(&self) -> &ParamMap {
        &self.state
    }

    /// What writes the state after so much of a run.
    pub(crate) fn writer(&self, progress: Progress) -> Writer {
        Writer { torch_files: self.torch_files.clone().filter(|_| self.is_torch), progress }
    }

    /// Restores what a [`Writer`] wrote into a directory, or Hugging Face's Trainer.
    pub(crate) fn restore(&mut self, dir: &Path) -> Result<(), Error> {
        let (own, theirs) = (dir.join(OPTIMIZER), dir.join(torch_files::OPTIMIZER));
        if !own.exists() && !theirs.exists() {
            return Err(Error::ModelOnly { dir: dir.to_owned() });
        }
        match &self.torch_files {
            Some(files) if !own.exists() && theirs.exists() => files.read(&theirs, &self.state),
            _ => self.restore_own(&own),
        }
    }

    fn restore_own(&mut self, path: &Path) -> Result<(), Error> {
        let file = TensorFile::open(path).map_err(|e| file_error(path, e))?;
        let wrong = |tensor: &str, reason: &'static str| {
            let (path, tensor) = (path.to_owned(), tensor.to_owned());
            Error::State { path, tensor, reason: reason.to_owned() }
        };
        if let Some(name) = file.header().tensors().keys().find(|it| !self.state.contains_key(*it))
        {
            return Err(wrong(name, "is not a part of this optimizer's state"));
        }
        let _guard = tch::no_grad_guard();
        for (name, tensor) in &self.state {
            let info = file.header().tensors().get(name);
            let info = info.ok_or_else(|| wrong(name, "is not there"))?;
            let bytes = || {
                let bytes = file.read_tensor(name).map_err(|e| file_error(path, e))?;
                bytes.ok_or_else(|| wrong(name, "is not there"))
            };
            put(tensor, (info.dtype, &info.shape), bytes, |reason| wrong(name, reason))?;
        }
        Ok(())
    }
}

impl Writer {
    pub(crate) fn write(&self, dir: &Path, state: &ParamMap) -> Result<(), Error> {
        match &self.torch_files {
            Some(files) => files.write(dir, state, self.progress),
            None => save_state(&dir.join(OPTIMIZER), state),
        }
    }
}

impl Rule {
    /// What a parameter's state is at the start.
    fn init(&self, param: &Tensor) -> Vec<(&'static str, Tensor)> {
        let zeros = || param.zeros_like().detach();
        match self {
            Rule::AdamW(_) => vec![("exp_avg", zeros()), ("exp_avg_sq", zeros())],
            Rule::Adafactor(_) => Adafactor::init(param),
            Rule::Sgd(sgd) if sgd.momentum == 0.0 => Vec::new(),
            Rule::Sgd(_) => vec![("momentum_buffer", zeros())],
            Rule::Lion(_) => vec![("exp_avg", zeros())],
        }
    }
}

/// Copies what a file has into a tensor of the state.
fn put(
    tensor: &Tensor,
    (dtype, shape): (Dtype, &[usize]),
    bytes: impl FnOnce() -> Result<Vec<u8>, Error>,
    wrong: impl FnOnce(&'static str) -> Error,
) -> Result<(), Error> {
    let shape: Vec<i64> = shape.iter().map(|&it| it as i64).collect();
    // Checked here because libtorch would broadcast a wrong shape rather than reject it.
    if shape != tensor.size() {
        return Err(wrong("has another shape than here"));
    }
    let kind = kinds::kind(dtype)?;
    if kind != tensor.kind() {
        return Err(wrong("has another dtype than here"));
    }
    let stored = Tensor::f_from_data_size(&bytes()?, &shape, kind)?;
    Ok(tensor.shallow_clone().f_copy_(&stored)?)
}

/// Writes an optimizer's state to a new file.
fn save_state(path: &Path, state: &ParamMap) -> Result<(), Error> {
    let names: Vec<String> = state.keys().cloned().collect();
    let metadata = Metadata::from([("format".to_owned(), "pt".to_owned())]);
    let layout = Layout::new(specs(state, &names)?, &metadata);
    let layout = layout.map_err(|e| file_error(path, e))?;
    let bytes = Bytes::new(state);
    let file = NewFile::create(path).map_err(|e| file_error(path, e))?;
    layout.write_parallel(&file, |spec| bytes.of(spec)).map_err(|e| file_error(path, e))
}

/// Hugging Face's rule for which parameters decay, by name.
fn is_decayed(name: &str) -> bool {
    let name = name.to_lowercase();
    let is_norm = |part: &str| part == "norm" || part.ends_with("_norm") || part.starts_with("ln_");
    !["bias", "layernorm", "rmsnorm"].iter().any(|it| name.contains(it))
        && !name.split('.').any(is_norm)
}

fn file_error(path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::File { path: path.to_owned(), source: Box::new(source) }
}

const OPTIMIZER: &str = "optimizer.safetensors";
