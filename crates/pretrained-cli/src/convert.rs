use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use pretrained::{
    artifact::{
        ConvertOptions, Converted, OpenOptions, SaveOptions, convert, parse_float_dtype, parse_size,
    },
    safetensors::Dtype,
};
use serde_json::{Value, json};

use crate::{
    output::{self, bytes, count, one_line},
    progress::Bar,
    sources, weights_options,
};

/// Write weights anew as safetensors, from pickled or other ones.
///
/// A model directory becomes another model directory, with its config and tokenizer; its weights
/// alone, an index's or a single file's become a .safetensors file, or shards of that name and an
/// index if they are over the shard size. What is at the destination is replaced as a whole. A variant
/// stays one: fp16 is read from model.fp16.safetensors, and written to a file of that name.
///
/// Every tensor of a pickle is written: what is nested is named by its path, with dots. If all
/// tensors are in an entry called state_dict, model_state_dict, model or module, its name is left
/// out. Several names of one tensor are stored once, and told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained convert pytorch_model.bin model.safetensors --dtype bf16
  pretrained convert runs/notes/checkpoint-600 finished --max-shard-size 5GB
  pretrained convert org/name copy --variant fp16 --json")]
pub(crate) struct Args {
    /// A model directory, org/name from the Hugging Face cache (org/name@revision for another than
    /// main), a .bin, .pt, .pth, .ckpt or .safetensors file, or the .index.json of several.
    src: PathBuf,
    /// The directory or the .safetensors file to write.
    dst: PathBuf,
    /// Convert floating-point tensors to this type: bf16, f16, f32 or f64.
    #[arg(long, value_parser = dtype)]
    dtype: Option<Dtype>,
    /// Begin another file when one would have more bytes of tensors than this.
    #[arg(long, value_name = "SIZE", default_value = "50GB", value_parser = size)]
    max_shard_size: u64,
    #[command(flatten)]
    weights: weights_options::Options,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let open = args.weights.open();
    sources::weights_with(&args.src, &open)?;
    let OpenOptions { variant, strictness } = open;
    let save = SaveOptions { max_shard_size: args.max_shard_size, variant };
    let options = ConvertOptions { dtype: args.dtype, save, strictness };
    let bar = Bar::bytes("convert");
    let converted = convert(&args.src, &args.dst, &options, |done, total| bar.set(done, total));
    bar.finish();
    let converted = converted?;
    for warning in &converted.warnings {
        output::note(format_args!("warning: {warning}"));
    }
    match args.json {
        true => output::print_json(&to_json(&converted))?,
        false => output::print(to_text(&converted))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn to_text(converted: &Converted) -> String {
    let mut text = String::new();
    for (path, len) in &converted.files {
        text += &format!("{}  {}\n", one_line(&path.display().to_string()), bytes(*len));
    }
    for (target, source) in &converted.tied {
        text += &one_line(&format!("{target} is tied to {source}, and stored under that name"));
        text += "\n";
    }
    text += &format!("{} tensors", count(converted.tensors as u64));
    if converted.cast > 0 {
        text += &format!(", {} of them cast", count(converted.cast as u64));
    }
    text + "\n"
}

fn to_json(converted: &Converted) -> Value {
    let file = |(path, bytes): &(PathBuf, u64)| json!({"path": path, "bytes": bytes});
    json!({
        "files": converted.files.iter().map(file).collect::<Vec<Value>>(),
        "tensors": converted.tensors,
        "cast": converted.cast,
        "tied": converted.tied,
        "warnings": converted.warnings.iter().map(ToString::to_string).collect::<Vec<String>>(),
    })
}

fn dtype(text: &str) -> Result<Dtype, String> {
    parse_float_dtype(text).ok_or_else(|| "give one of bf16, f16, f32, f64".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Ok(0) => Err("a file has at least one byte".to_owned()),
        parsed => parsed.map_err(|e| e.to_string()),
    }
}
