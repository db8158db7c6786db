use crate::{
    Element, Error, Team,
    cpu::{LANES, fold},
    parts::{Job, exp, run_parts},
};

/// The cross-entropy of scores, (N, V), with one right class in each row.
#[derive(Debug, Clone, Copy)]
pub struct CrossEntropy {
    /// The part of the right class that all share.
    pub label_smoothing: f32,
    /// What gradients are multiplied by.
    pub scale: f32,
}

impl CrossEntropy {
    /// Makes scores the gradient of their loss where they are, and writes the loss of each row. A row
    /// whose class is negative has neither.
    ///
    /// # Errors
    ///
    /// [`Error::Output`] if there are not as many losses as classes; [`Error::Input`] if the scores are
    /// not as many rows, or if a class is not among theirs.
    pub fn gradients<T: Element>(
        self,
        scores: &mut [T],
        classes: &[i64],
        losses: &mut [f32],
        team: &impl Team,
    ) -> Result<(), Error> {
        let n_rows = classes.len();
        if losses.len() != n_rows {
            let (what, found) = ("the losses", losses.len());
            return Err(Error::Output { what, found, expected: n_rows });
        }
        let n = scores.len() / n_rows.max(1);
        let is_there = |&it: &i64| it < 0 || usize::try_from(it).is_ok_and(|it| it < n);
        if n == 0 || scores.len() != n * n_rows || !classes.iter().all(is_there) {
            return Err(Error::Input { n_in: n, found: scores.len() });
        }
        let parts = scores.chunks_exact_mut(n).zip(classes).zip(losses);
        run_parts(parts, &self, team);
        Ok(())
    }
}

type Row<'a, T> = ((&'a mut [T], &'a i64), &'a mut f32);

impl<'p, T: Element> Job<Row<'p, T>> for CrossEntropy {
    #[inline(always)]
    fn run(&self, ((scores, class), loss): Row<'p, T>, fma: bool) {
        let Ok(class) = usize::try_from(*class) else {
            scores.fill(T::from_f32(0.0));
            *loss = 0.0;
            return;
        };
        // A row is in the nearest cache but one after the first of these passes.
        let (blocks, rest) = scores.as_chunks::<LANES>();
        let mut most = [f32::NEG_INFINITY; LANES];
        let mut sums = [0.0f32; LANES];
        for block in blocks {
            for lane in 0..LANES {
                let x = block[lane].to_f32();
                most[lane] = if x > most[lane] { x } else { most[lane] };
                sums[lane] += x;
            }
        }
        for lane in 0..rest.len() {
            let x = rest[lane].to_f32();
            most[lane] = if x > most[lane] { x } else { most[lane] };
            sums[lane] += x;
        }
        let mut largest = most[0];
        for x in &most[1..] {
            largest = if *x > largest { *x } else { largest };
        }
        let mean = fold(sums) / scores.len() as f32;

        let mut sums = [0.0f32; LANES];
        for block in blocks {
            for lane in 0..LANES {
                sums[lane] += exp(block[lane].to_f32() - largest, fma);
            }
        }
        for lane in 0..rest.len() {
            sums[lane] += exp(rest[lane].to_f32() - largest, fma);
        }
        let total = fold(sums);
        let log_total = total.ln() + largest;
        let right = scores[class].to_f32();
        let smoothing = self.label_smoothing;
        *loss = (1.0 - smoothing) * (log_total - right) + smoothing * (log_total - mean);

        let shared = smoothing / scores.len() as f32;
        let factor = self.scale / total;
        let less = shared * self.scale;
        let probability = exp(right - largest, fma) * factor;
        for score in scores.iter_mut() {
            *score = T::from_f32(exp(score.to_f32() - largest, fma) * factor - less);
        }
        scores[class] = T::from_f32(probability - less - (1.0 - smoothing) * self.scale);
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::Alone;

    fn loss(scores: &[f64], class: usize, smoothing: f64) -> f64 {
        let log_total = scores.iter().map(|it| it.exp()).sum::<f64>().ln();
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        (1.0 - smoothing) * (log_total - scores[class]) + smoothing * (log_total - mean)
    }

    fn check<T: Element>(n: usize, smoothing: f32, tolerance: f64) {
        let it = CrossEntropy { label_smoothing: smoothing, scale: 0.25 };
        let classes = [0, n as i64 - 1, -100, n as i64 / 2];
        let scores: Vec<T> =
            (0..4 * n).map(|i| T::from_f32(((i * 37 % 101) as f32 - 30.0) / 8.0)).collect();
        let (mut grads, mut losses) = (scores.clone(), [1.0; 4]);
        it.gradients(&mut grads, &classes, &mut losses, &Alone).expect("sizes fit");
        for (row, class) in classes.iter().enumerate() {
            let grads = &grads[row * n..][..n];
            let Ok(class) = usize::try_from(*class) else {
                assert!(losses[row] == 0.0 && grads.iter().all(|it| it.to_f32() == 0.0));
                continue;
            };
            let scores = scores[row * n..][..n].iter().map(|it| f64::from(it.to_f32()));
            let scores: Vec<f64> = scores.collect();
            let of = |scores: &[f64]| loss(scores, class, f64::from(smoothing));
            assert!((f64::from(losses[row]) - of(&scores)).abs() < 1e-5);
            for i in 0..n {
                let moved = |by: f64| {
                    let mut scores = scores.clone();
                    scores[i] += by;
                    of(&scores)
                };
                let exact = (moved(1e-4) - moved(-1e-4)) / 2e-4 * 0.25;
                assert!((f64::from(grads[i].to_f32()) - exact).abs() < tolerance, "{n}, {i}");
            }
        }
    }

    #[test]
    fn losses_and_gradients_are_as_defined() {
        for n in [1, 2, 16, 53] {
            for smoothing in [0.0, 0.1] {
                check::<f32>(n, smoothing, 1e-6);
                check::<bf16>(n, smoothing, 2e-3);
            }
        }
    }

    #[test]
    fn scores_far_apart_and_not_finite() {
        let it = CrossEntropy { label_smoothing: 0.0, scale: 1.0 };
        let (mut scores, mut losses) = ([1e4f32, -1e4, 0.0], [0.0]);
        it.gradients(&mut scores, &[1], &mut losses, &Alone).expect("sizes fit");
        assert_eq!((scores, losses), ([1.0, -1.0, 0.0], [2e4]));
        let mut scores = [f32::NAN, 0.0, 1.0];
        it.gradients(&mut scores, &[1], &mut losses, &Alone).expect("sizes fit");
        assert!(losses[0].is_nan() && scores.iter().all(|it| it.is_nan()));
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        let it = CrossEntropy { label_smoothing: 0.0, scale: 1.0 };
        let run = |n: usize, classes: &[i64], n_losses: usize| {
            it.gradients(&mut vec![0.0f32; n], classes, &mut vec![0.0; n_losses], &Alone)
        };
        assert!(run(6, &[0, 2], 2).is_ok());
        assert!(run(6, &[0, 3], 2).is_err(), "a class that is not there");
        assert!(run(5, &[0, 1], 2).is_err());
        assert!(run(6, &[0, 1], 1).is_err());
        assert!(run(0, &[0], 1).is_err());
        assert!(run(0, &[], 0).is_err());
    }
}
