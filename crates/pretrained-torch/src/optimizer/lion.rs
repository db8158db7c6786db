use tch::Kind;

use super::Update;

/// Lion, <https://arxiv.org/abs/2302.06675>.
#[derive(Debug)]
pub(super) struct Lion {
    pub(super) beta1: f64,
    pub(super) beta2: f64,
}

impl Lion {
    pub(super) fn step(&self, mut it: Update<'_>) {
        let grad = it.grad.to_kind(Kind::Float);
        let mut stored = (it.state)("exp_avg");
        let exp_avg = stored.to_kind(Kind::Float);
        let update = (&exp_avg * self.beta1 + &grad * (1.0 - self.beta1)).sign();
        let param = it.param.to_kind(Kind::Float) * (1.0 - it.learning_rate * it.weight_decay);
        it.param.copy_(&(param - update * it.learning_rate));
        stored.copy_(&(exp_avg * self.beta2 + grad * (1.0 - self.beta2)));
    }
}
