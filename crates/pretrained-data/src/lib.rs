//! Turns text into examples for training: token ids, and which of them the loss is taken on.
//!
//! Knows files and tokenizers, no tensors and no models. What comes out is a [`Dataset`]: examples
//! by number, in an order that depends on nothing but the files.

mod cache;
mod chat;
mod error;
mod example;
mod jsonl;
mod pack;
mod record;
mod source;
mod store;
mod text;

#[cfg(test)]
mod tests;

pub use crate::{
    cache::{DataOptions, Progress},
    error::Error,
    example::{Dataset, Example, IGNORED, InMemory},
    jsonl::{JsonlDataset, Truncation},
    pack::{Packed, pack},
    text::TextDataset,
};
