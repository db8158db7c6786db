//! Dropout, of which nothing is kept for the gradient but a seed: <https://jmlr.org/papers/v15/srivastava14a.html>.
//!
//! Shapes: B batch, T time, S time including the cache, H heads, D head size.

use pretrained_kernels::{Causal, Dropout, Element, bf16};
use tch::{Device, Kind, Tensor};

use crate::{
    Error,
    autograd::{function, is_remembered},
    openmp::OpenMp,
    ops::{autocast_is_enabled, without_autocast},
    product::{multiplies_bf16, numbers, numbers_mut},
    random::draw_seed,
};

/// Zeroes this part of the elements, and makes up for it with the others.
pub(crate) fn dropout(x: &Tensor, p: f64) -> Tensor {
    if !is_ours(&[x]) {
        return x.dropout(p, true);
    }
    let dropout = Dropout::new(p, draw_seed().cast_unsigned());
    match tch::no_grad(|| dropped(&x.contiguous(), &dropout, x.kind())) {
        Some(y) => {
            let kind = x.kind();
            function(&[x], y, move |grad| Ok(vec![Some(gradient(grad, &dropout, kind)?)]))
        }
        None => x.dropout(p, true),
    }
}

/// `residual` plus what [`dropout`] leaves of `x`.
pub(crate) fn dropout_add(x: &Tensor, residual: &Tensor, p: f64) -> Tensor {
    let libtorch = || residual + x.dropout(p, true);
    if !is_ours(&[x, residual]) || x.size() != residual.size() {
        return libtorch();
    }
    let dropout = Dropout::new(p, draw_seed().cast_unsigned());
    let added = tch::no_grad(|| {
        let (x, residual) = (x.contiguous(), residual.contiguous());
        match (x.kind(), residual.kind()) {
            (Kind::Float, Kind::Float) => added::<f32, f32>(&x, &residual, &dropout),
            (Kind::BFloat16, Kind::Float) => added::<bf16, f32>(&x, &residual, &dropout),
            (Kind::BFloat16, Kind::BFloat16) => added::<bf16, bf16>(&x, &residual, &dropout),
            _ => None,
        }
    });
    let Some(y) = added else { return libtorch() };
    let kind = x.kind();
    function(&[x, residual], y, move |grad| {
        Ok(vec![Some(gradient(grad, &dropout, kind)?), Some(grad.shallow_clone())])
    })
}

/// Causal attention of the last T of S positions, whose weights are dropped: q (B, H, T, D), k and v
/// (B, H, S, D) to (B, H, T, D). None where libtorch is to do it.
///
/// Neither scores nor weights are kept; they are made again for the gradient, a few heads at a time.
pub(crate) fn attention([q, k, v]: [&Tensor; 3], scale: f64, p: f64) -> Option<Tensor> {
    if !is_ours(&[q, k, v]) || !is_remembered(&[q, k, v]) {
        return None;
    }
    // As libtorch's own, which multiplies in bf16 here.
    let cast = |it: &Tensor| match autocast_is_enabled() {
        true => it.to_kind(Kind::BFloat16),
        false => it.shallow_clone(),
    };
    let [q, k, v] = [q, k, v].map(cast);
    let (t, s) = (q.size()[2], k.size()[2]);
    if q.kind() != k.kind() || q.kind() != v.kind() || t > s {
        return None;
    }
    let it = Attention { scale, p, seed: draw_seed().cast_unsigned(), kind: q.kind() };
    let all = [&q, &k, &v].map(Tensor::detach);
    let y = tch::no_grad(|| without_autocast(|| it.forward(&all)))?;
    Some(function(&[&q, &k, &v], y, move |grad| without_autocast(|| it.backward(&all, grad))))
}

/// One attention's constants.
#[derive(Debug, Clone, Copy)]
struct Attention {
    scale: f64,
    p: f64,
    seed: u64,
    kind: Kind,
}

impl Attention {
    fn forward(&self, [q, k, v]: &[Tensor; 3]) -> Option<Tensor> {
        let (b, h, t, d) = q.size4().ok()?;
        let y = Tensor::empty([b, t, h, d], (self.kind, Device::Cpu)).transpose(1, 2);
        for part in self.parts(q, k) {
            let [q, k, v] = [q, k, v].map(|it| self.wide(&part.of(it))); // (h, T, D), (h, S, D)
            let weights = q.bmm(&k.transpose(1, 2)); // (h, T, S)
            self.weights(&weights, None, part.index)?;
            part.of(&y).copy_(&weights.bmm(&v));
        }
        Some(y)
    }

    fn backward(
        &self,
        [q, k, v]: &[Tensor; 3],
        grad: &Tensor,
    ) -> Result<Vec<Option<Tensor>>, Error> {
        // As heads lie in the projections that they are views of.
        let like =
            |it: &Tensor| Tensor::empty_like(&it.transpose(1, 2).contiguous()).transpose(1, 2);
        let grads = [like(q), like(k), like(v)];
        for part in self.parts(q, k) {
            let [q, k, v, grad] = [q, k, v, grad].map(|it| self.wide(&part.of(it)));
            let weights = q.bmm(&k.transpose(1, 2)); // (h, T, S)
            let of_weights = grad.bmm(&v.transpose(1, 2)); // (h, T, S)
            self.weights(&weights, Some(&of_weights), part.index)
                .ok_or_else(|| Error::Torch("attention of another size".to_owned()))?;
            part.of(&grads[0]).copy_(&of_weights.bmm(&k));
            part.of(&grads[1]).copy_(&of_weights.transpose(1, 2).bmm(&q));
            part.of(&grads[2]).copy_(&weights.transpose(1, 2).bmm(&grad));
        }
        Ok(grads.into_iter().map(Some).collect())
    }

    /// In f32 where the CPU has no instructions for bf16.
    fn wide(&self, x: &Tensor) -> Tensor {
        match self.kind == Kind::BFloat16 && !multiplies_bf16() {
            true => x.to_kind(Kind::Float),
            false => x.shallow_clone(),
        }
    }

    /// Makes scores weights, and gradients of weights those of scores.
    fn weights(&self, scores: &Tensor, grads: Option<&Tensor>, part: u64) -> Option<()> {
        let (_, t, s) = scores.size3().ok()?;
        let seed = self.seed.wrapping_add(part.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let dropout = Dropout::new(self.p, seed);
        let scale = self.scale as f32;
        let it = Causal { n_queries: t as usize, n_keys: s as usize, scale, dropout };
        match scores.kind() {
            Kind::Float => run::<f32>(it, scores, grads),
            _ => run::<bf16>(it, scores, grads),
        }
    }

    /// Heads of one row whose scores the caches hold.
    fn parts(&self, q: &Tensor, k: &Tensor) -> Vec<Part> {
        let (b, h, t, s) = (q.size()[0], q.size()[1], q.size()[2], k.size()[2]);
        let most = (MOST_SCORES / (t * s).max(1)).clamp(1, h.max(1));
        let rows = (0..b).flat_map(|row| (0..h).step_by(most as usize).map(move |it| (row, it)));
        rows.zip(0..)
            .map(|((row, head), index)| Part { row, head, n: most.min(h - head), index })
            .collect()
    }
}

struct Part {
    row: i64,
    head: i64,
    n: i64,
    index: u64,
}

impl Part {
    /// (B, H, ..) to (n, ..).
    fn of(&self, x: &Tensor) -> Tensor {
        x.select(0, self.row).narrow(0, self.head, self.n)
    }
}

fn run<T: Element>(it: Causal, scores: &Tensor, grads: Option<&Tensor>) -> Option<()> {
    let team = OpenMp::of_libtorch()?;
    let scores = numbers_mut::<T>(scores)?;
    match grads {
        Some(grads) => it.gradients(scores, numbers_mut(grads)?, &team),
        None => it.weights(scores, &team),
    }
    .ok()
}

/// The gradient of what has been dropped from, as numbers of a kind.
fn gradient(grad: &Tensor, dropout: &Dropout, kind: Kind) -> Result<Tensor, Error> {
    dropped(&grad.contiguous(), dropout, kind)
        .ok_or_else(|| Error::Torch(format!("a gradient of dropout in {:?}", grad.kind())))
}

/// What is left of a contiguous tensor, as numbers of a kind.
fn dropped(x: &Tensor, dropout: &Dropout, kind: Kind) -> Option<Tensor> {
    fn run<A: Element, B: Element>(x: &Tensor, dropout: &Dropout, y: &Tensor) -> Option<()> {
        dropout.drop(numbers::<A>(x)?, numbers_mut::<B>(y)?, &OpenMp::of_libtorch()?).ok()
    }
    let y = Tensor::empty(x.size(), (kind, Device::Cpu));
    match (x.kind(), kind) {
        (Kind::Float, Kind::Float) => run::<f32, f32>(x, dropout, &y),
        (Kind::Float, Kind::BFloat16) => run::<f32, bf16>(x, dropout, &y),
        (Kind::BFloat16, Kind::Float) => run::<bf16, f32>(x, dropout, &y),
        (Kind::BFloat16, Kind::BFloat16) => run::<bf16, bf16>(x, dropout, &y),
        _ => None,
    }?;
    Some(y)
}

fn added<A: Element, B: Element>(
    x: &Tensor,
    residual: &Tensor,
    dropout: &Dropout,
) -> Option<Tensor> {
    let y = Tensor::empty_like(residual);
    let (x, residual) = (numbers::<A>(x)?, numbers::<B>(residual)?);
    dropout.drop_add(x, residual, numbers_mut(&y)?, &OpenMp::of_libtorch()?).ok()?;
    Some(y)
}

/// Whether these are numbers that the kernels know, on the CPU.
fn is_ours(all: &[&Tensor]) -> bool {
    let is_known = |it: &&Tensor| matches!(it.kind(), Kind::Float | Kind::BFloat16);
    all.iter().all(|it| it.device() == Device::Cpu && is_known(it) && it.numel() > 0)
        && OpenMp::of_libtorch().is_some()
}

/// What is worked on at once.
const MOST_SCORES: i64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn off(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn a_gradient_is_dropped_where_its_number_was() {
        tch::manual_seed(7);
        let x = Tensor::randn([3, 5, 70], CPU).set_requires_grad(true);
        let residual = Tensor::randn([3, 5, 70], CPU).set_requires_grad(true);
        for p in [0.0, 0.1, 0.9] {
            let y = dropout_add(&x, &residual, p);
            let left = &y - &residual;
            let kept = left.abs().gt(1e-6).to_kind(Kind::Float);
            assert!(off(&left, &(&x * &kept / (1.0 - p))) < 1e-5);
            (&y * 2.0).sum(Kind::Float).backward();
            assert!(off(&x.grad(), &(kept * 2.0 / (1.0 - p))) < 1e-5);
            assert_eq!(residual.grad(), residual.ones_like() * 2.0);
            residual.shallow_clone().zero_grad();
            x.shallow_clone().zero_grad();
            let y = dropout(&x, p);
            let kept = y.abs().gt(1e-6).to_kind(Kind::Float);
            (&y * 2.0).sum(Kind::Float).backward();
            assert!(off(&x.grad(), &(kept * 2.0 / (1.0 - p))) < 1e-5);
            x.shallow_clone().zero_grad();
        }
    }

    /// Of what is not dropped, against libtorch's.
    #[test]
    fn attention_and_its_gradients_are_those_of_libtorch() {
        tch::manual_seed(7);
        for (t, s) in [(1, 1), (9, 9), (40, 40)] {
            // As heads lie in a projection, and of more than one part.
            let heads = |t| Tensor::randn([3, t, 4, 16], CPU).transpose(1, 2).detach();
            let all = [heads(t), heads(s), heads(s)].map(|it| it.set_requires_grad(true));
            let [q, k, v] = [&all[0], &all[1], &all[2]];
            let towards = Tensor::randn([3, 4, t, 16], CPU);
            let none = None::<&Tensor>;
            let expected =
                Tensor::scaled_dot_product_attention(q, k, v, none, 0.0, true, 0.3, false);
            let ours = attention([q, k, v], 0.3, 0.0).expect("on the CPU, with gradients");
            assert!(off(&expected, &ours) < 1e-5);
            let grads = [expected, ours].map(|y| {
                for it in &all {
                    it.shallow_clone().zero_grad();
                }
                (y * &towards).sum(Kind::Float).backward();
                [q, k, v].map(|it| it.grad().copy())
            });
            for (expected, ours) in grads[0].iter().zip(&grads[1]) {
                assert!(off(expected, ours) < 1e-5, "{t}, {s}: {}", off(expected, ours));
            }
        }
    }

    /// What is dropped is dropped in the gradient: the weights are a linear function of the values.
    #[test]
    fn attention_drops_the_same_twice() {
        tch::manual_seed(7);
        let heads = || Tensor::randn([2, 3, 20, 8], CPU);
        let (q, k) = (heads(), heads());
        let v = heads().set_requires_grad(true);
        let y = attention([&q, &k, &v], 0.3, 0.5).expect("on the CPU, with gradients");
        let towards = heads();
        (&y * &towards).sum(Kind::Float).backward();
        // <Pv, g> = <v, Pᵀg>.
        let left = (&y * &towards).sum(Kind::Float).double_value(&[]);
        let right = (&v * v.grad()).sum(Kind::Float).double_value(&[]);
        assert!((left - right).abs() < 1e-3, "{left}, {right}");
        let full = attention([&q, &k, &v], 0.3, 0.0).expect("on the CPU, with gradients");
        assert!(off(&y, &full) > 0.1, "something is dropped");
    }
}
