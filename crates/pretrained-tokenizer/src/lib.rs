//! Carries a model's tokenizer files byte for byte, and runs them.
//!
//! [`TokenizerFiles`] are the files, [`AutoTokenizer`] is what they describe: text to ids, ids to
//! text, conversations to prompts. [`TokenizerTrainer`] makes new ones from text. What a directory
//! means is what Hugging Face's transformers makes of it: the same ids, offsets and prompts.
//!
//! A tokenizer's files are outside input. Whatever they say, opening and running them ends, in an
//! error if need be, and never in a panic.
//!
//! ```
//! use pretrained_tokenizer::{AutoTokenizer, TokenizerTrainer};
//! # let dir = tempfile::tempdir()?;
//! # let (text, tokenizer) = (dir.path().join("notes.txt"), dir.path().join("tokenizer"));
//! std::fs::write(&text, "the quick brown fox jumps over the lazy dog")?;
//! let trainer = TokenizerTrainer { vocab_size: 280, ..TokenizerTrainer::default() };
//! trainer.train_files(&[text], |_| ())?.save_pretrained(&tokenizer)?;
//!
//! let tokenizer = AutoTokenizer::from_pretrained(&tokenizer)?;
//! let ids = tokenizer.encode("the fox", true)?;
//! assert_eq!(tokenizer.decode(&ids, true)?, "the fox");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
