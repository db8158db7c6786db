//! What a run shows while it goes on.

use std::collections::BTreeMap;

use pretrained::{
    fs::with_causes,
    train::{Event, LogEntry, StepReport},
};

use crate::{output::short, progress::Bar};

/// Shows a run's events: a bar with loss, learning rate and speed, and a line for what stays.
#[derive(Debug)]
pub(crate) struct TrainProgress {
    bar: Option<Bar>,
    /// Tokens per second, smoothed over the last steps.
    speed: f64,
    /// Seconds a step takes, smoothed likewise.
    seconds: f64,
}

impl TrainProgress {
    pub(crate) fn new(is_disabled: bool) -> TrainProgress {
        TrainProgress {
            bar: (!is_disabled).then(|| Bar::steps("training")),
            speed: 0.0,
            seconds: 0.0,
        }
    }

    pub(crate) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Started(started) => {
                if let Some(checkpoint) = &started.resumed {
                    self.line(&format!("resumed from {}", checkpoint.path.display()));
                }
            }
            Event::PassedOver(it) => {
                let path = it.checkpoint.path.display();
                self.line(&format!("warning: {path} is passed over: {}", it.reason));
            }
            Event::NotExact(differences) => {
                let list: Vec<String> = differences.iter().map(ToString::to_string).collect();
                self.line(&format!("warning: the resume is not exact: {}", list.join(", ")));
            }
            Event::Stepped(report) => self.step(report),
            Event::Logged(entry) => self.line(&spell(entry)),
            Event::Saved { checkpoint, removed, .. } => {
                let mut line = format!("saved {}", checkpoint.path.display());
                for it in *removed {
                    line.push_str(&format!(", removed checkpoint-{}", it.step));
                }
                self.line(&line);
            }
            Event::NotSaved { step, error } => {
                self.line(&format!(
                    "warning: no checkpoint at step {step}: {}",
                    with_causes(*error)
                ));
            }
            Event::NotRecorded(error) => self.line(&format!("warning: {}", with_causes(*error))),
            Event::BestLoaded(checkpoint) => {
                self.line(&format!("loaded the best weights, {}", checkpoint.path.display()));
            }
            Event::BestNotLoaded(reason) => {
                self.line(&format!("warning: the weights are the last, not the best: {reason}"));
            }
            _ => {}
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
    }

    fn step(&mut self, report: &StepReport) {
        let Some(bar) = &self.bar else { return };
        let speed = report.tokens as f64 / report.seconds.max(1e-9);
        self.speed = smoothed(self.speed, speed);
        self.seconds = smoothed(self.seconds, report.seconds);
        let message = format!(
            "loss {:.4} lr {:.2e} {:.0} tokens/s",
            report.loss, report.learning_rate, self.speed
        );
        if bar.is_due() {
            let left = (report.max_steps - report.step) as f64 * self.seconds;
            bar.line(&format!(
                "step {}/{} {message}, about {left:.0} s left",
                report.step, report.max_steps
            ));
        }
        bar.position(report.step, report.max_steps);
        bar.message(message);
    }

    /// A line that stays, whether or not there is a bar.
    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.line(line),
            None => crate::output::note(line),
        }
    }
}

/// A mean in which older values count less and less.
fn smoothed(mean: f64, value: f64) -> f64 {
    if mean == 0.0 { value } else { 0.9 * mean + 0.1 * value }
}

/// `step 10: loss 4.162, grad_norm 1.83, learning_rate 0.0005`.
fn spell(entry: &LogEntry) -> String {
    let numbers: BTreeMap<&str, f64> = entry.numbers().collect();
    let first = ["loss", "eval_loss", "train_loss"];
    let mut parts = Vec::new();
    for name in first {
        parts.extend(numbers.get(name).map(|it| format!("{name} {it:.4}")));
    }
    for (name, value) in &numbers {
        if !first.contains(name) && !["step", "total_flos"].contains(name) {
            parts.push(format!("{name} {}", short(*value)));
        }
    }
    format!("step {}: {}", entry.step(), parts.join(", "))
}
