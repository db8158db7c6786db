//! Rotary position embedding, <https://arxiv.org/abs/2104.09864>, and the ways to stretch it.
//!
//! Frequencies are computed in f32, operation by operation as the reference does: a rounding that
//! differs would grow with position.

use std::f64::consts::TAU;

use pretrained_config::{RopeParameters, RopeType};
use tch::{Device, Kind, Tensor};

use crate::fused;

/// Cosines and sines of the angles of each position, (T, D) or (B, 1, T, D).
pub(crate) type Rotation = (Tensor, Tensor);

/// Turns positions into the angles that queries and keys are rotated by.
#[derive(Debug)]
pub(crate) struct Rope {
    parameters: RopeParameters,
    /// How much of a head is rotated, D.
    dim: i64,
    max_position_embeddings: i64,
    /// What texts within the original length use.
    short: Frequencies,
}

#[derive(Debug)]
struct Frequencies {
    /// One angular velocity per rotated pair, (D/2).
    inv_freq: Tensor,
    /// What cosines and sines are multiplied by.
    attention_factor: f64,
}

impl Rope {
    pub(crate) fn new(
        parameters: &RopeParameters,
        head_dim: i64,
        max_position_embeddings: i64,
        device: Device,
    ) -> Rope {
        let dim = (head_dim as f64 * parameters.partial_rotary_factor) as i64;
        let mut short = frequencies(parameters, dim, max_position_embeddings, 0);
        short.inv_freq = short.inv_freq.to_device(device);
        Rope { parameters: parameters.clone(), dim, max_position_embeddings, short }
    }

    /// Cosines and sines, (T, D) or (B, 1, T, D), in `kind`, of these positions, (T) or (B, T), in
    /// a text of length `len` so far.
    pub(crate) fn forward(&self, positions: &Tensor, len: i64, kind: Kind) -> Rotation {
        let longer = match &self.parameters.rope_type {
            RopeType::Dynamic { .. } => len > self.max_position_embeddings,
            RopeType::LongRope { original_max_position_embeddings, .. } => {
                len > *original_max_position_embeddings
            }
            _ => false,
        };
        let long = longer
            .then(|| frequencies(&self.parameters, self.dim, self.max_position_embeddings, len));
        let Frequencies { inv_freq, attention_factor } = long.as_ref().unwrap_or(&self.short);

        let inv_freq = inv_freq.to_device(positions.device());
        let angles = positions.to_kind(Kind::Float).unsqueeze(-1) * inv_freq; // (.., T, D/2)
        let angles = Tensor::cat(&[&angles, &angles], -1); // (.., T, D)
        // Rows that have their own positions get a dimension for the heads.
        let angles = if positions.dim() == 2 { angles.unsqueeze(1) } else { angles };
        let (cos, sin) = (angles.cos(), angles.sin());
        match *attention_factor {
            1.0 => (cos.to_kind(kind), sin.to_kind(kind)),
            a => ((cos * a).to_kind(kind), (sin * a).to_kind(kind)),
        }
    }
}

/// The frequencies for a text of this length.
fn frequencies(
    parameters: &RopeParameters,
    dim: i64,
    max_position_embeddings: i64,
    len: i64,
) -> Frequencies {
    let d = dim as f64;
    let theta = parameters.rope_theta;
    let powers = |theta: f64| {
        let exponents = Tensor::arange_start_step(0, dim, 2, CPU).to_kind(Kind::Float) / d;
        Tensor::pow_scalar(theta, &exponents) // (D/2)
    };
    let plain = |theta: f64| powers(theta).reciprocal();
    let (inv_freq, attention_factor) = match &parameters.rope_type {
        RopeType::Default => (plain(theta), 1.0),

        RopeType::Linear { factor } => (plain(theta) / *factor, 1.0),

        // Longer texts than the model was trained on get a larger base.
        RopeType::Dynamic { factor } => {
            let max = max_position_embeddings as f64;
            let stretch = factor * (len as f64).max(max) / max - (factor - 1.0);
            (plain(theta * stretch.powf(d / (d - 2.0))), 1.0)
        }

        // Llama 3 slows low frequencies down, keeps high ones, and blends in between.
        RopeType::Llama3 {
            factor,
            low_freq_factor: low,
            high_freq_factor: high,
            original_max_position_embeddings,
        } => {
            let old = *original_max_position_embeddings as f64;
            let freqs = plain(theta);
            let wavelengths = TAU * freqs.reciprocal();
            let slowed = &freqs / *factor;
            let turns = old * wavelengths.reciprocal();
            let blend = (turns - *low) / (high - low);
            let blended = (1.0 - &blend) * &freqs / *factor + blend * &freqs;
            let blended = slowed.where_self(&wavelengths.gt(old / low), &blended);
            (freqs.where_self(&wavelengths.lt(old / high), &blended), 1.0)
        }

        // <https://arxiv.org/abs/2309.00071>.
        RopeType::Yarn {
            factor,
            original_max_position_embeddings,
            attention_factor,
            beta_fast,
            beta_slow,
            mscale,
            mscale_all_dim,
            truncate,
        } => {
            let old = *original_max_position_embeddings as f64;
            // The dimension that turns so often within the original length.
            let at = |turns: f64| d * (old / (turns * TAU)).ln() / (2.0 * theta.ln());
            let (mut low, mut high) = (at(*beta_fast), at(*beta_slow));
            if *truncate {
                (low, high) = (low.floor(), high.ceil());
            }
            (low, high) = (low.max(0.0), high.min(d - 1.0));
            if low == high {
                high += 0.001;
            }
            let pairs = Tensor::arange(dim / 2, CPU).to_kind(Kind::Float);
            let keep = 1.0 - ((pairs - low) / (high - low)).clamp(0.0, 1.0);
            let powers = powers(theta);
            let slowed = (*factor * &powers).reciprocal();
            let freqs = slowed * (1.0 - &keep) + powers.reciprocal() * keep;

            let grow = |m: f64| if *factor <= 1.0 { 1.0 } else { 0.1 * m * factor.ln() + 1.0 };
            let attention_factor = attention_factor.unwrap_or(match (mscale, mscale_all_dim) {
                // Zero means unset, as in the reference.
                (Some(m), Some(all)) if *m != 0.0 && *all != 0.0 => grow(*m) / grow(*all),
                _ => grow(1.0),
            });
            (freqs, attention_factor)
        }

        // <https://arxiv.org/abs/2402.13753>.
        RopeType::LongRope {
            short_factor,
            long_factor,
            original_max_position_embeddings,
            factor,
            attention_factor,
        } => {
            let old = *original_max_position_embeddings as f64;
            let long = len > *original_max_position_embeddings;
            let stretch = if long { long_factor } else { short_factor };
            let stretch = Tensor::from_slice(stretch).to_kind(Kind::Float);
            let factor = factor.unwrap_or(max_position_embeddings as f64 / old);
            let grown = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / old.ln()).sqrt() };
            ((stretch * powers(theta)).reciprocal(), attention_factor.unwrap_or(grown))
        }
    };
    Frequencies { inv_freq, attention_factor }
}

/// Rotates pairs (i, i + D/2) of the first D of each head by angles that grow with position.
///
/// `x` is (B, H, T, ≥ D).
pub(crate) fn rotate(x: &Tensor, (cos, sin): &Rotation) -> Tensor {
    let d = cos.size()[cos.dim() - 1];
    let rest = x.size()[3] - d;
    if rest == 0 {
        return rotate_whole(x, cos, sin);
    }
    let rotated = rotate_whole(&x.narrow(-1, 0, d), cos, sin);
    Tensor::cat(&[rotated, x.narrow(-1, d, rest)], -1)
}

fn rotate_whole(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    if let Some(y) = fused::rotate(x, cos, sin) {
        return y;
    }
    let halves = x.chunk(2, -1);
    let turned = Tensor::cat(&[halves[1].neg(), halves[0].shallow_clone()], -1);
    x * cos + turned * sin
}

const CPU: (Kind, Device) = (Kind::Int64, Device::Cpu);
