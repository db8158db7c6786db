//! `pretrained eval`: how well a model predicts a text.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode};

use pretrained::{
    config::Config,
    data::{Dataset, TextDataset},
    tokenizer::AutoTokenizer,
    torch::evaluate,
};

use crate::{device, output, progress::Bar, sources};

/// The mean loss of a text's tokens, in nats, and its perplexity.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained eval model --text held-out.txt
  pretrained eval runs/notes --text part-1.txt part-2.txt --block-size 512 --json")]
pub(crate) struct Args {
    /// Model directory
    model: PathBuf,
    /// Text to predict, UTF-8
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    text: Vec<PathBuf>,
    /// Tokens predicted in one piece; default: the model's positions, 1024 at most
    #[arg(long, value_name = "N")]
    block_size: Option<usize>,
    /// Blocks in one batch
    #[arg(long, value_name = "N", default_value = "8")]
    batch_size: NonZeroUsize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: device::Options,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let tokenizer = AutoTokenizer::from_pretrained(sources::model(&args.model)?)?;
    let model = sources::language_model(&args.model, args.device.get()?)?;
    let block_size = args.block_size.unwrap_or_else(|| default_block_size(model.config()));
    sources::files(&args.text);
    let data = TextDataset::whole_from_files(&args.text, &tokenizer, block_size)?;

    let bar = Bar::steps("evaluating");
    let evaluation = evaluate(&model, &data, args.batch_size.get(), |done| {
        bar.set(done as u64, data.len() as u64);
    })?;
    bar.finish();

    let (loss, perplexity) = (evaluation.loss, evaluation.perplexity());
    if args.json {
        output::print_json(&serde_json::json!({
            "loss": loss,
            "perplexity": perplexity,
            "tokens": evaluation.tokens,
        }))?;
    } else {
        let tokens = output::count(evaluation.tokens);
        output::print(format_args!(
            "loss        {loss:.6}\nperplexity  {perplexity:.4}\ntokens      {tokens}\n"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What Hugging Face's example scripts take: what the model can hold, but no more than 1024.
pub(crate) fn default_block_size(config: &Config) -> usize {
    let positions = ["max_position_embeddings", "n_positions"];
    let positions = positions.iter().find_map(|it| config.get(it)?.as_i64());
    positions.and_then(|it| usize::try_from(it).ok()).unwrap_or(BLOCK_SIZE).min(BLOCK_SIZE)
}

const BLOCK_SIZE: usize = 1024;
