//! Matrix-vector products of weights kept in bf16 or f32, which all cores read once, the small steps
//! between them, and the steps of training that go through memory more often in operators than they need.
//!
//! A language model that writes one token reads every weight once and computes little with it, so
//! what counts is that all cores read all the time. This crate knows slices of numbers and a
//! [`Team`] of threads that it is lent: no tensors, no models, no libtorch, no threads of its own.
//!
//! Sums are made in f32 and rounded once, to the nearest, ties to even. For the same inputs the
//! result is the same for every number of threads and of rows; it is the same on every CPU with
//! fused multiply-add, whose vectors may have any length.
//!
//! ```
//! use pretrained_kernels::{Alone, Matrix, multiply};
//!
//! let weights = [1.0f32, 2.0, 3.0, 4.0]; // (2, 2)
//! let (x, mut y) = ([1.0, 10.0], [0.0; 2]);
//! multiply(Matrix::new(&weights, 2, 2)?, &x, None, &mut y, &Alone)?;
//! assert_eq!(y, [21.0, 43.0]);
//! # Ok::<(), pretrained_kernels::Error>(())
//! ```

mod attend;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod cpu;
mod dot;
mod dropout;
mod element;
mod entropy;
mod multiply;
mod output;
mod parts;
mod rows;
mod share;

#[cfg(test)]
mod tests;

pub use crate::{
    attend::Causal,
    dropout::Dropout,
    element::Element,
    entropy::CrossEntropy,
    multiply::{Alone, Error, MAX_ROWS, Matrix, Team, multiply},
    rows::{Gain, rms_norm, rotate},
};
pub use half::bf16;
