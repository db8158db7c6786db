//! Sparsely-gated mixture of experts: <https://arxiv.org/abs/1701.06538>.
//!
//! Shapes: B batch, T time, N tokens, C channels, E experts, k experts that a token gets.

use pretrained_config::Activation;
use tch::{Kind, Tensor};

use crate::{
    Error,
    layers::{GatedMlp, Linear},
    params::{Params, Part},
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
    /// What the mixture is called.
    pub(crate) module: &'static str,
    /// What an expert's gate, up and down projections are called.
    pub(crate) names: [&'static str; 3],
}

impl Experts {
    /// Says that files may have an expert's projections as transformers has them in memory: those of
    /// all experts in two tensors, gate and up one below the other.
    fn also_stacked(&self, layer: &Params<'_>, i: i64) {
        let (n_in, n_inner) = self.size;
        let [gate, up, down] = self.names;
        for (name, stack, n_rows, first_row) in [
            (gate, "gate_up_proj", 2 * n_inner, 0),
            (up, "gate_up_proj", 2 * n_inner, n_inner),
            (down, "down_proj", n_in, 0),
        ] {
            let name = format!("{}.experts.{i}.{name}.weight", self.module);
            let part = Part { n_matrices: self.n, n_rows, matrix: i, first_row };
            layer.also_part(&name, &format!("mlp.experts.{stack}"), part);
        }
    }
}

impl Mixture {
    /// The mixture of a layer.
    pub(crate) fn new(layer: &Params<'_>, c: &Experts) -> Result<Mixture, Error> {
        let p = &layer.at(c.module);
        layer.also(&format!("{}.gate.weight", c.module), "mlp.gate.weight");
        let gate = Linear::new(&p.at("gate"), c.size.0, c.n, false)?;
        let expert = |i| {
            let mlp =
                GatedMlp::named(&p.at("experts").at(i), c.size, false, c.activation, c.names)?;
            // After it, which refuses sizes that no network has.
            c.also_stacked(layer, i);
            Ok(mlp)
        };
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
