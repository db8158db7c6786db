//! The loss of predicting next tokens, and its gradient, without ever holding the scores of all positions.
//!
//! Scores are the largest thing of a step by far: positions times vocabulary, and as much again for their
//! probabilities and for their gradient. Here they are made for some positions at a time, become their own
//! gradient where they lie, and are gone before the next are made.

use pretrained_data::IGNORED;
use pretrained_kernels::{CrossEntropy, Element, bf16};
use tch::{Device, Kind, Tensor};

use crate::{Error, openmp::OpenMp, ops, product::numbers_mut};

/// What a position should predict, and how its loss is counted.
#[derive(Debug)]
pub(crate) struct Targets {
    /// Of all positions of a batch, one after the other.
    pub(crate) ids: Tensor, // (N)
    pub(crate) label_smoothing: f64,
}

impl Targets {
    /// The summed loss of the scores that `logits` gives to `hidden`, (B, T, C). Gradients of it times
    /// `scale` are added to those of the parameters of `logits`, and given back for `hidden`.
    ///
    /// A vocabulary of `vocab_size` decides how many positions are looked at at once.
    pub(crate) fn backward(
        &self,
        hidden: &Tensor,
        scale: f64,
        vocab_size: usize,
        logits: impl Fn(&Tensor) -> Tensor,
    ) -> Result<(f64, Tensor), Error> {
        let hidden = hidden.detach();
        let rows = hidden.flatten(0, 1); // (N, C)
        let (mut loss, mut grads) = (0.0, Vec::new());
        let (n, most) = (rows.size()[0] as usize, (MOST_SCORES / vocab_size.max(1)).max(1));
        // Of about the same size.
        let most = n.div_ceil(n.div_ceil(most).max(1)).max(1);
        for from in (0..n).step_by(most) {
            let (from, len) = (from as i64, most.min(n - from) as i64);
            let part = rows.narrow(0, from, len).copy().set_requires_grad(true);
            let scores = logits(&part.unsqueeze(0)).squeeze_dim(0); // (n, V)
            let (sum, grad) = self.narrow(from, len).sum_and_gradient(&scores.detach(), scale)?;
            ops::backward(&scores, &grad.to_kind(scores.kind()))?;
            loss += sum;
            grads.push(part.grad());
        }
        Ok((loss, Tensor::f_cat(&grads, 0)?.f_view_as(&hidden)?))
    }

    /// The summed loss of all scores, (B, T, V).
    pub(crate) fn sum(&self, scores: &Tensor) -> Tensor {
        let scores = scores.flatten(0, 1).to_kind(Kind::Float); // (N, V)
        let (weight, sum) = (None::<&Tensor>, tch::Reduction::Sum);
        scores.cross_entropy_loss(&self.ids, weight, sum, IGNORED.into(), self.label_smoothing)
    }

    fn narrow(&self, from: i64, len: i64) -> Targets {
        Targets { ids: self.ids.narrow(0, from, len), label_smoothing: self.label_smoothing }
    }

    /// The summed loss of scores, (n, V), and its gradient times `scale`: probabilities, less one at the
    /// target. Scores are written over.
    fn sum_and_gradient(&self, scores: &Tensor, scale: f64) -> Result<(f64, Tensor), Error> {
        let _guard = tch::no_grad_guard();
        let label_smoothing = self.label_smoothing as f32;
        let how = CrossEntropy { label_smoothing, scale: scale as f32 };
        let ours = match (scores.kind(), scores.device()) {
            (Kind::Float, Device::Cpu) => in_place::<f32>(how, &scores.contiguous(), &self.ids),
            (Kind::BFloat16, Device::Cpu) => in_place::<bf16>(how, &scores.contiguous(), &self.ids),
            _ => None,
        };
        ours.map_or_else(|| self.sum_and_gradient_of_libtorch(scores, scale), Ok)
    }

    fn sum_and_gradient_of_libtorch(
        &self,
        scores: &Tensor,
        scale: f64,
    ) -> Result<(f64, Tensor), Error> {
        let n_classes = scores.size()[1] as f64;
        let smoothing = self.label_smoothing;
        let ignored = self.ids.eq(i64::from(IGNORED)); // (n)
        let at = self.ids.clamp_min(0).unsqueeze(1); // (n, 1)

        let mut it = scores.to_kind(Kind::Float);
        let scores = it.shallow_clone();
        it = scores.f_internal_log_softmax_out(&it, -1, false)?;
        let mut losses = -it.gather(1, &at, false).squeeze_dim(1); // (n)
        if smoothing > 0.0 {
            losses = losses * (1.0 - smoothing) - it.mean_dim(1, false, Kind::Float) * smoothing;
        }
        let sum = losses.masked_fill(&ignored, 0.0).sum(Kind::Float).double_value(&[]);

        it = it.exp_();
        if smoothing > 0.0 {
            it -= smoothing / n_classes;
        }
        let less = at.ones_like().to_kind(Kind::Float).g_mul_scalar_(smoothing - 1.0);
        it = it.scatter_add_(1, &at, &less);
        it = it.masked_fill_(&ignored.unsqueeze(1), 0.0);
        Ok((sum, it.g_mul_scalar_(scale)))
    }
}

/// The summed loss of scores on the CPU, which become their gradient; none where libtorch is to do it.
fn in_place<T: Element>(how: CrossEntropy, scores: &Tensor, ids: &Tensor) -> Option<(f64, Tensor)> {
    let ids: Vec<i64> = ids.try_into().ok()?;
    let mut losses = vec![0.0; ids.len()];
    how.gradients(numbers_mut::<T>(scores)?, &ids, &mut losses, &OpenMp::of_libtorch()?).ok()?;
    Some((losses.into_iter().map(f64::from).sum(), scores.shallow_clone()))
}

/// So many are made at once: enough that reading the weights again for each part is little beside
/// multiplying with them.
const MOST_SCORES: usize = 1 << 25;

#[cfg(test)]
mod tests {
    use super::*;

    /// In parts as small as they get, against libtorch's own over all.
    #[test]
    fn gradients_are_those_of_libtorch() {
        tch::manual_seed(7);
        let on = (Kind::Float, Device::Cpu);
        let weight = (Tensor::randn([13, 6], on) * 2.0).set_requires_grad(true);
        let hidden = Tensor::randn([2, 5, 6], on).set_requires_grad(true);
        // Of squashed scores too, whose gradient needs what the loss was made of.
        for softcap in [false, true] {
            let logits = |it: &Tensor| {
                let scores = it.matmul(&weight.tr());
                if softcap { (scores / 3.0).tanh() * 3.0 } else { scores }
            };
            // All positions at once, three at a time, one at a time.
            let sizes = [13, MOST_SCORES / 3, 2 * MOST_SCORES];
            for (label_smoothing, vocab_size) in
                [0.0, 0.1].into_iter().flat_map(|it| sizes.map(|size| (it, size)))
            {
                let ids = Tensor::from_slice(&[3i64, -100, 0, 12, 5, 5, -100, -100, 1, 2]);
                let targets = Targets { ids, label_smoothing };
                let expected = targets.sum(&logits(&hidden));
                (&expected / 7.0).backward();
                let grads = [weight.grad().copy(), hidden.grad().copy()];
                weight.shallow_clone().zero_grad();

                let (sum, of_hidden) =
                    targets.backward(&hidden, 1.0 / 7.0, vocab_size, logits).expect("a loss");
                let off = (sum - expected.double_value(&[])).abs();
                assert!(off < 1e-5, "{sum} and {expected}");
                for (ours, theirs) in [weight.grad(), of_hidden].iter().zip(&grads) {
                    let off = (ours - theirs).abs().max().double_value(&[]);
                    assert!(off < 1e-6, "{label_smoothing}, {softcap}: {off}");
                }
                weight.shallow_clone().zero_grad();
                hidden.shallow_clone().zero_grad();
            }
        }
    }
}
