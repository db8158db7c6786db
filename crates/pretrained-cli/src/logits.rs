//! `pretrained logits`: what a model says about given tokens, for comparing models.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use pretrained::{
    safetensors::{Dtype, Layout, Metadata, TensorSpec},
    torch::logits,
};

use crate::{device, output, sources, tokenize::parse_ids};

/// Write the logits of given token ids to a safetensors file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained logits model --ids 1,2,3 --out logits.safetensors
  pretrained logits model --ids '1,2,3;4,5,6' --out logits.safetensors --device cpu")]
pub(crate) struct Args {
    /// Model directory
    model: PathBuf,
    /// Rows of ids: commas within a row, semicolons between rows of the same length
    #[arg(long, value_name = "IDS")]
    ids: String,
    /// File for the tensor "logits", (B, T, V), F32
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    device: device::Options,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let rows = args.ids.split(';').map(parse_ids).collect::<anyhow::Result<Vec<_>>>()?;
    let model = sources::language_model(&args.model, args.device.get()?)?;
    let logits = logits(&model, &rows)?;

    let spec =
        TensorSpec { name: "logits".to_owned(), dtype: Dtype::F32, shape: logits.shape.to_vec() };
    let bytes: Vec<u8> = logits.values.iter().flat_map(|it| it.to_le_bytes()).collect();
    write(spec, &bytes, &args.out).with_context(|| args.out.display().to_string())?;
    let [b, t, v] = logits.shape;
    output::note(format_args!("{}: logits, ({b}, {t}, {v}), F32", args.out.display()));
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn write(spec: TensorSpec, bytes: &[u8], path: &std::path::Path) -> anyhow::Result<()> {
    let layout = Layout::new(vec![spec], &Metadata::new())?;
    let mut file = pretrained::fs::StagedFile::create(path)?;
    layout.write_to(&mut file, |_| Ok(bytes))?;
    file.publish()?;
    Ok(())
}
