//! What changes the scores of the next token before one is chosen.
//!
//! Plain functions of a row's tokens so far and of its scores, each what transformers' processor of
//! that name does. A score of minus infinity is a token that cannot come. A function of your own
//! is as good as these; see [`generate_with`](crate::generate_with).

use std::collections::BTreeSet;

/// Makes tokens that have come less likely (above 1) or more likely (below).
pub fn repetition_penalty(tokens: &[u32], scores: &mut [f32], penalty: f64) {
    let penalty = penalty as f32;
    for token in distinct(tokens, scores.len()) {
        let score = &mut scores[token];
        *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
    }
}

/// Adds to the score of a sequence's last token wherever the others have just come.
pub fn sequence_bias(tokens: &[u32], scores: &mut [f32], biases: &[(Vec<u32>, f64)]) {
    for (sequence, bias) in biases {
        let Some((last, prefix)) = sequence.split_last() else { continue };
        let applies =
            prefix.is_empty() || (sequence.len() <= tokens.len() && tokens.ends_with(prefix));
        if let (true, Some(score)) = (applies, scores.get_mut(*last as usize)) {
            *score += *bias as f32;
        }
    }
}

/// Keeps sequences from coming. An end-of-text token alone is never one of them.
pub fn bad_words(tokens: &[u32], scores: &mut [f32], bad: &[Vec<u32>], eos: &[u32]) {
    let banned = bad.iter().filter(|it| !matches!(it.as_slice(), [id] if eos.contains(id)));
    let banned: Vec<_> = banned.map(|it| (it.clone(), f64::NEG_INFINITY)).collect();
    sequence_bias(tokens, scores, &banned);
}

/// Keeps runs of `n` tokens from coming twice.
pub fn no_repeat_ngram(tokens: &[u32], scores: &mut [f32], n: usize) {
    no_ngram_of(tokens, tokens, scores, n);
}

/// Keeps runs of `n` tokens from coming that are in `text`.
pub fn no_ngram_of(text: &[u32], tokens: &[u32], scores: &mut [f32], n: usize) {
    if n == 0 || tokens.len() + 1 < n {
        return;
    }
    let last = &tokens[tokens.len() + 1 - n..];
    for ngram in text.windows(n).filter(|it| &it[..n - 1] == last) {
        suppress(scores, &ngram[n - 1..]);
    }
}

/// Takes these tokens out.
pub fn suppress(scores: &mut [f32], tokens: &[u32]) {
    for &token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = f32::NEG_INFINITY;
        }
    }
}

/// Takes all tokens but these out, and makes these certain.
pub fn force(scores: &mut [f32], tokens: &[u32]) {
    scores.fill(f32::NEG_INFINITY);
    for &token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = 0.0;
        }
    }
}

/// Makes the end likelier, `factor` times per token by which the text is longer than `start`.
pub fn exponential_decay(scores: &mut [f32], eos: &[u32], len: usize, start: usize, factor: f64) {
    if len <= start {
        return;
    }
    let by = (factor.powi((len - start) as i32) - 1.0) as f32;
    for &token in eos {
        if let Some(score) = scores.get_mut(token as usize) {
            *score += score.abs() * by;
        }
    }
}

/// Replaces what is no number by 0, and what is infinite by the largest and smallest number.
pub fn remove_invalid(scores: &mut [f32]) {
    for score in scores {
        *score = if score.is_nan() { 0.0 } else { score.clamp(f32::MIN, f32::MAX) };
    }
}

/// Divides by the temperature: below 1, more like greedy; above, more even.
pub fn temperature(scores: &mut [f32], temperature: f64) {
    let by = temperature as f32;
    scores.iter_mut().for_each(|it| *it /= by);
}

/// Removes all but the `k` highest. Those that equal the lowest of them stay.
pub fn top_k(scores: &mut [f32], k: usize) {
    if k == 0 || k >= scores.len() {
        return;
    }
    let mut order = scores.to_vec();
    let (_, kth, _) = order.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let kth = *kth;
    keep(scores, |_, score| score >= kth);
}

/// Removes the least likely that have, together, no more than `1 - p`; the `min_keep` likeliest
/// stay.
pub fn top_p(scores: &mut [f32], p: f64, min_keep: usize) {
    if p >= 1.0 {
        return;
    }
    let (order, likely) = (ascending(scores), probabilities(scores));
    let mut cumulative = 0.0;
    for &i in &order[..order.len().saturating_sub(min_keep.max(1))] {
        cumulative += likely[i];
        if cumulative > 1.0 - p {
            break;
        }
        scores[i] = f32::NEG_INFINITY;
    }
}

/// Removes what is less likely than this part of the likeliest; the `min_keep` likeliest stay.
pub fn min_p(scores: &mut [f32], p: f64, min_keep: usize) {
    let likely = probabilities(scores);
    let at_least = p * likely.iter().copied().fold(0.0, f64::max);
    keep_likely(scores, &likely, at_least, min_keep);
}

/// Keeps the likeliest for as long as their part of the entropy is at most `h`; of no more than
/// a hundred tokens. <https://arxiv.org/abs/2509.02510>.
pub fn top_h(scores: &mut [f32], h: f64) {
    let mut order = ascending(scores);
    order.reverse();
    order.truncate(100);
    let top: Vec<f32> = order.iter().map(|&i| scores[i]).collect();
    let likely = probabilities(&top);
    let at_most = h * entropy(&likely);
    let mut cumulative = 0.0;
    let mut kept = vec![false; scores.len()];
    for (rank, (&i, p)) in order.iter().zip(&likely).enumerate() {
        cumulative -= p * p.ln();
        // A term that is no number keeps nothing, nor does what is behind it.
        kept[i] = rank == 0 || cumulative <= at_most;
    }
    keep(scores, |i, _| kept[i]);
}

/// Keeps the tokens whose information is nearest to what is expected of one, until they have
/// this probability together, and at least `min_keep` of them.
/// <https://arxiv.org/abs/2202.00666>.
pub fn typical(scores: &mut [f32], mass: f64, min_keep: usize) {
    let likely = probabilities(scores);
    let entropy = entropy(&likely);
    let shifted: Vec<f64> = likely.iter().map(|it| (-it.ln() - entropy).abs()).collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| shifted[a].total_cmp(&shifted[b]));
    let mut cumulative = 0.0;
    let crossing = order.iter().position(|&i| {
        cumulative += likely[i];
        cumulative >= mass
    });
    let last = crossing.unwrap_or(order.len().saturating_sub(1));
    let at_most = order.get(last).map_or(f64::INFINITY, |&i| shifted[i]);
    let mut kept = vec![false; scores.len()];
    for (rank, &i) in order.iter().enumerate() {
        kept[i] = rank < min_keep || shifted[i] <= at_most;
    }
    keep(scores, |i, _| kept[i]);
}

/// Removes what is less likely than `epsilon`; the `min_keep` likeliest stay.
pub fn epsilon_cutoff(scores: &mut [f32], epsilon: f64, min_keep: usize) {
    let likely = probabilities(scores);
    keep_likely(scores, &likely, epsilon, min_keep);
}

/// The same with a bound that is lower where the distribution is flat.
/// <https://arxiv.org/abs/2210.15191>.
pub fn eta_cutoff(scores: &mut [f32], epsilon: f64, min_keep: usize) {
    let likely = probabilities(scores);
    let eta = epsilon.min(epsilon.sqrt() * (-entropy(&likely)).exp());
    keep_likely(scores, &likely, eta, min_keep);
}

/// Makes the scores logarithms of probabilities again.
pub fn renormalize(scores: &mut [f32]) {
    let max = f64::from(scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let total: f64 = scores.iter().map(|&it| (f64::from(it) - max).exp()).sum();
    for score in scores {
        *score = (f64::from(*score) - max - total.ln()) as f32;
    }
}

/// The index of the highest score, the first of several. What is no number is not the highest.
pub fn likeliest(scores: &[f32]) -> usize {
    // In lanes that do not wait for each other.
    let (chunks, rest) = scores.as_chunks::<16>();
    let mut lanes = [f32::NEG_INFINITY; 16];
    for chunk in chunks {
        for (lane, &score) in lanes.iter_mut().zip(chunk) {
            *lane = if score > *lane { score } else { *lane };
        }
    }
    let highest = lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter().position(|it| *it == highest).unwrap_or_default()
}

/// The indices of the `n` highest scores, the highest first; of equal ones, the first first. What
/// is minus infinity or no number is not among them.
pub(crate) fn highest<T: PartialOrd + Into<f64> + Copy>(scores: &[T], n: usize) -> Vec<usize> {
    let score = |i: &usize| scores[*i].into();
    let mut best: Vec<usize> = Vec::new();
    for (i, &it) in scores.iter().enumerate() {
        let it: f64 = it.into();
        let is_high = it > f64::NEG_INFINITY
            && (best.len() < n || best.last().is_some_and(|last| it > score(last)));
        if is_high {
            let at = best.partition_point(|other| score(other) >= it);
            best.insert(at, i);
            best.truncate(n);
        }
    }
    best
}

/// What scores say, as numbers that add up to one.
pub fn probabilities(scores: &[f32]) -> Vec<f64> {
    let max = f64::from(scores.get(likeliest(scores)).copied().unwrap_or_default());
    let weights: Vec<f64> = scores.iter().map(|&it| (f64::from(it) - max).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|it| it / total).collect()
}

/// Removes what is less likely than that, but not what is as likely as the last of the `min_keep`
/// likeliest.
fn keep_likely(scores: &mut [f32], likely: &[f64], at_least: f64, min_keep: usize) {
    let best = highest(scores, min_keep.max(1));
    let lowest = best.last().map_or(f32::NEG_INFINITY, |&i| scores[i]);
    keep(scores, |i, score| likely[i] >= at_least || score >= lowest);
}

fn keep(scores: &mut [f32], kept: impl Fn(usize, f32) -> bool) {
    for (i, score) in scores.iter_mut().enumerate() {
        if !kept(i, *score) {
            *score = f32::NEG_INFINITY;
        }
    }
}

fn ascending(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    order
}

/// In nats. What cannot come adds nothing.
fn entropy(likely: &[f64]) -> f64 {
    -likely.iter().filter(|&&it| it > 0.0).map(|it| it * it.ln()).sum::<f64>()
}

fn distinct(tokens: &[u32], vocab_size: usize) -> BTreeSet<usize> {
    tokens.iter().map(|&it| it as usize).filter(|&it| it < vocab_size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_come_first_and_of_equal_ones_the_first() {
        assert_eq!(highest(&[1.0_f32, 3.0, 3.0, f32::NEG_INFINITY, 2.0, f32::NAN], 3), [1, 2, 4]);
        assert_eq!(highest(&[f32::NEG_INFINITY, 1.0], 3), [1]);
    }
}
