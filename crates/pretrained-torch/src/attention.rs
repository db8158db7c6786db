//! Scaled dot-product attention, <https://arxiv.org/abs/1706.03762>, with grouped queries,
//! <https://arxiv.org/abs/2305.13245>.
//!
//! Shapes: B batch, T time, S time including the cache, H query heads, K key-value heads, D head
//! size.

use tch::{Kind, Tensor};

use crate::{cache::Pass, dropout};

/// Which keys a query sees, and how scores become weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DotProduct {
    /// What scores are multiplied by.
    pub(crate) scale: f64,
    /// A query sees this many keys, itself included.
    pub(crate) window: Option<i64>,
    /// Scores are squashed to ± this.
    pub(crate) softcap: Option<f64>,
    /// The part of the weights that is dropped in training.
    pub(crate) dropout: f64,
}

impl DotProduct {
    /// Causal attention of heads of this size, to everything before.
    pub(crate) fn causal(head_dim: i64, dropout: f64) -> DotProduct {
        DotProduct { scale: (head_dim as f64).powf(-0.5), window: None, softcap: None, dropout }
    }

    /// Attends from the last T of S positions.
    ///
    /// `q` is (B, H, T, D); `k` and `v` are (B, K, S, D). The result is (B, T, H · D).
    pub(crate) fn forward(&self, q: &Tensor, k: &Tensor, v: &Tensor, pass: &Pass<'_>) -> Tensor {
        let (b, h, t, _) = q.size4().expect("queries are (B, H, T, D)");
        let (n_kv, s) = (k.size()[1], k.size()[2]);
        let mask = self.mask(t, s, pass);
        let dropout = if pass.train { self.dropout } else { 0.0 };

        let y = if let Some(softcap) = self.softcap {
            let (k, v) = (repeat(k, h / n_kv), repeat(v, h / n_kv));
            let scores = q.matmul(&k.transpose(-2, -1)) * self.scale;
            let scores = (scores / softcap).tanh() * softcap;
            let hidden = match mask {
                Some(mask) => mask.logical_not(),
                None if t > 1 => Tensor::ones([t, s], (Kind::Bool, q.device())).triu(s - t + 1),
                None => Tensor::zeros([t, s], (Kind::Bool, q.device())),
            };
            let scores = scores.masked_fill(&hidden, f64::NEG_INFINITY);
            let weights = scores.softmax(-1, Kind::Float).to_kind(q.kind());
            weights.dropout(dropout, dropout > 0.0).matmul(&v)
        } else if t == 1 && h != n_kv {
            // All heads of a group see the same keys, so they can stand in for time and the keys
            // need not be repeated.
            let q = q.view([b, n_kv, h / n_kv, -1]);
            self.fused(&q, k, v, mask.as_ref(), dropout, false).view([b, h, 1, -1])
        } else {
            let (k, v) = (repeat(k, h / n_kv), repeat(v, h / n_kv));
            let is_causal = mask.is_none() && t > 1;
            let ours = (dropout > 0.0 && is_causal)
                .then(|| dropout::attention([q, &k, &v], self.scale, dropout));
            let fused = || self.fused(q, &k, &v, mask.as_ref(), dropout, is_causal);
            ours.flatten().unwrap_or_else(fused)
        };
        y.transpose(1, 2).reshape([b, t, -1])
    }

    fn fused(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        mask: Option<&Tensor>,
        dropout: f64,
        is_causal: bool,
    ) -> Tensor {
        Tensor::scaled_dot_product_attention(q, k, v, mask, dropout, is_causal, self.scale, false)
    }

    /// What is visible, (T, S) or (B, 1, T, S); `None` if it is all that came before.
    fn mask(&self, t: i64, s: i64, pass: &Pass<'_>) -> Option<Tensor> {
        let window = self.window.filter(|&it| it < s);
        let padding = pass.cache.padding();
        if window.is_none() && padding.is_none() && (t == 1 || t == s) {
            return None;
        }
        let device = pass.device;
        let queries = Tensor::arange_start(s - t, s, (Kind::Int64, device)).unsqueeze(1);
        let keys = Tensor::arange(s, (Kind::Int64, device)).unsqueeze(0);
        let mut mask = keys.le_tensor(&queries); // (T, S)
        if let Some(window) = window {
            mask = mask.logical_and(&keys.gt_tensor(&(&queries - window)));
        }
        if let Some(padding) = padding {
            let real = keys.ge_tensor(&padding.view([-1, 1, 1, 1])); // (B, 1, 1, S)
            // A padding position sees itself, since a row of nothing would have no softmax.
            mask = mask.logical_and(&real).logical_or(&keys.eq_tensor(&queries));
        }
        Some(mask)
    }
}

/// Gives every query head of a group its own copy of the group's keys or values.
fn repeat(x: &Tensor, n: i64) -> Tensor {
    if n == 1 { x.shallow_clone() } else { x.repeat_interleave_self_int(n, 1, None) }
}
