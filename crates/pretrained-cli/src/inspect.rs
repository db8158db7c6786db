use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use pretrained::artifact::{Format, Inspection, OpenOptions, inspect};
use serde_json::{Value, json};

use crate::output::{self, Align, Table, bytes, count, one_line};

/// Show what is in a file of weights or a model directory, without reading tensors.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A .safetensors or .bin file, a model directory, or org/name from the Hugging Face cache.
    path: PathBuf,
    /// The variant of the weights, such as fp16 for model.fp16.safetensors.
    #[arg(long)]
    variant: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let options = OpenOptions { variant: args.variant, ..OpenOptions::default() };
    let inspection = inspect(&args.path, &options)?;
    if args.json {
        output::print_json(&to_json(&inspection))?;
    } else {
        output::print(to_text(&inspection))?;
        for warning in &inspection.warnings {
            output::note(format_args!("warning: {warning}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn to_json(inspection: &Inspection) -> Value {
    let Inspection { path, model, files, tensors, dtypes, warnings } = inspection;
    let model = model.as_ref().map(|it| {
        json!({
            "model_type": it.model_type,
            "architectures": it.architectures,
            "dtype": it.dtype,
        })
    });
    let files = files.iter().map(|it| {
        json!({
            "name": it.name,
            "format": format_name(it.format),
            "bytes": it.bytes,
            "tensors": it.tensors,
            "metadata": it.metadata,
        })
    });
    let dtypes = dtypes.iter().map(|(dtype, it)| {
        let sums = json!({"tensors": it.tensors, "elements": it.elements, "bytes": it.bytes});
        (dtype.name().to_owned(), sums)
    });
    let tensors = tensors.iter().map(|it| {
        json!({
            "name": it.name,
            "dtype": it.dtype.name(),
            "shape": it.shape,
            "bytes": it.bytes,
            "file": it.file,
        })
    });
    json!({
        "path": path,
        "kind": if model.is_some() { "model" } else { "file" },
        "model": model,
        "parameters": inspection.parameters(),
        "bytes": inspection.bytes(),
        "dtypes": Value::Object(dtypes.collect()),
        "files": files.collect::<Vec<Value>>(),
        "tensors": tensors.collect::<Vec<Value>>(),
        "warnings": warnings.iter().map(ToString::to_string).collect::<Vec<String>>(),
    })
}

fn to_text(inspection: &Inspection) -> String {
    let path = one_line(&inspection.path.display().to_string());
    let mut text = match &inspection.model {
        Some(model) => {
            let model_type = model.model_type.as_deref().unwrap_or("no model type");
            let mut said = vec![model_type.to_owned()];
            said.extend(model.architectures.iter().cloned());
            said.extend(model.dtype.clone());
            format!("{path}\n{}\n", one_line(&said.join(", ")))
        }
        None => format!("{path}\n"),
    };
    text += &format!(
        "{} parameters in {} tensors, {}\n\n",
        count(inspection.parameters()),
        count(inspection.tensors.len() as u64),
        bytes(inspection.bytes()),
    );

    let mut files = Table::new([Align::Left, Align::Right, Align::Right]);
    files.row(["file", "tensors", "size"].map(str::to_owned));
    for file in &inspection.files {
        files.row([file.name.clone(), count(file.tensors as u64), bytes(file.bytes)]);
    }
    let mut dtypes = Table::new([Align::Left, Align::Right, Align::Right, Align::Right]);
    dtypes.row(["dtype", "tensors", "parameters", "size"].map(str::to_owned));
    for (dtype, it) in &inspection.dtypes {
        let name = dtype.name().to_owned();
        dtypes.row([name, count(it.tensors as u64), count(it.elements), bytes(it.bytes)]);
    }
    let mut tensors = Table::new([Align::Left, Align::Left, Align::Left, Align::Right]);
    tensors.row(["tensor", "dtype", "shape", "size"].map(str::to_owned));
    for it in &inspection.tensors {
        let shape = format!("{:?}", it.shape);
        tensors.row([it.name.clone(), it.dtype.name().to_owned(), shape, bytes(it.bytes)]);
    }
    text + &format!("{files}\n{dtypes}\n{tensors}")
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Safetensors => "safetensors",
        Format::Pickle => "pickle",
        _ => "other",
    }
}
