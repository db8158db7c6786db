use tch::Tensor;

use crate::{
    Error, ParamMap,
    ops::{FusedAdamW, Moments, fused_adamw},
};

/// AdamW, <https://arxiv.org/abs/1711.05101>, in PyTorch's fused form.
#[derive(Debug)]
pub(super) struct AdamW {
    pub(super) beta1: f64,
    pub(super) beta2: f64,
    pub(super) eps: f64,
}

impl AdamW {
    /// Updates all parameters: name, parameter, gradient, weight decay.
    pub(super) fn step(
        &self,
        updates: Vec<(&String, Tensor, Tensor, f64)>,
        state: &ParamMap,
        step: u64,
        learning_rate: f64,
    ) -> Result<(), Error> {
        let of = |which: &str, name: &str| state[&format!("{which}.{name}")].shallow_clone();
        let (mut decayed, mut others) = (Vec::new(), Vec::new());
        let mut decay = 0.0;
        for (name, param, grad, weight_decay) in updates {
            let (exp_avg, exp_avg_sq) = (of("exp_avg", name), of("exp_avg_sq", name));
            let moments = Moments { param, grad, exp_avg, exp_avg_sq };
            if weight_decay > 0.0 {
                decay = weight_decay;
                decayed.push(moments);
            } else {
                others.push(moments);
            }
        }
        let AdamW { beta1, beta2, eps } = *self;
        let step = step as f64 + 1.0;
        for (all, weight_decay) in [(decayed, decay), (others, 0.0)] {
            let fused = FusedAdamW { step, learning_rate, beta1, beta2, weight_decay, eps };
            fused_adamw(&fused, &all)?;
        }
        Ok(())
    }
}
