//! Matrix-vector products of weights kept in bf16 or f32, which all cores read once, and the small steps
//! between them.
//!
//! A language model that writes one token reads every weight once and computes little with it, so
//! what counts is that all cores read all the time. This crate knows slices of numbers and a
//! [`Team`] of threads that it is lent: no tensors, no models, no libtorch, no threads of its own.
//!
//! Sums are made in f32 and rounded once, to the nearest, ties to even. For the same inputs the
//! result is the same for every number of threads and of rows; it is the same on every CPU with
//! fused multiply-add, whose vectors may have any length.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod cpu;
mod dot;
mod element;
mod multiply;
mod output;
mod rows;
mod share;

#[cfg(test)]
mod tests;

pub use crate::{
    element::Element,
    multiply::{Alone, Error, MAX_ROWS, Matrix, Team, multiply},
    rows::{Gain, rms_norm, rotate},
};
pub use half::bf16;
