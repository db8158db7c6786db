//! Chooses the next token. Pure functions over scores, and not libtorch's generator: a seed means
//! the same on every device.

/// The index of the highest score, the first of several.
pub(crate) fn greedy(scores: &[f32]) -> usize {
    let mut best = 0;
    for (i, score) in scores.iter().enumerate() {
        if *score > scores[best] || scores[best].is_nan() {
            best = i;
        }
    }
    best
}

/// A random index, as likely as its score says.
pub(crate) fn random(scores: &[f32], rng: &mut Rng) -> usize {
    let weights = softmax(scores);
    let mut left = rng.uniform() * weights.iter().sum::<f64>();
    for (i, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return i;
        }
    }
    greedy(scores)
}

/// Divides by the temperature: below 1, more like greedy; above, more even.
pub(crate) fn temperature(scores: &mut [f32], temperature: f64) {
    let by = temperature as f32;
    scores.iter_mut().for_each(|it| *it /= by);
}

/// Removes all but the `k` highest. Those that equal the lowest of them stay.
pub(crate) fn top_k(scores: &mut [f32], k: usize) {
    if k == 0 || k >= scores.len() {
        return;
    }
    let mut order = scores.to_vec();
    let (_, kth, _) = order.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let kth = *kth;
    scores.iter_mut().filter(|it| **it < kth).for_each(|it| *it = f32::NEG_INFINITY);
}

/// Removes the least likely that have, together, no more than `1 - p`.
pub(crate) fn top_p(scores: &mut [f32], p: f64) {
    if p >= 1.0 {
        return;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let weights = softmax(scores);
    let total: f64 = weights.iter().sum();
    let mut cumulative = 0.0;
    // The most likely one always stays.
    for &i in &order[..order.len().saturating_sub(1)] {
        cumulative += weights[i] / total;
        if cumulative > 1.0 - p {
            break;
        }
        scores[i] = f32::NEG_INFINITY;
    }
}

/// Not normalized: the highest is 1.
fn softmax(scores: &[f32]) -> Vec<f64> {
    let max = f64::from(scores.get(greedy(scores)).copied().unwrap_or_default());
    scores.iter().map(|&it| (f64::from(it) - max).exp()).collect()
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
