//! Draws the next token, not with libtorch's generator: a seed means the same on every device.

use crate::processors::{highest, likeliest, probabilities};

/// A random index, as likely as its score says.
pub(crate) fn draw(scores: &[f32], rng: &mut Rng) -> usize {
    let mut left = rng.uniform();
    for (i, likely) in probabilities(scores).iter().enumerate() {
        left -= likely;
        if left < 0.0 {
            return i;
        }
    }
    likeliest(scores)
}

/// So many random indices, no two the same, each as likely as its score says among those that are
/// left; in the order in which they are drawn.
pub(crate) fn draw_several(scores: &[f32], n: usize, rng: &mut Rng) -> Vec<usize> {
    // Adding Gumbel noise and taking the highest is drawing without replacement, in one pass:
    // <https://arxiv.org/abs/1903.06059>.
    let noisy = |&it: &f32| f64::from(it) - (-(1.0 - rng.uniform()).ln()).ln();
    let noisy: Vec<f64> = scores.iter().map(noisy).collect();
    highest(&noisy, n)
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// One of the streams of random numbers that a seed gives.
    pub(crate) fn new(seed: u64, stream: u64) -> Rng {
        let mut rng = Rng(seed ^ stream.wrapping_mul(0xD134_2543_DE82_EF95));
        if stream > 0 {
            // So that streams of seeds that differ by little do not meet.
            rng.0 = rng.next();
        }
        rng
    }

    /// From 0 to below 1.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_are_drawn_as_if_one_after_the_other() {
        let likely = [0.5_f64, 0.3, 0.0, 0.2];
        let scores = likely.map(|it| it.ln() as f32);
        let mut counts = [[0_u32; 4]; 4];
        let (mut rng, n) = (Rng::new(7, 0), 20_000);
        for _ in 0..n {
            let drawn = draw_several(&scores, 2, &mut rng);
            counts[drawn[0]][drawn[1]] += 1;
        }
        for (i, p) in likely.iter().enumerate() {
            for (j, q) in likely.iter().enumerate() {
                let p = if i == j { 0.0 } else { p * q / (1.0 - p) };
                let (expected, spread) = (p * f64::from(n), (f64::from(n) * p * (1.0 - p)).sqrt());
                let off = (f64::from(counts[i][j]) - expected).abs();
                assert!(off <= 5.0 * spread, "{i}, {j}: {}, not {expected}", counts[i][j]);
            }
        }
        assert_eq!(draw_several(&scores, 9, &mut rng).len(), 3);
    }

    #[test]
    fn streams_of_seeds_differ() {
        let firsts: std::collections::BTreeSet<u64> =
            (0..100).flat_map(|seed| (0..100).map(move |it| Rng::new(seed, it).next())).collect();
        assert_eq!(firsts.len(), 10_000);
    }
}
