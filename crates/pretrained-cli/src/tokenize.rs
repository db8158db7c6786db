//! `pretrained tokenize`: text to ids and back.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use pretrained::tokenizer::AutoTokenizer;

use crate::{output, sources};

/// Turn text into token ids, or ids into text.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained tokenize model \"Once upon a time\"
  pretrained tokenize model --decode 12,345,6")]
pub(crate) struct Args {
    /// Directory with the tokenizer
    model: PathBuf,
    /// Text, or with --decode ids separated by commas
    text: String,
    /// Decode ids to text
    #[arg(long)]
    decode: bool,
    /// Leave out the special tokens that the tokenizer puts around a text, and when decoding
    #[arg(long)]
    no_special_tokens: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let tokenizer = AutoTokenizer::from_pretrained(sources::tokenizer(&args.model)?)?;
    if args.decode {
        let ids = parse_ids(&args.text)?;
        if let Some(id) = ids.iter().find(|&&it| tokenizer.id_to_token(it).is_none()) {
            anyhow::bail!(
                "{}: no token has id {id}, there are {}",
                args.model.display(),
                tokenizer.vocab_size()
            );
        }
        let text = tokenizer.decode(&ids, args.no_special_tokens)?;
        if args.json {
            output::print_json(&serde_json::json!({ "ids": ids, "text": text }))?;
        } else {
            output::print(format_args!("{text}\n"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }

    let ids = tokenizer.encode(&args.text, !args.no_special_tokens)?;
    if args.json {
        let tokens: Vec<Option<String>> = ids.iter().map(|&it| tokenizer.id_to_token(it)).collect();
        output::print_json(
            &serde_json::json!({ "text": args.text, "ids": ids, "tokens": tokens }),
        )?;
    } else {
        let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        output::print(format_args!("{}\n", ids.join(",")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ids separated by commas.
pub(crate) fn parse_ids(text: &str) -> anyhow::Result<Vec<u32>> {
    let parse =
        |id: &str| id.trim().parse().with_context(|| format!("`{}` is not a token id", id.trim()));
    text.split(',').map(parse).collect()
}
