//! `pretrained train-tokenizer`: a byte-level BPE tokenizer from text.

use std::{path::PathBuf, process::ExitCode};

use pretrained::tokenizer::{Progress, SpecialTokens, TokenizerTrainer};

use crate::{output, progress::Bar, sources};

/// Train a byte-level BPE tokenizer on text files.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained train-tokenizer --text corpus.txt --vocab-size 8192 --out tokenizer
  pretrained train-tokenizer --text a.txt b.txt --min-frequency 5 --model-max-length 2048 --out tokenizer")]
pub(crate) struct Args {
    /// Text to train on, UTF-8
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    text: Vec<PathBuf>,
    /// How many tokens to make, the 256 bytes and the special tokens included
    #[arg(long, value_name = "N", default_value_t = 32_000)]
    vocab_size: usize,
    /// How often a pair must occur to become a token
    #[arg(long, value_name = "N", default_value_t = 2)]
    min_frequency: u64,
    /// The token that begins and ends a text
    #[arg(long, value_name = "TOKEN", default_value = "<|endoftext|>")]
    end_of_text: String,
    /// The longest sequence the model will be made for
    #[arg(long, value_name = "N")]
    model_max_length: Option<u64>,
    /// Where the tokenizer is written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let trainer = TokenizerTrainer {
        vocab_size: args.vocab_size,
        min_frequency: args.min_frequency,
        special_tokens: SpecialTokens {
            bos: Some(args.end_of_text.clone()),
            eos: Some(args.end_of_text),
            ..SpecialTokens::default()
        },
        model_max_length: args.model_max_length,
        chat_template: None,
    };
    let bar = Bar::bytes("reading");
    let tokenizer = trainer.train_files(sources::files(&args.text), |progress| match progress {
        Progress::Counting { done, total } => bar.set(done, total),
        _ => bar.working("merging pairs"),
    })?;
    bar.finish();
    tokenizer.save_pretrained(&args.out)?;

    let n_tokens = tokenizer.vocab_size();
    if n_tokens < args.vocab_size {
        output::note(format_args!(
            "the text has pairs for {n_tokens} tokens only, {} were asked for",
            args.vocab_size
        ));
    }
    let dir = args.out.display();
    if args.json {
        output::print_json(&serde_json::json!({
            "path": dir.to_string(),
            "vocab_size": n_tokens,
        }))?;
    } else {
        output::print(format_args!("{dir}: {} tokens\n", output::count(n_tokens as u64)))?;
    }
    Ok(ExitCode::SUCCESS)
}
