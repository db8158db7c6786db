//! Activation checkpointing: <https://arxiv.org/abs/1604.06174>. Of a layer only what goes in is kept; it is run
//! a second time when its gradient is asked for.

use tch::Tensor;

use crate::{Error, cache::Pass, ops::backward, random::draw_seed};

/// What is kept of a pass through a network.
#[derive(Debug, Default)]
pub(crate) struct Recompute {
    layers: Vec<Layer>,
    /// How many layers are before those, with nothing to train in them.
    n_frozen: usize,
    /// Which layer the pass comes to next.
    next: usize,
    /// Which layer is run again, in a pass that runs no other.
    again: Option<usize>,
    /// What came out of it.
    output: Option<Tensor>,
}

#[derive(Debug)]
struct Layer {
    /// What it was given.
    given: Tensor,
    /// The same, of which nothing is remembered but the gradient. Mostly what came out of the layer before.
    input: Tensor,
    /// What came out, of which nothing is remembered but the gradient.
    output: Tensor,
    /// What it drew from.
    seed: i64,
}

impl Pass<'_> {
    /// Runs the next layer, or sees to it that it can be run again.
    pub(crate) fn layer(
        &mut self,
        x: &Tensor,
        run: impl FnOnce(&Tensor, &mut Self) -> Tensor,
    ) -> Tensor {
        let Some(recompute) = &mut self.recompute else { return run(x, self) };
        let i = recompute.next;
        recompute.next += 1;
        match recompute.again {
            None => {
                let seed = draw_seed();
                tch::manual_seed(seed);
                let input = match x.is_leaf() || !x.requires_grad() {
                    true => x.shallow_clone(),
                    false => x.detach().set_requires_grad(true),
                };
                // Where nothing before is trained, the layer shows by its output whether anything in it is.
                let output = match input.requires_grad() {
                    true => tch::no_grad(|| run(&input, self)).set_requires_grad(true),
                    false => match run(&input, self) {
                        output if output.requires_grad() => output.detach().set_requires_grad(true),
                        output => output,
                    },
                };
                if let Some(recompute) = &mut self.recompute {
                    if output.requires_grad() {
                        let (given, output) = (x.shallow_clone(), output.shallow_clone());
                        recompute.layers.push(Layer { given, input, output, seed });
                    } else {
                        recompute.n_frozen += 1;
                    }
                }
                output
            }
            Some(again) => {
                // Layers behind are done with, and of those before only the shape is of use.
                let layer = i.checked_sub(recompute.n_frozen).and_then(|i| recompute.layers.get(i));
                let Some(layer) = layer else { return x.detach() };
                let (input, output) = (layer.input.shallow_clone(), layer.output.detach());
                if again == i {
                    tch::manual_seed(layer.seed);
                    let output = run(&input, self);
                    if let Some(recompute) = &mut self.recompute {
                        recompute.output = Some(output);
                    }
                }
                output
            }
        }
    }
}

impl Recompute {
    /// Adds the gradients of all parameters of layers, and of what is before them, once that of what came
    /// out of the last one is there. `run` makes a pass through the network.
    pub(crate) fn backward(mut self, mut run: impl FnMut(&mut Recompute)) -> Result<(), Error> {
        for i in (0..self.layers.len()).rev() {
            (self.next, self.again) = (0, Some(self.n_frozen + i));
            run(&mut self);
            let Layer { given, input, output, .. } = &self.layers[i];
            if let Some(again) = self.output.take() {
                backward(&again, &output.grad())?;
            }
            if given.requires_grad() && !given.is_leaf() {
                backward(given, &input.grad())?;
            }
            // Its activations and gradients are of no use any more.
            self.layers.truncate(i);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::KvCache;

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    /// Three layers; something happens before and between them. Without dropout: tests beside this one draw from the
    /// same generator, and only training waits for its turn there.
    fn network(weights: &[Tensor; 4], x: &Tensor, pass: &mut Pass<'_>) -> Tensor {
        let mut x = x.matmul(&weights[3]);
        for (i, weight) in weights[..3].iter().enumerate() {
            x = pass.layer(&x, |x, _| x.matmul(weight).tanh());
            if i == 1 {
                x = x.g_mul_scalar(2.0);
            }
        }
        x.sin()
    }

    #[test]
    fn gradients_are_those_of_what_was_run_the_first_time() {
        let numbers = |n, by: f64| (Tensor::arange(n, CPU) * by).sin() * 0.5;
        let weights =
            [1.1, 1.7, 2.3, 2.9].map(|by| numbers(36, by).view([6, 6]).set_requires_grad(true));
        let x = numbers(12, 0.7).view([2, 6]);
        let run = |recompute: &mut Recompute| {
            let (cache, device) = (&mut KvCache::default(), Device::Cpu);
            let mut pass = Pass { cache, train: true, device, recompute: Some(recompute) };
            network(&weights, &x, &mut pass)
        };
        let loss = |move_by: Option<(usize, f64)>| {
            let moved = |by: f64| {
                if let Some((i, step)) = move_by {
                    let _guard = tch::no_grad_guard();
                    let _ = weights[i].view([-1]).get(5).g_add_scalar_(by * step);
                }
            };
            let mut recompute = Recompute::default();
            moved(1.0);
            let y = run(&mut recompute);
            moved(-1.0);
            (y, recompute)
        };
        let (y, recompute) = loss(None);
        y.sum(Kind::Float).backward();
        recompute.backward(|it| drop(run(it))).expect("gradients");
        for (i, weight) in weights.iter().enumerate() {
            let sum = |by: f64| loss(Some((i, by))).0.sum(Kind::Double).double_value(&[]);
            let exact = (sum(1e-2) - sum(-1e-2)) / 2e-2;
            let ours = weight.grad().view([-1]).double_value(&[5]);
            assert!((ours - exact).abs() < 1e-2 * (1.0 + exact.abs()), "{i}: {ours}, {exact}");
        }
    }
}
