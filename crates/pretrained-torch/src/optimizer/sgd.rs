use super::Update;
use crate::Error;

/// Stochastic gradient descent, with or without momentum, in PyTorch's form.
#[derive(Debug, Default)]
pub(super) struct Sgd {
    pub(super) momentum: f64,
    dampening: f64,
    nesterov: bool,
}

impl Sgd {
    /// What `optim_args` ask for, as `name=value,name=value`, and the weight decay if it is among
    /// them.
    pub(super) fn new(optim_args: &str) -> Result<(Sgd, Option<f64>), Error> {
        let (mut sgd, mut weight_decay) = (Sgd::default(), None);
        for given in optim_args.split(',').filter(|it| !it.trim().is_empty()) {
            let wrong = || {
                let expected = "momentum, dampening, weight_decay or nesterov, and a number";
                Error::Option { option: "optim_args", value: given.to_owned(), expected }
            };
            let (name, value) = given.split_once('=').ok_or_else(wrong)?;
            let number = || value.trim().parse::<f64>().ok().filter(|it| *it >= 0.0);
            match name.trim() {
                "momentum" => sgd.momentum = number().ok_or_else(wrong)?,
                "dampening" => sgd.dampening = number().ok_or_else(wrong)?,
                "weight_decay" => weight_decay = Some(number().ok_or_else(wrong)?),
                "nesterov" => {
                    sgd.nesterov =
                        matches!(value.trim().to_lowercase().as_str(), "true" | "1" | "yes");
                }
                _ => return Err(wrong()),
            }
        }
        if sgd.nesterov && (sgd.momentum == 0.0 || sgd.dampening != 0.0) {
            let expected = "momentum above 0 and no dampening, for nesterov";
            let value = optim_args.to_owned();
            return Err(Error::Option { option: "optim_args", value, expected });
        }
        Ok((sgd, weight_decay))
    }

    pub(super) fn step(&self, mut it: Update<'_>) {
        let mut grad = &it.grad + &it.param * it.weight_decay;
        if self.momentum > 0.0 {
            let mut buffer = (it.state)("momentum_buffer");
            let new = match it.step {
                0 => grad.shallow_clone(),
                _ => &buffer * self.momentum + &grad * (1.0 - self.dampening),
            };
            buffer.copy_(&new);
            grad = if self.nesterov { grad + new * self.momentum } else { new };
        }
        let new = &it.param - grad * it.learning_rate;
        it.param.copy_(&new);
    }
}
