//! The directory of a training run, as the commands that only look at it see it.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use pretrained::{
    checkpoint::{Checkpoint, Checkpoints},
    train::TrainerState,
};
use serde_json::{Value, json};

use crate::{
    output::bytes,
    sources,
    table::{Align, Table},
};

/// One checkpoint of a run, and what its trainer state says of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) checkpoint: Checkpoint,
    /// Bytes of its files.
    pub(crate) bytes: u64,
    /// `None` if there is none that can be read.
    pub(crate) state: Option<TrainerState>,
}

/// The checkpoints in a directory, oldest first. None if it is not a run.
pub(crate) fn entries(root: &Path) -> Result<Vec<Entry>> {
    if !root.is_dir() {
        let what = if root.exists() { "this is a file" } else { "there is no such directory" };
        bail!("{}: {what}; name the directory of a run", root.display());
    }
    let checkpoints = Checkpoints::read(root)?.list()?;
    let entry = |checkpoint: Checkpoint| {
        let mut bytes = 0;
        let list = || format!("list {}", checkpoint.path.display());
        for file in fs::read_dir(&checkpoint.path).with_context(list)? {
            bytes += file.and_then(|it| it.metadata()).with_context(list)?.len();
        }
        let state = Some(checkpoint.path.join(TrainerState::FILE)).filter(|it| it.exists());
        let state = state.and_then(|it| fs::read_to_string(sources::file(&it)).ok());
        let state = state.and_then(|it| TrainerState::parse(&it).ok());
        Ok(Entry { checkpoint, bytes, state })
    };
    checkpoints.into_iter().map(entry).collect()
}

/// Whether there is a checkpoint in a directory.
pub(crate) fn is_run(path: &Path) -> bool {
    let list = |it: Checkpoints| it.list().is_ok_and(|it| !it.is_empty());
    path.is_dir() && Checkpoints::read(path).is_ok_and(list)
}

impl Entry {
    /// The newest value of a metric at this step or before, as it was logged.
    pub(crate) fn newest(&self, metric: &str) -> Option<f64> {
        let history = &self.state.as_ref()?.log_history;
        history.iter().rev().find_map(|it| it.get(metric))
    }

    /// The value of a metric at this step.
    pub(crate) fn at_step(&self, metric: &str) -> Option<f64> {
        let history = &self.state.as_ref()?.log_history;
        let here = history.iter().rev().filter(|it| it.step() == self.checkpoint.step);
        here.into_iter().find_map(|it| it.get(metric))
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "step": self.checkpoint.step,
            "path": self.checkpoint.path,
            "bytes": self.bytes,
            "epoch": self.state.as_ref().map(|it| it.epoch),
            "loss": self.newest("loss"),
            "eval_loss": self.at_step("eval_loss"),
        })
    }
}

/// The checkpoints in aligned columns, for lines of `width` characters if there is a limit; the best
/// one is marked.
pub(crate) fn table(entries: &[Entry], best: Option<u64>, width: Option<usize>) -> Table<6> {
    use Align::{Left, Right};
    let mut table = Table::new([Right, Right, Right, Right, Right, Left])
        .names_in(5)
        .spare(&[1, 4, 2])
        .fit(width);
    table.row(["step", "epoch", "loss", "eval_loss", "size", "path"].map(str::to_owned));
    for it in entries {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |it| format!("{it:.4}"));
        let epoch = it.state.as_ref().map_or("-".to_owned(), |it| format!("{:.2}", it.epoch));
        let mut path = it.checkpoint.path.display().to_string();
        if it.state.is_none() {
            path += "  (no trainer state that can be read)";
        } else if best == Some(it.checkpoint.step) {
            path += "  (best)";
        }
        let step = it.checkpoint.step.to_string();
        let (loss, eval_loss) = (number(it.newest("loss")), number(it.at_step("eval_loss")));
        table.row([step, epoch, loss, eval_loss, bytes(it.bytes), path]);
    }
    table
}

/// The best checkpoint, and the metric's value there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Best {
    pub(crate) step: u64,
    /// `None` where the trainer state does not tell its name.
    pub(crate) metric: Option<&'static str>,
    pub(crate) value: Option<f64>,
}

/// The checkpoint that the newest trainer state calls the best; where it names none, the one with
/// the lowest `eval_loss`.
pub(crate) fn best(entries: &[Entry]) -> Option<Best> {
    let exists = |step: u64| entries.iter().any(|it| it.checkpoint.step == step);
    let newest = entries.iter().rev().find_map(|it| it.state.as_ref())?;
    if let Some(step) = newest.best_global_step.filter(|it| exists(*it)) {
        return Some(Best { step, metric: None, value: newest.best_metric });
    }
    let evaluated = entries.iter().filter_map(|it| Some((it, it.at_step("eval_loss")?)));
    let evaluated = evaluated.filter(|(_, loss)| loss.is_finite());
    let (entry, loss) = evaluated.min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(Best { step: entry.checkpoint.step, metric: Some("eval_loss"), value: Some(loss) })
}
