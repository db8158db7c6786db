//! `pretrained embed`: a vector for each text.

use std::{
    io::{self, BufRead},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail};
use pretrained::{
    safetensors::{Dtype, TensorSpec},
    tokenizer::AutoTokenizer,
    torch::{self, AutoModel, EmbedOptions, Embeddings, Pooling, embed},
};

use crate::{device, logits::write, output, sources};

/// Print a vector for each text, as an encoder understands it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What is not given comes from the files of sentence-transformers (modules.json), \
                  if the model has them; else vectors are the mean of the tokens', and of length 1.

Examples:
  pretrained embed model \"Where is the station?\" \"How do I get to the train?\"
  pretrained embed model --out vectors.safetensors < lines.txt"
)]
pub(crate) struct Args {
    /// Model directory
    model: PathBuf,
    /// Texts; without any, each line of standard input is one
    texts: Vec<String>,
    /// What the vectors of a text's tokens become
    #[arg(long, value_name = "POOLING")]
    pooling: Option<PoolingArg>,
    /// Leave the vectors as long as they are
    #[arg(long)]
    no_normalize: bool,
    /// How many texts to run at once
    #[arg(long, value_name = "N")]
    batch_size: Option<NonZeroUsize>,
    /// Cut longer texts to so many tokens
    #[arg(long, value_name = "N")]
    max_length: Option<usize>,
    /// Write the tensor "embeddings", (N, C), F32, to a safetensors file instead
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON document, with the texts
    #[arg(long, conflicts_with = "out")]
    json: bool,
    #[command(flatten)]
    device: device::Options,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PoolingArg {
    /// Their mean
    Mean,
    /// The first
    Cls,
    /// The largest number of each channel
    Max,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let dir = sources::model(&args.model)?;
    let mut options = EmbedOptions::from_pretrained(&dir)?;
    if let Some(pooling) = args.pooling {
        options.pooling = match pooling {
            PoolingArg::Mean => Pooling::Mean,
            PoolingArg::Cls => Pooling::Cls,
            PoolingArg::Max => Pooling::Max,
        };
    }
    options.normalize &= !args.no_normalize;
    options.batch_size = args.batch_size.map_or(options.batch_size, NonZeroUsize::get);
    options.max_length = args.max_length.or(options.max_length);

    let tokenizer = AutoTokenizer::from_pretrained(&dir)?;
    sources::weights(&dir)?;
    let model = match AutoModel::from_pretrained(&dir, args.device.get()?) {
        Err(torch::Error::NoEncoder(model_type)) => bail!(
            "{}: `{model_type}` models predict the next token, and have no vectors of texts; \
             `pretrained generate` runs them",
            dir.display()
        ),
        res => res?,
    };
    let texts = match args.texts.is_empty() {
        true => io::stdin().lock().lines().collect::<io::Result<_>>().context("standard input")?,
        false => args.texts,
    };
    let Embeddings { shape, values } = embed(&model, &tokenizer, &texts, &options)?;
    let [n, width] = shape;
    if let Some(path) = &args.out {
        let (name, shape) = ("embeddings".to_owned(), shape.to_vec());
        let spec = TensorSpec { name, dtype: Dtype::F32, shape };
        let bytes: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
        write(spec, &bytes, path).with_context(|| path.display().to_string())?;
        output::note(format_args!("{}: embeddings, ({n}, {width}), F32", path.display()));
    } else if args.json {
        let rows: Vec<&[f32]> = values.chunks(width).collect();
        output::print_json(&serde_json::json!({ "texts": texts, "embeddings": rows }))?;
    } else {
        for row in values.chunks(width) {
            output::print(format_args!("{}\n", serde_json::to_string(row)?))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
