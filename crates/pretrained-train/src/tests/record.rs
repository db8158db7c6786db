//! What is written for people to watch.

use std::{fs, path::Path};

use pretrained_checkpoint::Checkpoints;

use super::toy::{Crash, Toy, args, dims, scratch};
use crate::{Event, LogEntry, Outcome, Recorder, Resume, TrainingArguments, train};

fn record(args: &TrainingArguments, toy: &mut Toy, resume: Resume) -> Option<Outcome> {
    let checkpoints = Checkpoints::open(&args.output_dir).expect("open");
    let mut recorder = Recorder::new(args, Some("{\"model_type\": \"<toy>\"}".to_owned()));
    let watcher = |event: &Event<'_>| recorder.observe(event).expect("written");
    let outcome = train(toy, args, &dims(), &checkpoints, resume, watcher);
    match &outcome {
        Ok(outcome) => recorder.finish(outcome).expect("written"),
        Err(e) => recorder.fail(e).expect("written"),
    }
    outcome.ok()
}

fn args_in(dir: &Path, options: &[(&str, &str)]) -> TrainingArguments {
    TrainingArguments { output_dir: dir.join("run <1>"), ..args(options) }
}

fn lines(args: &TrainingArguments) -> Vec<LogEntry> {
    let text = fs::read_to_string(args.output_dir.join("metrics.jsonl")).expect("written");
    text.lines().map(|it| LogEntry::parse_line(it).expect("JSON")).collect()
}

fn report(args: &TrainingArguments) -> String {
    fs::read_to_string(args.output_dir.join("report.html")).expect("written")
}

const OPTIONS: &[(&str, &str)] = &[
    ("save_steps", "4"),
    ("eval_strategy", "steps"),
    ("eval_steps", "4"),
    ("metric_for_best_model", "loss"),
    ("save_total_limit", "1"),
];

#[test]
fn metrics_are_the_log_line_by_line() {
    let dir = scratch();
    let args = args_in(dir.path(), OPTIONS);
    let outcome = record(&args, &mut Toy::default(), Resume::No).expect("finishes");
    let lines = lines(&args);
    assert_eq!(lines.len(), outcome.state.log_history.len());
    for (line, entry) in lines.iter().zip(&outcome.state.log_history) {
        assert!(entry.numbers().all(|(name, it)| line.get(name) == Some(it)), "{line:?}");
        let has_speed = line.get("tokens_per_second").is_some_and(|it| it > 0.0);
        assert_eq!(has_speed, entry.get("loss").is_some());
    }
}

#[test]
fn metrics_of_steps_that_are_taken_again_are_written_again() {
    let dir = scratch();
    let args = args_in(dir.path(), OPTIONS);
    // Steps 5 to 7 are taken by the first process and lost with it.
    assert!(
        record(&args, &mut Toy { crash: Some(Crash::Step(7)), ..Toy::default() }, Resume::No)
            .is_none()
    );
    assert_eq!(lines(&args).last().map(LogEntry::step), Some(6));
    let metrics = args.output_dir.join("metrics.jsonl");
    let torn = fs::read_to_string(&metrics).expect("written") + "{\"loss\": 1.";
    fs::write(&metrics, torn).expect("write");

    let outcome = record(&args, &mut Toy::default(), Resume::Latest).expect("finishes");
    let steps: Vec<u64> = lines(&args).iter().map(LogEntry::step).collect();
    let expected: Vec<u64> = outcome.state.log_history.iter().map(LogEntry::step).collect();
    assert_eq!(steps, expected);
}

#[test]
fn metrics_that_are_gone_come_back_from_the_checkpoint() {
    let dir = scratch();
    let args = args_in(dir.path(), OPTIONS);
    assert!(
        record(&args, &mut Toy { crash: Some(Crash::Step(7)), ..Toy::default() }, Resume::No)
            .is_none()
    );
    fs::remove_file(args.output_dir.join("metrics.jsonl")).expect("remove");
    let outcome = record(&args, &mut Toy::default(), Resume::Latest).expect("finishes");
    assert_eq!(lines(&args).len(), outcome.state.log_history.len());
}

#[test]
fn the_report_shows_the_run_and_needs_nothing_else() {
    let dir = scratch();
    let mut args = args_in(dir.path(), OPTIONS);
    args.run_name = Some("<b>&\"".to_owned());
    let script = vec![1.0, 2.0, 3.0];
    record(&args, &mut Toy { script, ..Toy::default() }, Resume::No).expect("finishes");
    let html = report(&args);
    let expected = [
        "<title>&lt;b&gt;&amp;&quot;</title>",
        "<dd>Completed</dd>",
        "<dd>9 of 9</dd>",
        "<figcaption>Loss</figcaption>",
        "<figcaption>eval_x</figcaption>",
        "<figcaption>Learning rate</figcaption>",
        "<figcaption>Gradient norm</figcaption>",
        "<figcaption>Tokens per second</figcaption>",
        "<title>checkpoint-4 (best)</title>",
        "<title>checkpoint-9</title>",
        "<a href=\"checkpoint-4/\">checkpoint-4</a></td><td>1</td><td>★ best",
        "checkpoint-8</td><td>2</td><td>removed",
        "<td>per_device_train_batch_size</td><td><code>2</code>",
        "&quot;&lt;toy&gt;&quot;",
    ];
    for expected in expected {
        assert!(html.contains(expected), "no {expected} in {html}");
    }
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    check_numbers(&html);
}

/// No coordinate and no label is something else than a number.
#[track_caller]
fn check_numbers(html: &str) {
    for figure in html.split("<figure>").skip(1) {
        let figure = figure.split("</figure>").next().unwrap_or_default();
        assert!(!figure.contains("NaN") && !figure.contains("inf"), "{figure}");
    }
}

#[test]
fn a_report_of_a_run_that_went_wrong_is_still_a_page() {
    let dir = scratch();
    let mut args = args_in(dir.path(), &[("eval_strategy", "steps"), ("eval_steps", "1")]);
    args.logging_nan_inf_filter = false;
    let nan = f64::NAN;
    let script = vec![nan, f64::INFINITY, nan, f64::MAX, f64::MIN, nan, 0.0, 5e-324, nan];
    record(&args, &mut Toy { script, ..Toy::default() }, Resume::No).expect("finishes");
    let html = report(&args);
    assert!(html.contains("<figcaption>Loss</figcaption>"));
    check_numbers(&html);
}

#[test]
fn a_report_of_a_run_that_failed_says_so() {
    let dir = scratch();
    let args = args_in(dir.path(), OPTIONS);
    let mut doomed = Toy { crash: Some(Crash::Save(1)), ..Toy::default() };
    assert!(record(&args, &mut doomed, Resume::No).is_none());
    let html = report(&args);
    let status = "<dt>Status</dt><dd>Failed: write checkpoint 8: no space left</dd>";
    assert!(html.contains(status), "{html}");
    // One that fails before it begins leaves the report of the one before.
    assert!(record(&args, &mut Toy::default(), Resume::No).is_none());
    assert_eq!(report(&args), html);
    record(&args, &mut Toy::default(), Resume::Latest).expect("finishes");
    assert!(report(&args).contains("<dd>Completed</dd>"));
}

#[test]
fn a_long_run_has_a_short_report() {
    let dir = scratch();
    let args = args_in(
        dir.path(),
        &[("max_steps", "20000"), ("logging_steps", "1"), ("save_strategy", "no")],
    );
    record(&args, &mut Toy::default(), Resume::No).expect("finishes");
    assert!(report(&args).len() < 200_000, "{} bytes", report(&args).len());
}

#[test]
fn event_files_are_there_if_asked_for() {
    let dir = scratch();
    let args = args_in(dir.path(), &[("report_to", "tensorboard")]);
    record(&args, &mut Toy::default(), Resume::No).expect("finishes");
    let runs = fs::read_dir(args.output_dir.join("runs")).expect("list");
    let run = runs.filter_map(Result::ok).next().expect("a run").path();
    let file = fs::read_dir(run).expect("list").filter_map(Result::ok).next().expect("a file");
    assert!(file.file_name().to_string_lossy().starts_with("events.out.tfevents."));

    let args = args_in(dir.path(), &[("logging_dir", &dir.path().join("logs").to_string_lossy())]);
    assert!(!args.reports_to_tensorboard());
}
