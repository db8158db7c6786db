use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use pretrained::{
    artifact::{self, CONFIG, Difference, OpenOptions, Strictness},
    safetensors::TensorSpec,
};
use serde_json::{Value, json};

use crate::{
    output::{self, count, one_line, short},
    progress::Bar,
    runs, sources,
    table::{Align, Table},
    terminal,
};

/// Compare two models: configurations key by key, tokenizer files, and every value of every tensor.
///
/// Tensors with other values come with how many elements have other bits, and the largest and the mean
/// difference; the largest comes first. NaN is the same as NaN of the same bits. Of two files, or of a
/// file and a directory, the tensors alone are compared.
///
/// Exit code 0: the same; 1: different; 2: the command line is wrong, or something cannot be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained diff llama-3.2-1b runs/notes
  pretrained diff runs/notes/checkpoint-200 runs/notes/checkpoint-400
  pretrained diff pytorch_model.bin model.safetensors --json")]
pub(crate) struct Args {
    /// A .safetensors or .bin file, a model directory, org/name or org/name@revision from the Hugging
    /// Face cache, or the directory of a run: its finished model, or its newest checkpoint.
    a: PathBuf,
    /// The other one.
    b: PathBuf,
    /// The variant of the weights, such as fp16 for model.fp16.safetensors.
    #[arg(long)]
    variant: Option<String>,
    /// Read files that break the safetensors format in ways that the reference lets pass.
    #[arg(long)]
    compat: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    // As `diff` has it: 1 is an answer, so that an error has to be something else.
    compare(args).or_else(|error| Ok(output::report_as(&error, ExitCode::from(TROUBLE))))
}

fn compare(args: Args) -> Result<ExitCode> {
    let strictness = if args.compat { Strictness::Compat } else { Strictness::Strict };
    let options = OpenOptions { variant: args.variant, strictness };
    let (a, b) = (model(&args.a)?, model(&args.b)?);
    let bar = Bar::bytes("diff");
    let found = artifact::diff(a, b, &options, |done, total| bar.set(done, total));
    bar.finish();
    let found = found?;
    match args.json {
        true => output::print_json(&to_json(&found))?,
        false => output::print(to_text(&found, terminal::width()))?,
    }
    Ok(if found.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is compared where this is named.
fn model(path: &Path) -> Result<PathBuf> {
    let path = sources::tokenizer(path)?;
    if !path.join(CONFIG).exists() && runs::is_run(&path) {
        let newest = runs::entries(&path)?.pop().map(|it| it.checkpoint.path);
        if let Some(newest) = newest {
            output::note(format_args!(
                "note: {} has no finished model; {} is compared",
                path.display(),
                newest.display()
            ));
            return sources::weights(&newest);
        }
    }
    sources::weights(&path)
}

/// For lines of `width` characters, if there is a limit.
fn to_text(found: &Difference, width: Option<usize>) -> String {
    let shown = |path: &Path| one_line(&path.display().to_string());
    let mut text = format!("A  {}\nB  {}\n\n", shown(&found.a), shown(&found.b));
    let mut file = "";
    let mut sides: Vec<Table<4>> = Vec::new();
    let from_to = |title: &str| {
        let mut table = Table::new([Align::Left; 4]).fit(width);
        table.row([title, "A", "", "B"].map(str::to_owned));
        table
    };
    let arrow = || "→".to_owned();
    for it in &found.configs {
        if it.file != file {
            file = it.file;
            sides.push(from_to(file));
        }
        let value = |it: &Option<String>| it.clone().unwrap_or_else(|| "(none)".to_owned());
        if let Some(table) = sides.last_mut() {
            table.row([it.key.clone(), value(&it.a), arrow(), value(&it.b)]);
        }
    }
    if !found.tokenizer_files.is_empty() {
        let mut table = from_to("tokenizer file");
        for it in &found.tokenizer_files {
            let size = |len: Option<u64>| len.map_or("(none)".to_owned(), |it| count(it) + " B");
            table.row([it.name.clone(), size(it.a), arrow(), size(it.b)]);
        }
        sides.push(table);
    }
    if !found.mismatched.is_empty() {
        let mut table = from_to("tensor");
        let kind = |it: &TensorSpec| format!("{} {:?}", it.dtype, it.shape);
        for (a, b) in &found.mismatched {
            table.row([a.name.clone(), kind(a), arrow(), kind(b)]);
        }
        sides.push(table);
    }
    sides.iter().for_each(|it| text += &format!("{it}\n"));
    for (title, specs) in [("only in A", &found.only_a), ("only in B", &found.only_b)] {
        if specs.is_empty() {
            continue;
        }
        let mut table = Table::new([Align::Left; 3]).fit(width);
        table.row([title, "dtype", "shape"].map(str::to_owned));
        for it in specs {
            table.row([it.name.clone(), it.dtype.to_string(), format!("{:?}", it.shape)]);
        }
        text += &format!("{table}\n");
    }
    if !found.values.is_empty() {
        text += &format!("{}\n", values(found, width));
    }
    text + &summary(found)
}

fn values(found: &Difference, width: Option<usize>) -> Table<6> {
    use Align::{Left, Right};
    let mut table = Table::new([Left, Left, Right, Right, Right, Right]).fit(width);
    table.row(["tensor", "dtype", "differing", "of", "max |A - B|", "mean"].map(str::to_owned));
    for it in &found.values {
        let number = |it: Option<f64>| it.map_or("-".to_owned(), short);
        let mut differing = count(it.differing);
        if it.not_numbers > 0 {
            differing += &format!(" ({} NaN)", count(it.not_numbers));
        }
        table.row([
            it.tensor.name.clone(),
            it.tensor.dtype.to_string(),
            differing,
            count(it.elements),
            number(it.max_abs),
            number(it.mean_abs),
        ]);
    }
    table
}

fn summary(found: &Difference) -> String {
    let mut said = vec![format!("tensors: {} the same", count(found.same as u64))];
    for (n, what) in [
        (found.values.len(), "with other values"),
        (found.mismatched.len(), "of another type or shape"),
        (found.only_a.len(), "only in A"),
        (found.only_b.len(), "only in B"),
    ] {
        if n > 0 {
            said.push(format!("{} {what}", count(n as u64)));
        }
    }
    let end = match (found.is_none(), found.are_models) {
        (true, true) => "no difference, configuration and tokenizer included\n",
        (true, false) => "no difference\n",
        (false, _) => "",
    };
    format!("{}\n{end}", said.join(", "))
}

fn to_json(found: &Difference) -> Value {
    // A side that has it not has no key, as `null` is a value.
    let sides = |mut it: Value, a: Option<Value>, b: Option<Value>| {
        for (side, value) in [("a", a), ("b", b)] {
            if let Some(value) = value {
                it[side] = value;
            }
        }
        it
    };
    let value = |it: &String| serde_json::from_str(it).unwrap_or_else(|_| it.clone().into());
    let config = found.configs.iter().map(|it| {
        let key = json!({"file": it.file, "key": it.key});
        sides(key, it.a.as_ref().map(value), it.b.as_ref().map(value))
    });
    let files = found
        .tokenizer_files
        .iter()
        .map(|it| sides(json!({"name": it.name}), it.a.map(Value::from), it.b.map(Value::from)));
    let kind = |it: &TensorSpec| json!({"dtype": it.dtype.name(), "shape": it.shape});
    let spec =
        |it: &TensorSpec| json!({"name": it.name, "dtype": it.dtype.name(), "shape": it.shape});
    let mismatched = found.mismatched.iter();
    let mismatched = mismatched.map(|(a, b)| json!({"name": a.name, "a": kind(a), "b": kind(b)}));
    let values = found.values.iter().map(|it| {
        let mut json = spec(&it.tensor);
        json["elements"] = it.elements.into();
        json["differing"] = it.differing.into();
        json["nan"] = it.not_numbers.into();
        json["max_abs"] = number(it.max_abs);
        json["mean_abs"] = number(it.mean_abs);
        json
    });
    json!({
        "a": found.a,
        "b": found.b,
        "same": found.is_none(),
        "config": config.collect::<Vec<Value>>(),
        "tokenizer_files": files.collect::<Vec<Value>>(),
        "tensors": {
            "same": found.same,
            "only_a": found.only_a.iter().map(spec).collect::<Vec<Value>>(),
            "only_b": found.only_b.iter().map(spec).collect::<Vec<Value>>(),
            "mismatched": mismatched.collect::<Vec<Value>>(),
            "values": values.collect::<Vec<Value>>(),
        },
    })
}

/// JSON has no infinity.
fn number(value: Option<f64>) -> Value {
    match value {
        Some(value) if value.is_infinite() => "Infinity".into(),
        value => value.into(),
    }
}

/// The exit code of what is no answer.
const TROUBLE: u8 = 2;
