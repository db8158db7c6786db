use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use pretrained::{
    artifact::{self, CONFIG, Difference, DtypeChange, OpenOptions, Warning},
    safetensors::TensorSpec,
};
use serde_json::{Value, json};

use crate::{
    output::{self, count, one_line, short},
    progress::Bar,
    runs, sources,
    table::{Align, Table},
    terminal::{self, wrapped},
    weights_options,
};

/// Compare two models: configurations key by key, tokenizer files, and every value of every tensor.
///
/// Tensors with other values come with how many elements have other bits, and the largest and the mean
/// difference; the largest comes first. NaN is the same as NaN of the same bits. Of two files, or of a
/// file and a directory, the tensors alone are compared.
///
/// Tensors of two types, F32 and BF16 say, are compared as numbers: as they are, and once the one is
/// converted to the type of the other. They are a difference even where all their values are equal.
/// Where there is no conversion, of F32 to F8_E4M3 or I64 to F32 say, other values are "not converted".
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
    #[command(flatten)]
    weights: weights_options::Options,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    // As `diff` has it: 1 is an answer, so that an error has to be something else.
    compare(args).or_else(|error| Ok(output::report_as(&error, ExitCode::from(TROUBLE))))
}

fn compare(args: Args) -> Result<ExitCode> {
    let options = args.weights.open();
    let (a, b) = (model(&args.a, &options)?, model(&args.b, &options)?);
    let bar = Bar::bytes("diff");
    let found = artifact::diff(a, b, &options, |done, total| bar.set(done, total));
    bar.finish();
    let found = found?;
    for (path, warnings) in [(&found.a, &found.warnings_a), (&found.b, &found.warnings_b)] {
        for warning in warnings {
            output::note(warned(path, warning));
        }
    }
    output::or_closed(match args.json {
        true => output::print_json(&to_json(&found)),
        false => output::print(to_text(&found, terminal::width())),
    })?;
    Ok(if found.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is odd about the files of a model, with its path: once, if it is the file itself.
fn warned(path: &Path, warning: &Warning) -> String {
    let warning = warning.to_string();
    let file = path.file_name().filter(|_| !path.is_dir()).and_then(OsStr::to_str);
    let own = file.and_then(|it| warning.strip_prefix(it)?.strip_prefix(": "));
    format!("warning: {}: {}", path.display(), own.unwrap_or(&warning))
}

/// What is compared where this is named.
fn model(path: &Path, options: &OpenOptions) -> Result<PathBuf> {
    let path = sources::tokenizer(path)?;
    if !path.join(CONFIG).exists() && runs::is_run(&path) {
        let newest = runs::entries(&path)?.pop().map(|it| it.checkpoint.path);
        if let Some(newest) = newest {
            output::note(format_args!(
                "note: {} has no finished model; {} is compared",
                path.display(),
                newest.display()
            ));
            return sources::weights_with(&newest, options);
        }
    }
    sources::weights_with(&path, options)
}

/// For lines of `width` characters, if there is a limit.
fn to_text(found: &Difference, width: Option<usize>) -> String {
    let shown = |path: &Path| one_line(&path.display().to_string());
    let mut text = format!("A  {}\nB  {}\n\n", shown(&found.a), shown(&found.b));
    let mut file = "";
    let mut sides: Vec<Table<4>> = Vec::new();
    let from_to = |title: &str| {
        let mut table = Table::new([Align::Left; 4]).sides_in([1, 3]).fit(width);
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
    if !found.dtypes.is_empty() {
        text += &format!("{}\n", dtypes(found, width));
    }
    if !found.values.is_empty() {
        text += &format!("{}\n", values(found, width));
    }
    text + &summary(found, width)
}

fn values(found: &Difference, width: Option<usize>) -> Table<6> {
    use Align::{Left, Right};
    let mut table =
        Table::new([Left, Left, Right, Right, Right, Right]).spare(&[5, 3, 1, 2]).fit(width);
    table.row(["tensor", "dtype", "differing", "of", "max |A - B|", "mean"].map(str::to_owned));
    for it in &found.values {
        table.row([
            it.tensor.name.clone(),
            it.tensor.dtype.to_string(),
            differing(it.differing, it.not_numbers),
            count(it.elements),
            shown_number(it.max_abs),
            shown_number(it.mean_abs),
        ]);
    }
    table
}

fn dtypes(found: &Difference, width: Option<usize>) -> Table<7> {
    use Align::{Left, Right};
    let mut table = Table::new([Left, Left, Right, Right, Right, Right, Left])
        .spare(&[5, 3, 2, 4, 1])
        .fit(width);
    let titles = ["tensor", "dtype", "differing", "of", "max |A - B|", "mean", "values"];
    table.row(titles.map(str::to_owned));
    for it in &found.dtypes {
        table.row([
            it.tensor.name.clone(),
            format!("{} → {}", it.tensor.dtype, it.dtype_b),
            differing(it.differing, it.not_numbers),
            count(it.elements),
            shown_number(it.max_abs),
            shown_number(it.mean_abs),
            equality(it),
        ]);
    }
    table
}

/// Whether the values of two types are the same, as far as one of them can be converted.
fn equality(it: &DtypeChange) -> String {
    match (it.differing, it.differing_as_a, it.differing_as_b) {
        (0, _, _) => "equal".to_owned(),
        (_, _, Some(0)) => format!("equal as {}", it.dtype_b),
        (_, Some(0), _) => format!("equal as {}", it.tensor.dtype),
        _ if !is_converted(it) => "not converted".to_owned(),
        _ => "other".to_owned(),
    }
}

/// Whether there is a conversion from either type to the other. Else values may be those of the other
/// side, converted by something else.
fn is_converted(it: &DtypeChange) -> bool {
    it.differing_as_a.is_some() && it.differing_as_b.is_some()
}

fn differing(differing: u64, not_numbers: u64) -> String {
    match not_numbers {
        0 => count(differing),
        not_numbers => format!("{} ({} NaN)", count(differing), count(not_numbers)),
    }
}

fn shown_number(it: Option<f64>) -> String {
    it.map_or("-".to_owned(), short)
}

fn summary(found: &Difference, width: Option<usize>) -> String {
    let mut said = vec![format!("tensors: {} the same", count(found.same as u64))];
    let of_other_dtype =
        |is: &dyn Fn(&DtypeChange) -> bool| found.dtypes.iter().filter(|it| is(it)).count();
    for (n, what) in [
        (found.values.len(), "with other values"),
        (of_other_dtype(&|it| it.differing == 0), "of another dtype with equal values"),
        (
            of_other_dtype(&|it| it.differing > 0 && it.is_equal_converted()),
            "of another dtype with values equal after conversion",
        ),
        (
            of_other_dtype(&|it| is_converted(it) && !it.is_equal_converted()),
            "of another dtype with other values",
        ),
        (
            of_other_dtype(&|it| !is_converted(it) && !it.is_equal_converted()),
            "of another dtype with values that are not converted",
        ),
        (found.mismatched.len(), "that cannot be compared"),
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
    let said = said.join(", ");
    format!("{}\n{end}", width.map_or(said.clone(), |it| wrapped(&said, it, 2)))
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
    let dtypes = found.dtypes.iter().map(|it| {
        json!({
            "name": it.tensor.name,
            "a": it.tensor.dtype.name(),
            "b": it.dtype_b.name(),
            "shape": it.tensor.shape,
            "elements": it.elements,
            "differing": it.differing,
            "nan": it.not_numbers,
            "max_abs": number(it.max_abs),
            "mean_abs": number(it.mean_abs),
            "differing_as_a": it.differing_as_a,
            "differing_as_b": it.differing_as_b,
            "equal_converted": it.is_equal_converted(),
        })
    });
    let said = |it: &[Warning]| it.iter().map(ToString::to_string).collect::<Vec<String>>();
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
            "dtypes": dtypes.collect::<Vec<Value>>(),
            "values": values.collect::<Vec<Value>>(),
        },
        "warnings": {"a": said(&found.warnings_a), "b": said(&found.warnings_b)},
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

#[cfg(test)]
mod tests;
