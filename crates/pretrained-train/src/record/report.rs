use std::{collections::BTreeSet, fmt::Write as _};

use super::chart::{Marks, Series, chart, number};
use crate::{FIELDS, LogEntry, Started, TrainingArguments};

/// A run as a page of HTML that needs no other file and no network.
#[derive(Debug)]
pub(super) struct Report {
    title: String,
    arguments: Vec<(String, String, bool)>,
    entries: Vec<LogEntry>,
    saved: BTreeSet<u64>,
    best_metric: Option<String>,
    is_greater_better: bool,
    pub(super) step: u64,
    max_steps: u64,
    pub(super) on_disk: BTreeSet<u64>,
    pub(super) best_step: Option<u64>,
    pub(super) ended: Option<String>,
}

impl Report {
    pub(super) fn new(args: &TrainingArguments) -> Report {
        let default = TrainingArguments::default();
        let arguments = FIELDS.iter().filter_map(|field| {
            let (value, default) = (args.get(field.name)?, default.get(field.name)?);
            let is_changed = value != default;
            Some((field.name.to_owned(), value.to_string(), is_changed))
        });
        let title = args.run_name.clone();
        Report {
            title: title.unwrap_or_else(|| args.output_dir.display().to_string()),
            arguments: arguments.collect(),
            entries: Vec::new(),
            saved: BTreeSet::new(),
            best_metric: args.resolved().best_metric_name(),
            is_greater_better: args.greater_is_better(),
            step: 0,
            max_steps: 0,
            on_disk: BTreeSet::new(),
            best_step: None,
            ended: None,
        }
    }

    pub(super) fn begin(&mut self, started: &Started<'_>, entries: &[LogEntry]) {
        self.step = started.state.global_step;
        self.max_steps = started.state.max_steps;
        self.entries = entries.to_vec();
    }

    pub(super) fn add(&mut self, entry: LogEntry) {
        self.entries.push(entry);
    }

    pub(super) fn note_checkpoint(&mut self, step: u64) {
        self.saved.insert(step);
    }

    pub(super) fn html(&self, model_config: Option<&str>) -> String {
        let title = escape(&self.title);
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
        );
        html.push_str(&self.summary());
        html.push_str(&self.charts());
        html.push_str(&self.checkpoints());
        html.push_str("<h2>Arguments</h2>\n");
        html.push_str(&self.argument_table(true));
        html.push_str("<details><summary>Arguments at their default</summary>\n");
        html.push_str(&self.argument_table(false));
        html.push_str("</details>\n");
        if let Some(config) = model_config {
            let config = escape(config);
            let _ = writeln!(
                html,
                "<details><summary>config.json of the model</summary><pre>{config}</pre></details>"
            );
        }
        html.push_str("</body></html>\n");
        html
    }

    fn summary(&self) -> String {
        let last = |name: &str| self.entries.iter().rev().find_map(|it| it.get(name));
        let facts = [
            ("Status", Some(self.ended.clone().unwrap_or_else(|| "running".to_owned()))),
            ("Step", Some(format!("{} of {}", self.step, self.max_steps))),
            ("Epoch", last("epoch").map(number)),
            ("Loss", last("loss").map(number)),
            ("Evaluation loss", last("eval_loss").map(number)),
            ("Tokens per second", last("tokens_per_second").map(number)),
            ("Best step", self.best().map(|it| it.to_string())),
        ];
        let mut html = String::from("<dl>\n");
        for (name, value) in facts {
            if let Some(value) = value {
                let _ = writeln!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value));
            }
        }
        html + "</dl>\n"
    }

    fn charts(&self) -> String {
        let checkpoints: Vec<u64> = self.on_disk.iter().copied().collect();
        let steps = self.max_steps as f64;
        let marks = Marks { steps, checkpoints: &checkpoints, best: self.best() };
        let series = |key: &str, name: &str, color: usize, has_dots: bool| {
            let points =
                self.entries.iter().filter_map(|it| Some((it.step() as f64, it.get(key)?)));
            Series { name: escape(name), points: points.collect(), color, has_dots }
        };
        let loss =
            [series("loss", "training", 0, false), series("eval_loss", "evaluation", 1, true)];
        let mut html = chart("Loss", &loss, &marks);
        for name in self.evaluated() {
            html += &chart(&escape(&name), &[series(&name, &name, 1, true)], &marks);
        }
        html +=
            &chart("Learning rate", &[series("learning_rate", "learning rate", 2, false)], &marks);
        html += &chart("Gradient norm", &[series("grad_norm", "norm", 3, false)], &marks);
        let throughput = [series("tokens_per_second", "tokens per second", 4, false)];
        html += &chart("Tokens per second", &throughput, &marks);
        if html.is_empty() {
            html.push_str("<p>Nothing is logged yet.</p>\n");
        }
        html
    }

    /// Metrics of evaluations besides their loss and speed.
    fn evaluated(&self) -> BTreeSet<String> {
        let names = self.entries.iter().flat_map(LogEntry::numbers).map(|it| it.0);
        let is_measure = |it: &&str| {
            it.starts_with("eval_")
                && *it != "eval_loss"
                && !it.ends_with("_runtime")
                && !it.ends_with("_per_second")
        };
        names.filter(is_measure).map(str::to_owned).collect()
    }

    /// The step with the best metric.
    fn best(&self) -> Option<u64> {
        let name = self.best_metric.as_ref();
        let found = name.and_then(|name| {
            let sign = if self.is_greater_better { -1.0 } else { 1.0 };
            let metrics =
                self.entries.iter().filter_map(|it| Some((sign * it.get(name)?, it.step())));
            let numbers = metrics.filter(|it| !it.0.is_nan());
            numbers.min_by(|a, b| a.0.total_cmp(&b.0)).map(|it| it.1)
        });
        self.best_step.or(found)
    }

    fn checkpoints(&self) -> String {
        if self.on_disk.is_empty() && self.saved.is_empty() {
            return String::new();
        }
        let metric = self.best_metric.clone().unwrap_or_else(|| "eval_loss".to_owned());
        let mut html = format!(
            "<h2>Checkpoints</h2>\n<table><tr><th>Step</th><th>{}</th><th></th></tr>\n",
            escape(&metric)
        );
        for step in self.on_disk.union(&self.saved) {
            let value = self.entries.iter().rev().filter(|it| it.step() == *step);
            let value = value.filter_map(|it| it.get(&metric)).map(number).next();
            let name = match self.on_disk.contains(step) {
                true => format!("<a href=\"checkpoint-{step}/\">checkpoint-{step}</a>"),
                false => format!("checkpoint-{step}"),
            };
            let is_best = self.best() == Some(*step);
            let note = match (is_best, self.on_disk.contains(step)) {
                (true, _) => "★ best",
                (false, true) => "",
                (false, false) => "removed",
            };
            let value = value.unwrap_or_default();
            let _ = writeln!(html, "<tr><td>{name}</td><td>{value}</td><td>{note}</td></tr>");
        }
        html + "</table>\n"
    }

    fn argument_table(&self, is_changed: bool) -> String {
        let mut html = String::from("<table>\n");
        for (name, value, _) in self.arguments.iter().filter(|it| it.2 == is_changed) {
            let value = escape(value);
            let _ = writeln!(html, "<tr><td>{name}</td><td><code>{value}</code></td></tr>");
        }
        html + "</table>\n"
    }
}

fn escape(text: &str) -> String {
    let mut res = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => res.push_str("&amp;"),
            '<' => res.push_str("&lt;"),
            '>' => res.push_str("&gt;"),
            '"' => res.push_str("&quot;"),
            '\'' => res.push_str("&#39;"),
            other => res.push(other),
        }
    }
    res
}

const STYLE: &str = "\
:root{color-scheme:light dark;--c0:#2563eb;--c1:#d97706;--c2:#059669;--c3:#7c3aed;--c4:#0891b2}\
body{font:15px/1.5 system-ui,sans-serif;max-width:760px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin-top:2rem}\
dl{display:flex;flex-wrap:wrap;gap:.5rem 2rem;margin:0}dt{opacity:.65;font-size:.8rem}\
dd{margin:0;font-size:1.1rem}figure{margin:1.5rem 0}figcaption{font-weight:600}\
svg{width:100%;height:auto}svg text{font-size:11px;fill:currentColor;opacity:.7}\
.grid{stroke:currentColor;opacity:.15}.checkpoint,.best{stroke:currentColor;opacity:.35;\
stroke-dasharray:2 3}.best{stroke:#dc2626;opacity:.9;stroke-dasharray:none}\
.line{fill:none;stroke-width:1.6}.c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}\
.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}.dot.c0{fill:var(--c0)}.dot.c1{fill:var(--c1)}\
.key{font-size:.85rem;margin-right:1rem;border-left:1rem solid;padding-left:.4rem}\
.key.c0{border-color:var(--c0)}.key.c1{border-color:var(--c1)}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.15rem .5rem;\
border-bottom:1px solid color-mix(in srgb,currentColor 15%,transparent);overflow-wrap:anywhere}\
details{margin-top:1rem}pre{overflow:auto}";
