mod chart;
mod report;
mod tensorboard;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use pretrained_checkpoint::Checkpoints;
use pretrained_fs::{Error, StagedFile};

use self::{report::Report, tensorboard::EventFile};
use crate::{Event, LogEntry, Outcome, Started, TrainingArguments};

/// Writes down what happens in a run, for people to watch it.
///
/// In the run's directory there will be `metrics.jsonl`, each entry of the log on a line;
/// `report.html`, a page that needs nothing else; and, if `report_to` has `tensorboard`, event
/// files with Hugging Face's tags. None of them is read by anything here: the run is in its
/// checkpoints.
#[derive(Debug)]
pub struct Recorder {
    args: TrainingArguments,
    model_config: Option<String>,
    files: Option<Files>,
    tokens: u64,
    seconds: f64,
    report: Report,
    reported: Option<Instant>,
}

#[derive(Debug)]
struct Files {
    metrics: File,
    metrics_path: PathBuf,
    events: Option<EventFile>,
}

impl Recorder {
    /// Will write into `args.output_dir` once the run begins. `model_config` is the model's
    /// `config.json`, to be shown beside the arguments.
    pub fn new(args: &TrainingArguments, model_config: Option<String>) -> Recorder {
        Recorder {
            args: args.clone(),
            model_config,
            files: None,
            tokens: 0,
            seconds: 0.0,
            report: Report::new(args),
            reported: None,
        }
    }

    /// Takes note of what happened. To be given every event of the run.
    ///
    /// # Errors
    ///
    /// If the run's directory, or one of the files in it, cannot be made, read or written.
    pub fn observe(&mut self, event: &Event<'_>) -> Result<(), Error> {
        match event {
            Event::Started(started) => self.start(started),
            Event::Stepped(step) => {
                self.tokens += step.tokens;
                self.seconds += step.seconds;
                self.report.step = step.step;
                Ok(())
            }
            Event::Logged(entry) => self.log(entry),
            Event::Saved { checkpoint, .. } => {
                if let Some(events) = self.files.as_mut().and_then(|it| it.events.as_mut()) {
                    events.flush()?;
                }
                self.report.note_checkpoint(checkpoint.step);
                self.write_report(Some(REPORT_EVERY))
            }
            _ => Ok(()),
        }
    }

    /// Finishes the report of a run that came to its end.
    ///
    /// # Errors
    ///
    /// If the report or TensorBoard's file cannot be written.
    pub fn finish(&mut self, outcome: &Outcome) -> Result<(), Error> {
        self.report.ended = Some(format!("{:?}", outcome.ended));
        self.report.best_step = outcome.state.best_global_step;
        if let Some(events) = self.files.as_mut().and_then(|it| it.events.as_mut()) {
            events.flush()?;
        }
        self.write_report(None)
    }

    /// Finishes the report of a run that an error ended.
    ///
    /// # Errors
    ///
    /// If the report or TensorBoard's file cannot be written.
    pub fn fail(&mut self, error: &dyn std::error::Error) -> Result<(), Error> {
        self.report.ended = Some(format!("Failed: {}", pretrained_fs::with_causes(error)));
        if let Some(events) = self.files.as_mut().and_then(|it| it.events.as_mut()) {
            events.flush()?;
        }
        self.write_report(None)
    }

    fn start(&mut self, started: &Started<'_>) -> Result<(), Error> {
        let root = self.args.output_dir.clone();
        pretrained_fs::create_dir_all(&root)?;
        let step = started.resumed.as_ref().map(|it| it.step);
        let metrics_path = root.join(METRICS);
        let lines = lines_up_to(&metrics_path, step, &started.state.log_history)?;
        self.report.begin(started, &lines);

        let metrics = OpenOptions::new().append(true).create(true).open(&metrics_path);
        let metrics = metrics.map_err(|e| Error::new("open", &metrics_path, e))?;
        let events = match self.args.reports_to_tensorboard() {
            true => Some(self.open_events(step)?),
            false => None,
        };
        self.files = Some(Files { metrics, metrics_path, events });
        self.write_report(None)
    }

    fn open_events(&self, resumed: Option<u64>) -> Result<EventFile, Error> {
        let dir = match (&self.args.logging_dir, std::env::var_os("TENSORBOARD_LOGGING_DIR")) {
            (Some(it), _) => it.clone(),
            (None, Some(it)) if !it.is_empty() => PathBuf::from(it),
            _ => tensorboard::default_dir(&self.args.output_dir, SystemTime::now()),
        };
        let mut events = EventFile::create(&dir, SystemTime::now())?;
        if let Some(step) = resumed {
            events.restart(step + 1)?;
        }
        events.text("args/text_summary", &self.args.to_json())?;
        if let Some(config) = &self.model_config {
            events.text("model_config/text_summary", config)?;
        }
        events.flush()?;
        Ok(events)
    }

    fn log(&mut self, entry: &LogEntry) -> Result<(), Error> {
        let Some(files) = &mut self.files else { return Ok(()) };
        if let Some(events) = &mut files.events {
            for (name, value) in entry.numbers().filter(|it| it.0 != "step") {
                events.scalar(&tensorboard::tag(name), value, entry.step())?;
            }
            events.flush()?;
        }
        let mut line = entry.clone();
        if entry.get("loss").is_some() && self.seconds > 0.0 {
            line.insert("tokens_per_second", (self.tokens as f64 / self.seconds).round());
            (self.tokens, self.seconds) = (0, 0.0);
        }
        let text = line.to_json_line() + "\n";
        let written = files.metrics.write_all(text.as_bytes());
        written.map_err(|e| Error::new("write", &files.metrics_path, e))?;
        self.report.add(line);
        self.write_report(Some(REPORT_EVERY))
    }

    /// Writes the report, unless that was done less than `every` ago.
    fn write_report(&mut self, every: Option<Duration>) -> Result<(), Error> {
        let is_fresh = self.reported.zip(every).is_some_and(|(it, every)| it.elapsed() < every);
        if self.files.is_none() || is_fresh {
            return Ok(());
        }
        if let Ok(checkpoints) = Checkpoints::read(&self.args.output_dir)
            && let Ok(listed) = checkpoints.list()
        {
            self.report.on_disk = listed.iter().map(|it| it.step).collect();
        }
        let html = self.report.html(self.model_config.as_deref());
        write(&self.args.output_dir.join(REPORT), &html)?;
        self.reported = Some(Instant::now());
        Ok(())
    }
}

/// The lines of `metrics.jsonl` that are still true when a run goes on after `resumed` steps; the
/// others were written by steps that will be taken again, and are removed from the file.
fn lines_up_to(
    path: &Path,
    resumed: Option<u64>,
    log_history: &[LogEntry],
) -> Result<Vec<LogEntry>, Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(Error::new("read", path, e)),
    };
    let mut lines: Vec<LogEntry> = match resumed {
        // A run's summary belongs to the process that wrote it.
        Some(step) => {
            let lines = text.lines().filter_map(LogEntry::parse_line);
            lines.filter(|it| it.step() <= step && it.get("train_loss").is_none()).collect()
        }
        None => Vec::new(),
    };
    if lines.is_empty() {
        lines = log_history.to_vec();
    }
    let kept: String = lines.iter().map(|it| it.to_json_line() + "\n").collect();
    if kept != text {
        write(path, &kept)?;
    }
    Ok(lines)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let mut file = StagedFile::create(path)?;
    file.write_all(text.as_bytes()).map_err(|e| Error::new("write", path, e))?;
    file.publish()
}

const METRICS: &str = "metrics.jsonl";
const REPORT: &str = "report.html";
const REPORT_EVERY: Duration = Duration::from_secs(10);
