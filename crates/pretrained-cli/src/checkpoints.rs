use std::{
    collections::BTreeSet,
    num::{NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use pretrained::checkpoint::{Checkpoint, Checkpoints, Retention};
use serde_json::{Value, json};

use crate::{
    output::{self, one_line},
    runs::{self, Entry},
    terminal,
};

/// List the checkpoints of a training run, find the best, remove some.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained checkpoints list runs/notes
  pretrained checkpoints best runs/notes
  pretrained checkpoints prune runs/notes --keep-last 2")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the checkpoints, oldest first.
    #[command(after_help = "Examples:
  pretrained checkpoints list runs/notes
  pretrained checkpoints list runs/notes --json")]
    List(Run),
    /// Print the path of the best checkpoint: the one the trainer chose, else the one with the
    /// lowest eval_loss.
    #[command(after_help = "Examples:
  pretrained checkpoints best runs/notes
  pretrained checkpoints best runs/notes --json")]
    Best(Run),
    /// Remove checkpoints. The newest and the best are always kept.
    #[command(after_help = "Examples:
  pretrained checkpoints prune runs/notes --keep-last 2 --dry-run
  pretrained checkpoints prune runs/notes --keep-last 3 --keep-every 1000 --keep 250,750")]
    Prune(Prune),
}

#[derive(Debug, clap::Args)]
struct Run {
    /// The directory of the run.
    run: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Prune {
    #[command(flatten)]
    run: Run,
    /// Keep this many of the newest.
    #[arg(long, value_name = "N")]
    keep_last: NonZeroUsize,
    /// Also keep every step divisible by this.
    #[arg(long, value_name = "N")]
    keep_every: Option<NonZeroU64>,
    /// Also keep these steps.
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    keep: Vec<u64>,
    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::List(args) => list(&args),
        Command::Best(args) => best(&args),
        Command::Prune(args) => prune(&args),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn list(args: &Run) -> Result<()> {
    let entries = runs::entries(&args.run)?;
    let best = runs::best(&entries).map(|it| it.step);
    if args.json {
        return output::print_json(&json!({
            "run": args.run,
            "best": best,
            "checkpoints": entries.iter().map(Entry::to_json).collect::<Vec<Value>>(),
        }));
    }
    if entries.is_empty() {
        output::note(format_args!("{}: no checkpoints", args.run.display()));
        return Ok(());
    }
    output::print(runs::table(&entries, best, terminal::width()))
}

fn best(args: &Run) -> Result<()> {
    let entries = runs::entries(&args.run)?;
    let best = runs::best(&entries).with_context(|| {
        format!(
            "{}: nothing says which checkpoint is the best; train with an evaluation \
             (--eval-strategy) to know",
            args.run.display()
        )
    })?;
    let checkpoint = entries.iter().map(|it| &it.checkpoint).find(|it| it.step == best.step);
    let path = checkpoint.map(|it| it.path.clone()).unwrap_or_default();
    if args.json {
        let json =
            json!({"step": best.step, "path": path, "metric": best.metric, "value": best.value});
        return output::print_json(&json);
    }
    if let Some(value) = best.value {
        output::note(format_args!("{} {value}", best.metric.unwrap_or("metric")));
    }
    output::print(format_args!("{}\n", path.display()))
}

fn prune(args: &Prune) -> Result<()> {
    let root = args.run.run.as_path();
    let entries = runs::entries(root)?;
    if entries.is_empty() {
        bail!("{}: no checkpoints, so this is not the directory of a run", root.display());
    }
    let keep = Retention {
        last: Some(args.keep_last),
        every: args.keep_every,
        best: runs::best(&entries).map(|it| it.step),
        pinned: args.keep.iter().copied().collect::<BTreeSet<u64>>(),
        best_within_last: false,
        ..Retention::default()
    };
    let removed = match args.dry_run {
        true => would_remove(&entries, &keep),
        false => remove(root, &keep)?,
    };
    let paths: Vec<&Path> = removed.iter().map(|it| it.path.as_path()).collect();
    if args.run.json {
        return output::print_json(&json!({"removed": paths, "dry_run": args.dry_run}));
    }
    for path in paths {
        output::print(format_args!("{}\n", one_line(&path.display().to_string())))?;
    }
    Ok(())
}

fn would_remove(entries: &[Entry], keep: &Retention) -> Vec<Checkpoint> {
    let steps: Vec<u64> = entries.iter().map(|it| it.checkpoint.step).collect();
    let doomed = entries.iter().zip(keep.keeps(&steps)).filter(|(_, keeps)| !keeps);
    doomed.map(|(it, _)| it.checkpoint.clone()).collect()
}

fn remove(root: &Path, keep: &Retention) -> Result<Vec<Checkpoint>> {
    let rotated = Checkpoints::open(root)?.rotate(keep)?;
    for it in &rotated.damaged {
        output::note(format_args!(
            "warning: {} is damaged, and neither counted nor removed",
            it.checkpoint.path.display()
        ));
    }
    Ok(rotated.removed)
}
