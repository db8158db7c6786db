//! `pretrained train`: a run with checkpoints, and going on with one.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use pretrained::{
    Trainer,
    artifact::{AutoConfig, CONFIG},
    checkpoint::{Checkpoint, Checkpoints, MANIFEST},
    config::Config,
    data,
    tokenizer::AutoTokenizer,
    torch::{AutoModelForCausalLM, Device, Kind, LoadOptions},
    train::{self, Action, Ended, Outcome, Resume, TrainerState, TrainingArguments},
};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::{
    datasets, device, eval::default_block_size, interrupt::Interrupt, output, sources,
    train_progress::TrainProgress, training_options::TrainingOptions,
};

/// Train a model: a new one from a configuration, or one that is there.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The finished model is saved into the run's directory, beside the checkpoints. \
                  Interrupted by SIGINT or SIGTERM the run finishes its step, saves a checkpoint and ends \
                  with 130 or 143; a second signal ends it at once.

Examples:
  pretrained train --output-dir run --model llama --text notes.txt --save-total-limit 2
  pretrained train --output-dir run --config config.json --tokenizer tokenizer --text notes.txt --max-steps 300
  pretrained train --output-dir run --model llama --text notes.txt --resume"
)]
pub(crate) struct Args {
    /// Directory of the run: checkpoints and the finished model
    #[arg(long, value_name = "RUN")]
    output_dir: PathBuf,
    /// Model directory to start from
    #[arg(long, value_name = "DIR", required_unless_present = "config", conflicts_with = "config")]
    model: Option<PathBuf>,
    /// Configuration of a new model
    #[arg(long, value_name = "FILE", requires = "tokenizer")]
    config: Option<PathBuf>,
    /// Directory with the tokenizer; default: the model's
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// Plain text to train on
    #[arg(long, num_args = 1.., value_name = "FILE", required_unless_present = "data", conflicts_with = "data")]
    text: Vec<PathBuf>,
    /// JSON lines to train on: text, messages, prompt and completion, or input_ids
    #[arg(long, num_args = 1.., value_name = "FILE")]
    data: Vec<PathBuf>,
    /// Plain text to evaluate on
    #[arg(long, num_args = 1.., value_name = "FILE", conflicts_with = "eval_data")]
    eval_text: Vec<PathBuf>,
    /// JSON lines to evaluate on
    #[arg(long, num_args = 1.., value_name = "FILE")]
    eval_data: Vec<PathBuf>,
    /// Tokens in one example; default: the model's positions, 1024 at most
    #[arg(long, value_name = "N")]
    block_size: Option<usize>,
    #[command(flatten)]
    datasets: datasets::DatasetOptions,
    /// Type of the weights while training; auto: that of the files
    #[arg(long, value_enum, value_name = "DTYPE", default_value_t = TrainDtype::Float32)]
    dtype: TrainDtype,
    /// Leave these as they are: parts of the network, by name, such as model.embed_tokens or
    /// model.layers.0
    #[arg(long, num_args = 1.., value_name = "NAME")]
    freeze: Vec<String>,
    /// Training arguments as Hugging Face's JSON; options given here go before it
    #[arg(long, value_name = "FILE")]
    args: Option<PathBuf>,
    /// Go on after the newest checkpoint that is whole, or after this one
    #[arg(long, value_name = "CHECKPOINT", num_args = 0..=1)]
    resume: Option<Option<PathBuf>>,
    #[command(flatten)]
    device: device::Options,
    #[command(flatten)]
    options: TrainingOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TrainDtype {
    Float32,
    Bfloat16,
    Auto,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let arguments = args.options.arguments(args.args.as_deref(), &args.output_dir)?;
    arguments.check()?;
    check_output_dir(&args)?;
    let interrupt = Interrupt::install(&[SIGINT, SIGTERM])?;
    let res = run_until(&interrupt, args, arguments);
    match (&res, interrupt.signal()) {
        (Err(e), Some(signal)) if matches!(e.downcast_ref(), Some(data::Error::Stopped)) => {
            output::note("interrupted before the first step");
            Ok(ExitCode::from(EXIT_BY_SIGNAL + signal))
        }
        _ => res,
    }
}

fn run_until(
    interrupt: &Interrupt,
    args: Args,
    arguments: TrainingArguments,
) -> anyhow::Result<ExitCode> {
    let (config, tokenizer_dir) = match (&args.model, &args.config, &args.tokenizer) {
        (Some(model), _, tokenizer) => {
            (AutoConfig::from_pretrained(model)?, tokenizer.as_ref().unwrap_or(model))
        }
        (None, Some(config), Some(tokenizer)) => (read_config(config)?, tokenizer),
        _ => bail!("--model, or --config with --tokenizer, says what to train"),
    };
    let tokenizer = AutoTokenizer::from_pretrained(sources::tokenizer(tokenizer_dir)?)?;
    let block_size = args.block_size.unwrap_or_else(|| default_block_size(&config));
    // All that can be wrong is found before the text is tokenized, which may take minutes.
    check_fit(&args, &config, &tokenizer, block_size)?;
    let device = if arguments.use_cpu { Device::Cpu } else { args.device.get()? };
    let mut model = model(&args, config, arguments.seed, device)?;
    freeze(&mut model, &args.freeze)?;
    let mut datasets =
        args.datasets.datasets(&tokenizer, interrupt, block_size, !arguments.disable_tqdm);
    let train_dataset = datasets
        .train(&args.text, &args.data)?
        .context("--text or --data says what to train on")?;
    let eval_dataset = datasets.eval(&args.eval_text, &args.eval_data)?;
    let resume = match &args.resume {
        None => Resume::No,
        Some(None) => Resume::Latest,
        Some(Some(path)) => Resume::From(path.clone()),
    };

    let mut progress = TrainProgress::new(arguments.disable_tqdm);
    let mut trainer = Trainer::new(&model, &tokenizer, arguments, train_dataset, eval_dataset)?;
    let outcome = trainer.train_with(resume, |event| {
        progress.show(event);
        if interrupt.signal().is_some() { Action::SAVE_AND_STOP } else { Action::CONTINUE }
    })?;
    progress.finish();

    if let (Ended::Interrupted, Some(signal)) = (outcome.ended, interrupt.signal()) {
        output::note(interrupted(&outcome, &args.output_dir));
        return Ok(ExitCode::from(EXIT_BY_SIGNAL + signal));
    }
    model.save_pretrained(&args.output_dir)?;
    tokenizer.save_pretrained(&args.output_dir)?;
    // The trainer has the run's lock: until the model is there, nobody else writes.
    drop(trainer);
    output::print(finished(&outcome, &args.output_dir) + "\n")?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses to begin where something would be lost, before anything is made there.
fn check_output_dir(args: &Args) -> anyhow::Result<()> {
    let (dir, shown) = (&args.output_dir, args.output_dir.display());
    if dir.exists() && !dir.is_dir() {
        bail!("{shown} is a file, choose another --output-dir");
    }
    let named = args.resume.as_ref().and_then(Option::as_ref);
    if let Some(named) = named.filter(|it| !it.is_dir()) {
        bail!("{}: no such checkpoint to resume from", named.display());
    }
    if let Some(named) = named
        && ![TrainerState::FILE, MANIFEST].iter().any(|it| named.join(it).exists())
    {
        let shown = named.display();
        match Checkpoints::read(named)?.list()?.pop() {
            Some(it) => {
                bail!("{shown} is a run, name one of its checkpoints: {}", it.path.display())
            }
            None => bail!("{shown} is no checkpoint: it has no {}", TrainerState::FILE),
        }
    }
    let is_latest = args.resume.is_some() && named.is_none();
    if is_latest && !dir.exists() {
        bail!("{shown} does not exist, so there is nothing to resume: leave out --resume");
    }
    let newest = if dir.is_dir() { Checkpoints::read(dir)?.list()?.pop() } else { None };
    if args.resume.is_none()
        && let Some(Checkpoint { step, .. }) = newest
    {
        // The trainer would say so as well, after all text is tokenized.
        bail!(train::Error::<Infallible>::HasCheckpoints { root: dir.clone(), step });
    }
    if !is_latest && newest.is_none() && dir.join(CONFIG).exists() {
        bail!("{shown} holds a model that would be overwritten, choose another --output-dir");
    }
    Ok(())
}

/// Refuses what would fail in the first step.
fn check_fit(
    args: &Args,
    config: &Config,
    tokenizer: &AutoTokenizer,
    block_size: usize,
) -> anyhow::Result<()> {
    let path = args.config.as_ref().or(args.model.as_ref()).expect("checked by clap").display();
    if args.model.is_none() && args.dtype == TrainDtype::Bfloat16 {
        bail!("--dtype bfloat16 needs --model: a new one starts in float32");
    }
    let size = |name: &str| usize::try_from(config.get(name)?.as_i64()?).ok();
    // A model that is there may have learned fewer tokens than its tokenizer has room for.
    if let Some(vocab_size) = args.config.is_some().then(|| size("vocab_size")).flatten()
        && vocab_size < tokenizer.vocab_size()
    {
        let n_tokens = tokenizer.vocab_size();
        bail!("{path}: vocab_size is {vocab_size} and the tokenizer has {n_tokens} tokens");
    }
    if let Some(positions) = size("n_positions")
        && positions < block_size
    {
        bail!("{path}: the model has {positions} positions, --block-size is {block_size}");
    }
    Ok(())
}

/// The model to train, on the device it is trained on.
fn model(
    args: &Args,
    config: Config,
    seed: u64,
    device: Device,
) -> anyhow::Result<AutoModelForCausalLM> {
    let dtype = match args.dtype {
        TrainDtype::Float32 => Some(Kind::Float),
        TrainDtype::Bfloat16 => Some(Kind::BFloat16),
        TrainDtype::Auto => None,
    };
    Ok(match &args.model {
        Some(dir) => {
            sources::weights(dir)?;
            let options = LoadOptions { device, dtype, ..LoadOptions::default() };
            AutoModelForCausalLM::from_pretrained_with(dir, &options)?
        }
        // In float32; `auto` has no files to follow.
        None => AutoModelForCausalLM::from_config(config, seed.cast_signed(), device)?,
    })
}

/// Freezes the parameters of these parts of the network.
fn freeze(model: &mut AutoModelForCausalLM, parts: &[String]) -> anyhow::Result<()> {
    check_parts(parts, model.param_names())?;
    model.freeze(|name| parts.iter().any(|part| is_of(name, part)));
    if model.frozen().len() == model.param_names().len() {
        bail!("--freeze: every parameter is frozen, so that there is nothing to train");
    }
    Ok(())
}

/// Refuses a name that no part of the network has.
fn check_parts(parts: &[String], param_names: &[String]) -> anyhow::Result<()> {
    for part in parts {
        if !param_names.iter().any(|it| is_of(it, part)) {
            let known = param_names.iter().take(3).map(String::as_str);
            let known = known.collect::<Vec<_>>().join(", ");
            bail!(
                "--freeze {part}: no part of the network has this name; a part is a parameter, or what is before \
                 a dot in the name of one, and the first parameters are {known}"
            );
        }
    }
    Ok(())
}

/// Whether a parameter is this part of the network or in it: `model.layers.10` is not in `model.layers.1`.
fn is_of(name: &str, part: &str) -> bool {
    name.strip_prefix(part).is_some_and(|it| it.is_empty() || it.starts_with('.'))
}

fn read_config(path: &Path) -> anyhow::Result<Config> {
    let json = std::fs::read_to_string(sources::file(path))
        .with_context(|| format!("read {}", path.display()))?;
    let config = Config::parse(&json).with_context(|| path.display().to_string())?;
    config.architecture().with_context(|| path.display().to_string())?;
    Ok(config)
}

/// What a run that was interrupted can be gone on from.
fn interrupted(outcome: &Outcome, run: &Path) -> String {
    let step = outcome.state.global_step;
    let Some(resumable) = &outcome.resumable else {
        return format!("interrupted after step {step}; no checkpoint to resume from was saved");
    };
    let from = match resumable.step == step {
        true => String::new(),
        false => format!(" from step {}, the newest checkpoint,", resumable.step),
    };
    let path = match resumable.path.parent() == Some(run) {
        true => String::new(),
        false => format!(" {}", resumable.path.display()),
    };
    format!("interrupted after step {step}; go on{from} with --resume{path}")
}

/// What a run that has ended did.
fn finished(outcome: &Outcome, run: &Path) -> String {
    let loss = match outcome.train_loss.is_nan() {
        // No step of this run has one.
        true => String::new(),
        false => format!(", mean loss {:.4}", outcome.train_loss),
    };
    let seconds = outcome.metrics.get("train_runtime").unwrap_or_default();
    format!("{}: step {}{loss}, {seconds:.1} s", run.display(), outcome.state.global_step)
}

/// As shells report a process that a signal ended: 128 and the signal's number.
const EXIT_BY_SIGNAL: u8 = 128;

#[cfg(test)]
mod tests {
    use pretrained::train::LogEntry;

    use super::*;

    #[test]
    fn only_what_is_there_is_promised() {
        let check = |resumable: Option<(&str, u64)>, expected: &str| {
            let state = TrainerState { global_step: 170, ..TrainerState::default() };
            let resumable = resumable.map(|(run, step)| Checkpoint {
                step,
                path: Path::new(run).join(format!("checkpoint-{step}")),
            });
            let (ended, metrics) = (Ended::Interrupted, LogEntry::default());
            let outcome = Outcome { ended, state, train_loss: 0.0, metrics, resumable };
            assert_eq!(interrupted(&outcome, Path::new("run/")), expected);
        };
        check(Some(("run", 170)), "interrupted after step 170; go on with --resume");
        check(
            Some(("run", 60)),
            "interrupted after step 170; go on from step 60, the newest checkpoint, with --resume",
        );
        check(
            Some(("old", 170)),
            "interrupted after step 170; go on with --resume old/checkpoint-170",
        );
        check(None, "interrupted after step 170; no checkpoint to resume from was saved");
    }

    #[test]
    fn a_loss_that_nobody_knows_is_not_reported() {
        let check = |train_loss: f64, expected: &str| {
            let state = TrainerState { global_step: 170, ..TrainerState::default() };
            let (ended, metrics) = (Ended::Completed, LogEntry::default());
            let outcome = Outcome { ended, state, train_loss, metrics, resumable: None };
            assert_eq!(finished(&outcome, Path::new("run")), expected);
        };
        check(1.5, "run: step 170, mean loss 1.5000, 0.0 s");
        check(f64::INFINITY, "run: step 170, mean loss inf, 0.0 s");
        check(f64::NAN, "run: step 170, 0.0 s");
    }

    #[test]
    fn whole_parts_of_the_network_are_frozen() {
        let known =
            ["model.embed_tokens.weight", "model.layers.10.mlp.up_proj.weight", "lm_head.weight"]
                .map(str::to_owned);
        let check = |part: &str| check_parts(&[part.to_owned()], &known).map_err(|e| e.to_string());
        for part in ["model", "model.layers.10", "model.embed_tokens", "lm_head.weight"] {
            assert_eq!(check(part), Ok(()), "{part}");
        }
        for part in ["model.embed", "model.layers.1", "model.layers.10.", ""] {
            let error = check(part).expect_err(part);
            let said = format!("--freeze {part}: no part of the network has this name; a part is");
            assert!(error.starts_with(&said), "{error}");
            assert!(error.ends_with(&known.join(", ")), "{error}");
        }
    }
}
