//! AdamW's state in the files of Hugging Face's Trainer, so that a run can be handed over in either
//! direction.

use std::{collections::BTreeMap, io, path::Path};

use pretrained_fs::NewFile;
use pretrained_pickle::{Key, PickleFile, Tensor as Stored, Value};
use pretrained_safetensors::{Dtype, TensorSpec};
use pretrained_train::{Optimizer as Name, Progress, SchedulerType, TrainingArguments};

use super::{AdamW, file_error, is_decayed, put};
use crate::{
    AutoModelForCausalLM, Error, ParamMap,
    save::{Bytes, specs},
};

/// What the files say besides the moments.
#[derive(Debug, Clone)]
pub(crate) struct TorchFiles {
    /// Names of the parameters that decay, and of the others, in the order of `named_parameters()`:
    /// the two groups, whose members are numbered one after the other.
    groups: [Vec<String>; 2],
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    learning_rate: f64,
    is_fused: bool,
}

impl TorchFiles {
    /// For the parameters that are trained, in the order of `named_parameters()`.
    pub(super) fn new<'a>(
        args: &TrainingArguments,
        rule: &AdamW,
        names: impl Iterator<Item = &'a String>,
    ) -> TorchFiles {
        let (decayed, others) = names.cloned().partition(|it| is_decayed(it));
        TorchFiles {
            groups: [decayed, others],
            betas: (rule.beta1, rule.beta2),
            eps: rule.eps,
            weight_decay: args.weight_decay,
            learning_rate: args.learning_rate,
            is_fused: args.optim == Name::AdamwTorchFused,
        }
    }

    /// Refuses a run that cannot be handed over.
    pub(super) fn check(
        args: &TrainingArguments,
        model: &AutoModelForCausalLM,
    ) -> Result<(), Error> {
        let refuse = |expected| {
            let (option, value) = ("hf_trainer_compatible", "true".to_owned());
            Err(Error::Option { option, value, expected })
        };
        if !matches!(args.optim, Name::AdamwTorch | Name::AdamwTorchFused) {
            return refuse("only AdamW's state can be handed over, set optim to adamw_torch");
        }
        if args.lr_scheduler_type == SchedulerType::ReduceLrOnPlateau {
            return refuse("the state of reduce_lr_on_plateau cannot be handed over");
        }
        if model.param_names().iter().any(|it| it.contains(".experts.")) {
            return refuse(
                "the state of experts, which they keep in stacks, cannot be handed over",
            );
        }
        Ok(())
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.groups.iter().flatten()
    }

    pub(super) fn write(
        &self,
        dir: &Path,
        state: &ParamMap,
        progress: Progress,
    ) -> Result<(), Error> {
        let mut tensors = Vec::new();
        let mut entries = Vec::new();
        for (id, name) in self.names().enumerate() {
            let mut entry = Vec::new();
            for which in ["step", "exp_avg", "exp_avg_sq"] {
                let spec = match which {
                    "step" => {
                        TensorSpec { name: which.to_owned(), dtype: Dtype::F32, shape: Vec::new() }
                    }
                    _ => specs(state, &[format!("{which}.{name}")])?.remove(0),
                };
                let stored = Stored::contiguous(tensors.len(), spec.dtype, spec.shape.clone());
                tensors.push(spec);
                entry.push((text(which), Value::Tensor(stored)));
            }
            entries.push((Key::Int(id as i64), Value::Dict(entry)));
        }
        let value = Value::Dict(vec![
            (text("state"), Value::Dict(entries)),
            (text("param_groups"), Value::List(self.param_groups(progress.learning_rate))),
        ]);
        let (bytes, step) = (Bytes::new(state), (progress.steps as f32).to_le_bytes());
        write(&dir.join(OPTIMIZER), "optimizer", &value, |stored| {
            let spec = tensors.get(stored.storage).ok_or(io::ErrorKind::InvalidData)?;
            match spec.name.as_str() {
                "step" => Ok(step.to_vec().into()),
                _ => bytes.of(spec),
            }
        })?;

        let both = |it: f64| Value::List(vec![Value::Float(it), Value::Float(it)]);
        let steps = progress.steps as i64;
        let value = Value::Dict(vec![
            (text("base_lrs"), both(self.learning_rate)),
            (text("last_epoch"), Value::Int(steps)),
            (text("_step_count"), Value::Int(steps + 1)),
            (text("_is_initial"), Value::Bool(false)),
            (text("_get_lr_called_within_step"), Value::Bool(false)),
            (text("_last_lr"), both(progress.learning_rate)),
            (text("lr_lambdas"), Value::List(vec![Value::Dict(Vec::new()); 2])),
        ]);
        write(&dir.join(SCHEDULER), "scheduler", &value, |_| Ok(Vec::new().into()))
    }

    fn param_groups(&self, learning_rate: f64) -> Vec<Value> {
        let mut first = 0;
        let group = |(names, weight_decay): (&Vec<String>, f64)| {
            let ids = (first..first + names.len() as i64).map(Value::Int).collect();
            first += names.len() as i64;
            let betas = vec![Value::Float(self.betas.0), Value::Float(self.betas.1)];
            Value::Dict(vec![
                (text("weight_decay"), Value::Float(weight_decay)),
                (text("lr"), Value::Float(learning_rate)),
                (text("betas"), Value::Tuple(betas)),
                (text("eps"), Value::Float(self.eps)),
                (text("amsgrad"), Value::Bool(false)),
                (text("maximize"), Value::Bool(false)),
                (text("foreach"), Value::None),
                (text("capturable"), Value::Bool(false)),
                (text("differentiable"), Value::Bool(false)),
                (text("fused"), if self.is_fused { Value::Bool(true) } else { Value::None }),
                (text("decoupled_weight_decay"), Value::Bool(true)),
                (text("initial_lr"), Value::Float(self.learning_rate)),
                (text("params"), Value::List(ids)),
            ])
        };
        self.groups.iter().zip([self.weight_decay, 0.0]).map(group).collect()
    }

    /// Puts the moments of a file into a state.
    pub(super) fn read(&self, path: &Path, state: &ParamMap) -> Result<(), Error> {
        let file = PickleFile::open(path).map_err(|e| file_error(path, e))?;
        let wrong = |what: &str, reason: String| {
            let (path, tensor) = (path.to_owned(), what.to_owned());
            Error::State { path, tensor, reason }
        };
        let ids = self.ids(file.value()).map_err(|reason| wrong("param_groups", reason))?;
        let entries = file.value().get("state").and_then(Value::as_dict);
        let entries = entries.ok_or_else(|| wrong("state", "is not there".to_owned()))?;
        let entries: BTreeMap<&Key, &Value> = entries.iter().map(|(key, it)| (key, it)).collect();
        let _guard = tch::no_grad_guard();
        for (name, id) in self.names().zip(ids) {
            // A parameter that has had no gradient yet has none.
            let entry = entries.get(&Key::Int(id));
            for which in ["exp_avg", "exp_avg_sq"] {
                let at = format!("{which}.{name}");
                let tensor = &state[&at];
                let Some(entry) = entry else {
                    let _ = tensor.shallow_clone().zero_();
                    continue;
                };
                let stored = entry.get(which).and_then(Value::as_tensor);
                let stored = stored.ok_or_else(|| wrong(&at, "is not there".to_owned()))?;
                let bytes = || file.read(stored).map_err(|e| file_error(path, e));
                let wrong = |reason: &'static str| wrong(&at, reason.to_owned());
                put(tensor, (stored.dtype, &stored.shape), bytes, wrong)?;
            }
        }
        Ok(())
    }

    /// The numbers that a file has the parameters under, or why it is the file of another run.
    fn ids(&self, value: &Value) -> Result<Vec<i64>, String> {
        let groups = value.get("param_groups").and_then(Value::as_sequence);
        let groups = groups.ok_or("is not there")?;
        if groups.len() != self.groups.len() {
            return Err(format!("has {} groups, and there are 2", groups.len()));
        }
        let mut ids = Vec::new();
        let decays = [self.weight_decay, 0.0];
        for ((group, names), weight_decay) in groups.iter().zip(&self.groups).zip(decays) {
            let params = group.get("params").and_then(Value::as_sequence).unwrap_or_default();
            if params.len() != names.len() {
                let (found, expected) = (params.len(), names.len());
                return Err(format!("has {found} parameters in a group, and there are {expected}"));
            }
            ids.extend(params.iter().filter_map(Value::as_int));
            let betas = group.get("betas").and_then(Value::as_sequence).unwrap_or_default();
            for (name, found, expected) in [
                ("weight_decay", group.get("weight_decay"), weight_decay),
                ("adam_beta1", betas.first(), self.betas.0),
                ("adam_beta2", betas.get(1), self.betas.1),
                ("adam_epsilon", group.get("eps"), self.eps),
                ("learning_rate", group.get("initial_lr"), self.learning_rate),
            ] {
                // A whole number is one without a point.
                let found = found.and_then(|it| it.as_float().or(it.as_int().map(|it| it as f64)));
                if let Some(found) = found.filter(|it| *it != expected) {
                    return Err(format!(
                        "was made with {name} {found}, and {expected} is asked for"
                    ));
                }
            }
        }
        match ids.len() == self.names().count() {
            true => Ok(ids),
            false => Err("has parameters that are no numbers".to_owned()),
        }
    }
}

fn write<'a>(
    path: &Path,
    stem: &str,
    value: &Value,
    data: impl FnMut(&Stored) -> io::Result<std::borrow::Cow<'a, [u8]>>,
) -> Result<(), Error> {
    let file = NewFile::create(path).map_err(|e| file_error(path, e))?;
    pretrained_pickle::write(file, stem, value, data).map_err(|e| file_error(path, e))
}

fn text(key: &str) -> Key {
    Key::Str(key.to_owned())
}

pub(super) const OPTIMIZER: &str = "optimizer.pt";
const SCHEDULER: &str = "scheduler.pt";
