//! Turns text into examples for training: token ids, and which of them the loss is taken on.
//!
//! Knows files and tokenizers, no tensors and no models. What comes out is a [`Dataset`]: examples
//! by number, in an order that depends on nothing but the files.

mod example;

pub use crate::example::{Dataset, Example, IGNORED, InMemory};
