use crate::{
    Dropout, Element, Error, Team,
    cpu::{LANES, fold},
    parts::{Job, exp, multiply_add, run_parts},
};

/// How scores of queries and keys, (.., T, S), become weights: scaled, of what comes before only,
/// normalized, and some of them dropped. T queries are the last of S positions.
#[derive(Debug, Clone, Copy)]
pub struct Causal {
    /// T.
    pub n_queries: usize,
    /// S.
    pub n_keys: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// Which weights are dropped.
    pub dropout: Dropout,
}

impl Causal {
    /// Makes scores weights where they are.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if there are no queries, more queries than keys, or other than whole (T, S)
    /// of scores.
    pub fn weights<T: Element>(self, scores: &mut [T], team: &impl Team) -> Result<(), Error> {
        let rows = self.rows(scores.len())?;
        run_parts(scores.chunks_mut(rows * self.n_keys).enumerate(), &Forward(self, rows), team);
        Ok(())
    }

    /// Makes scores weights, and the gradients of weights those of scores, where they are.
    ///
    /// # Errors
    ///
    /// As [`weights`](Causal::weights); also [`Error::Output`] if there are not as many gradients
    /// as scores.
    pub fn gradients<T: Element>(
        self,
        scores: &mut [T],
        grads: &mut [T],
        team: &impl Team,
    ) -> Result<(), Error> {
        if grads.len() != scores.len() {
            let (found, expected) = (grads.len(), scores.len());
            return Err(Error::Output { what: "the gradient", found, expected });
        }
        let rows = self.rows(scores.len())?;
        let len = rows * self.n_keys;
        let parts = scores.chunks_mut(len).zip(grads.chunks_mut(len)).enumerate();
        run_parts(parts, &Backward(self, rows), team);
        Ok(())
    }

    /// How many a thread takes at once.
    fn rows(self, len: usize) -> Result<usize, Error> {
        let one = self.n_queries.checked_mul(self.n_keys);
        let fits = self.n_queries > 0 && self.n_queries <= self.n_keys;
        match fits && one.is_some_and(|it| len.is_multiple_of(it)) {
            true => Ok((PART / self.n_keys).max(1)),
            false => Err(Error::Input { n_in: self.n_keys, found: len }),
        }
    }

    /// How many keys the query of a row sees.
    #[inline(always)]
    fn visible(&self, row: usize) -> usize {
        self.n_keys - self.n_queries + row % self.n_queries + 1
    }

    /// Writes the weights of a row of scores, none of them dropped.
    #[inline(always)]
    fn normalize<T: Element>(&self, scores: &[T], weights: &mut [f32], fma: bool) {
        let n = weights.len().min(scores.len());
        let mut most = f32::NEG_INFINITY;
        for i in 0..n {
            weights[i] = scores[i].to_f32() * self.scale;
            most = if weights[i] > most { weights[i] } else { most };
        }
        let mut sums = [0.0f32; LANES];
        let (blocks, rest) = weights[..n].as_chunks_mut::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                block[lane] = exp(block[lane] - most, fma);
                sums[lane] += block[lane];
            }
        }
        for (lane, weight) in rest.iter_mut().enumerate() {
            *weight = exp(*weight - most, fma);
            sums[lane] += *weight;
        }
        let normal = fold(sums).recip();
        for weight in &mut weights[..n] {
            *weight *= normal;
        }
    }
}

struct Forward(Causal, usize);

impl<T: Element> Job<(usize, &mut [T])> for Forward {
    #[inline(always)]
    fn run(&self, (part, scores): (usize, &mut [T]), fma: bool) {
        let (it, n) = (&self.0, self.0.n_keys);
        let mut weights = vec![0.0f32; n];
        for (row, scores) in scores.chunks_exact_mut(n).enumerate() {
            let row = part * self.1 + row;
            let seen = it.visible(row);
            it.normalize(&scores[..seen], &mut weights[..seen], fma);
            let first = (row * n) as u32;
            for i in 0..seen {
                let factor = it.dropout.factor(first.wrapping_add(i as u32));
                scores[i] = T::from_f32(weights[i] * factor);
            }
            scores[seen..].fill(T::from_f32(0.0));
        }
    }
}

struct Backward(Causal, usize);

type Pair<'a, T> = (usize, (&'a mut [T], &'a mut [T]));

impl<'p, T: Element> Job<Pair<'p, T>> for Backward {
    #[inline(always)]
    fn run(&self, (part, (scores, grads)): Pair<'p, T>, fma: bool) {
        let (it, n) = (&self.0, self.0.n_keys);
        let (mut weights, mut factors) = (vec![0.0f32; n], vec![0.0f32; n]);
        for (row, (scores, grads)) in
            scores.chunks_exact_mut(n).zip(grads.chunks_exact_mut(n)).enumerate()
        {
            let row = part * self.1 + row;
            let seen = it.visible(row);
            it.normalize(&scores[..seen], &mut weights[..seen], fma);
            let first = (row * n) as u32;
            let mut sums = [0.0f32; LANES];
            for i in 0..seen {
                let factor = it.dropout.factor(first.wrapping_add(i as u32));
                factors[i] = factor * grads[i].to_f32();
                scores[i] = T::from_f32(weights[i] * factor);
            }
            scores[seen..].fill(T::from_f32(0.0));
            let (blocks, rest) = weights[..seen].as_chunks::<LANES>();
            for (weights, factors) in blocks.iter().zip(factors.as_chunks::<LANES>().0) {
                for lane in 0..LANES {
                    sums[lane] = multiply_add(weights[lane], factors[lane], sums[lane], fma);
                }
            }
            let from = seen - rest.len();
            for lane in 0..rest.len() {
                sums[lane] += rest[lane] * factors[from + lane];
            }
            let mean = fold(sums);
            for i in 0..seen {
                grads[i] = T::from_f32(weights[i] * (factors[i] - mean) * it.scale);
            }
            grads[seen..].fill(T::from_f32(0.0));
        }
    }
}

/// How many scores a thread takes at once.
const PART: usize = 1 << 15;

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::Alone;

    /// Weights as they are defined, in f64.
    fn expected(scores: &[f32], it: &Causal) -> Vec<f64> {
        let mut all = Vec::new();
        for (row, scores) in scores.chunks(it.n_keys).enumerate() {
            let seen = it.n_keys - it.n_queries + row % it.n_queries + 1;
            let powers = scores[..seen].iter().map(|x| (f64::from(*x) * f64::from(it.scale)).exp());
            let powers: Vec<f64> = powers.collect();
            let sum: f64 = powers.iter().sum();
            all.extend(powers.iter().enumerate().map(|(i, x)| {
                let place = (row * it.n_keys + i) as u32;
                x / sum * f64::from(it.dropout.factor(place))
            }));
            all.resize((row + 1) * it.n_keys, 0.0);
        }
        all
    }

    fn numbers<T: Element>(n: usize, by: usize) -> Vec<T> {
        (0..n).map(|i| T::from_f32(((i * by % 101) as f32 - 50.0) / 9.0)).collect()
    }

    fn check<T: Element>(n_queries: usize, n_keys: usize, part: f64, tolerance: f64) {
        let dropout = Dropout::new(part, 5);
        let it = Causal { n_queries, n_keys, scale: 0.37, dropout };
        let scores = numbers::<T>(3 * n_queries * n_keys, 37);
        let wide = |it: &[T]| it.iter().map(|it| it.to_f32()).collect::<Vec<f32>>();
        let mut weights = scores.clone();
        it.weights(&mut weights, &Alone).expect("sizes fit");
        let exact = expected(&wide(&scores), &it);
        for (ours, exact) in wide(&weights).iter().zip(&exact) {
            assert!((f64::from(*ours) - exact).abs() <= tolerance, "{ours}, {exact}");
        }

        // Of the sum of all weights times some numbers, by going a little both ways.
        let towards = numbers::<T>(scores.len(), 53);
        let (mut again, mut grads) = (scores.clone(), towards.clone());
        it.gradients(&mut again, &mut grads, &Alone).expect("sizes fit");
        assert_eq!(wide(&again), wide(&weights));
        let objective = |scores: &[f32]| -> f64 {
            let weights = expected(scores, &it);
            weights.iter().zip(wide(&towards)).map(|(a, b)| a * f64::from(b)).sum()
        };
        for i in (0..scores.len()).step_by(7) {
            let moved = |by: f32| {
                let mut scores = wide(&scores);
                scores[i] += by;
                objective(&scores)
            };
            let exact = (moved(1.0 / 64.0) - moved(-1.0 / 64.0)) * 32.0;
            let off = (f64::from(grads[i].to_f32()) - exact).abs();
            assert!(off < tolerance * 10.0 + 1e-4, "{n_queries} x {n_keys}, {i}: {off}");
        }
    }

    #[test]
    fn weights_and_gradients_are_as_defined() {
        for (n_queries, n_keys) in [(1, 1), (1, 5), (4, 4), (17, 40), (33, 33)] {
            for part in [0.0, 0.3] {
                check::<f32>(n_queries, n_keys, part, 1e-6);
                check::<bf16>(n_queries, n_keys, part, 1e-2);
            }
        }
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        let dropout = Dropout::new(0.1, 0);
        for (n_queries, n_keys, len) in
            [(0, 4, 16), (5, 4, 20), (2, 4, 12), (2, 0, 0), (usize::MAX, usize::MAX, 8)]
        {
            let it = Causal { n_queries, n_keys, scale: 1.0, dropout };
            assert!(it.weights(&mut vec![0.0f32; len], &Alone).is_err());
        }
        let it = Causal { n_queries: 2, n_keys: 2, scale: 1.0, dropout };
        assert!(it.gradients(&mut [0.0f32; 4], &mut [0.0f32; 8], &Alone).is_err());
    }
}
