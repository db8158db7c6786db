use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use pretrained::artifact::{CONFIG, Format, Inspection, inspect};
use serde_json::{Value, json};

use crate::{
    output::{self, bytes, count, one_line},
    runs::{self, Entry},
    sources,
    table::{Align, Table},
    terminal, weights_options,
};

/// Show what is in a file of weights, a model directory or the directory of a run, without reading
/// tensors.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained inspect llama-3.2-1b
  pretrained inspect runs/notes
  pretrained inspect pytorch_model.bin --json")]
pub(crate) struct Args {
    /// A .safetensors or .bin file, a model directory, org/name or org/name@revision from the Hugging
    /// Face cache, or the directory of a run.
    path: PathBuf,
    #[command(flatten)]
    weights: weights_options::Options,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let options = args.weights.open();
    if runs::is_run(&args.path) {
        // A run that has come to its end has the finished model beside its checkpoints.
        let has_model = args.path.join(CONFIG).exists();
        let model = has_model.then(|| inspect(&args.path, &options)).transpose()?;
        return inspect_run(&args.path, model.as_ref(), args.json);
    }
    let inspection = inspect(sources::weights_with(&args.path, &options)?, &options)?;
    match args.json {
        true => output::print_json(&to_json(&inspection))?,
        false => print_text(&inspection)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn inspect_run(path: &Path, model: Option<&Inspection>, json: bool) -> Result<ExitCode> {
    let entries = runs::entries(path)?;
    let best = runs::best(&entries).map(|it| it.step);
    if json {
        output::print_json(&json!({
            "path": path,
            "kind": "run",
            "best": best,
            "checkpoints": entries.iter().map(Entry::to_json).collect::<Vec<Value>>(),
            "model": model.map(to_json),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let title = one_line(&path.display().to_string());
    let table = runs::table(&entries, best, terminal::width());
    output::print(format_args!("{title}\n\n{table}"))?;
    if let Some(model) = model {
        output::print("\n")?;
        print_text(model)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_text(inspection: &Inspection) -> Result<()> {
    output::print(to_text(inspection, terminal::width()))?;
    for warning in &inspection.warnings {
        output::note(format_args!("warning: {warning}"));
    }
    Ok(())
}

fn to_json(inspection: &Inspection) -> Value {
    let Inspection { path, model, files, tensors, tied, parameters, dtypes, warnings } = inspection;
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
        "parameters": parameters,
        "bytes": inspection.bytes(),
        "dtypes": Value::Object(dtypes.collect()),
        "files": files.collect::<Vec<Value>>(),
        "tensors": tensors.collect::<Vec<Value>>(),
        "tied": tied,
        "warnings": warnings.iter().map(ToString::to_string).collect::<Vec<String>>(),
    })
}

/// For lines of `width` characters, if there is a limit.
fn to_text(inspection: &Inspection, width: Option<usize>) -> String {
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
        "{} parameters in {} tensors, {}\n",
        count(inspection.parameters),
        count(inspection.tensors.len() as u64),
        bytes(inspection.bytes()),
    );

    for group in &inspection.tied {
        text += &format!("tied: {}\n", one_line(&group.join(" = ")));
    }
    text += "\n";

    let mut files = Table::new([Align::Left, Align::Right, Align::Right]).fit(width);
    files.row(["file", "tensors", "size"].map(str::to_owned));
    for file in &inspection.files {
        files.row([file.name.clone(), count(file.tensors as u64), bytes(file.bytes)]);
    }
    let mut dtypes = Table::new([Align::Left, Align::Right, Align::Right, Align::Right]).fit(width);
    dtypes.row(["dtype", "tensors", "parameters", "size"].map(str::to_owned));
    for (dtype, it) in &inspection.dtypes {
        let name = dtype.name().to_owned();
        dtypes.row([name, count(it.tensors as u64), count(it.elements), bytes(it.bytes)]);
    }
    let mut tensors = Table::new([Align::Left, Align::Left, Align::Left, Align::Right]).fit(width);
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
