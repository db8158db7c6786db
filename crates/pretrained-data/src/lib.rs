//! Turns text into examples for training: token ids, and which of them the loss is taken on.
//!
//! Knows files and tokenizers, no tensors and no models. What comes out is a [`Dataset`]: examples
//! by number, in an order that depends on nothing but the files.
//!
//! ```
//! use pretrained_data::{Dataset, Example, InMemory, Packed};
//!
//! let text = |ids: &'static [u32]| Example { input_ids: ids.into(), labels: None };
//! let data = InMemory(vec![text(&[1, 2, 3]), text(&[4, 5]), text(&[6, 7, 8, 9])]);
//! let packed = Packed::new(data, 6);
//! assert_eq!(packed.len(), 2);
//! ```

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
