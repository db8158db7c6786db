//! Which weights of a model are read, and how strictly.

use clap::builder::NonEmptyStringValueParser;
use pretrained::artifact::{OpenOptions, Strictness};

/// The options of whatever opens weights without loading them.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// The variant of the weights, such as fp16 for model.fp16.safetensors.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    variant: Option<String>,
    /// Read files that break the safetensors format in ways that the reference lets pass, with a
    /// warning.
    #[arg(long)]
    compat: bool,
}

impl Options {
    pub(crate) fn open(&self) -> OpenOptions {
        let strictness = if self.compat { Strictness::Compat } else { Strictness::Strict };
        OpenOptions { variant: self.variant.clone(), strictness }
    }
}
