//! Carries a model's tokenizer files byte for byte, and runs them.
//!
//! [`TokenizerFiles`] are the files, [`AutoTokenizer`] is what they describe: text to ids, ids to
//! text, conversations to prompts. [`TokenizerTrainer`] makes new ones from text. What a directory
//! means is what Hugging Face's transformers makes of it: the same ids, offsets and prompts.
//!
//! A tokenizer's files are outside input. Whatever they say, opening and running them ends, in an
//! error if need be, and never in a panic.

mod bundle;
mod chat;
mod encode;
mod error;
mod guard;
mod load;
mod pieces;
mod special;
mod stream;
#[cfg(test)]
mod tests;
mod tokenizer;
mod train;

pub use bundle::TokenizerFiles;
pub use chat::{ChatEncoding, ChatOptions};
pub use encode::{EncodeOptions, Encoding, Input, OffsetUnit, Padding, Truncation};
pub use error::Error;
pub use load::Side;
pub use special::SpecialTokens;
pub use stream::DecodeStream;
pub use tokenizer::AutoTokenizer;
pub use train::{Progress, TokenizerTrainer};
