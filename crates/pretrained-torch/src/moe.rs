//! Sparsely-gated mixture of experts: <https://arxiv.org/abs/1701.06538>.
//!
//! Shapes: B batch, T time, N tokens, C channels, E experts, k experts that a token gets.

use pretrained_config::Activation;
use tch::{Kind, Tensor};

use crate::{
    Error,
    layers::{GatedMlp, Linear},
    params::Params,
};

/// A feed-forward layer of which each token takes the few parts that a router chooses.
#[derive(Debug)]
pub(crate) struct Mixture {
    gate: Linear,
    experts: Vec<GatedMlp>,
    n_chosen: i64,
    /// Whether the weights of the chosen experts are scaled to add up to one.
    normalizes: bool,
}

/// What the parts of a mixture are like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Experts {
    pub(crate) n: i64,
    pub(crate) n_chosen: i64,
    pub(crate) normalizes: bool,
    pub(crate) size: (i64, i64),
    pub(crate) activation: Activation,
    /// What an expert's gate, up and down projections are called.
    pub(crate) names: [&'static str; 3],
}

impl Mixture {
    pub(crate) fn new(p: &Params<'_>, c: &Experts) -> Result<Mixture, Error> {
        let gate = Linear::new(&p.at("gate"), c.size.0, c.n, false)?;
        let expert =
            |i| GatedMlp::named(&p.at("experts").at(i), c.size, false, c.activation, c.names);
        let experts = (0..c.n).map(expert).collect::<Result<Vec<GatedMlp>, Error>>()?;
        Ok(Mixture { gate, experts, n_chosen: c.n_chosen, normalizes: c.normalizes })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let tokens = x.flatten(0, 1); // (N, C)
        let likely = self.gate.forward(&tokens).softmax(-1, Kind::Float); // (N, E)
        let (weights, chosen) = likely.topk(self.n_chosen, -1, true, true); // (N, k)
        let weights = match self.normalizes {
            true => &weights / weights.sum_dim_intlist(-1, true, Kind::Float),
            false => weights,
        };
        let weights = weights.flatten(0, 1);

        let mut y = tokens.zeros_like(); // (N, C)
        for (expert, slots) in self.experts.iter().zip(self.by_expert(&chosen)) {
            if slots.is_empty() {
                continue;
            }
            let slots = Tensor::from_slice(&slots).to_device(x.device());
            let rows = slots.divide_scalar_mode(self.n_chosen, "floor");
            let out = expert.forward(&tokens.index_select(0, &rows).unsqueeze(0)).squeeze_dim(0);
            let out = out * weights.index_select(0, &slots).unsqueeze(1);
            y = y.index_add(0, &rows, &out.to_kind(y.kind()));
        }
        y.view_as(x)
    }

    /// Which places of `chosen`, (N, k) flattened, have each expert.
    fn by_expert(&self, chosen: &Tensor) -> Vec<Vec<i64>> {
        let chosen = Vec::<i64>::try_from(chosen.flatten(0, 1)).expect("experts have numbers");
        let mut slots = vec![Vec::new(); self.experts.len()];
        for (slot, &expert) in chosen.iter().enumerate() {
            slots[expert as usize].push(slot as i64);
        }
        slots
    }
}
