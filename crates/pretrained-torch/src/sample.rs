//! Draws the next token, not with libtorch's generator: a seed means the same on every device.

use crate::processors::{likeliest, probabilities};

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
