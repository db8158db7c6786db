//! Progress on standard error: a bar on a terminal, a plain line now and then elsewhere, nothing
//! with `--quiet`.

use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    output,
    terminal::{Stream, toned_line},
};

/// The progress of one piece of long work.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    what: String,
    is_terminal: bool,
    /// When a plain line was last written.
    last_line: Mutex<Instant>,
    /// When work of unknown length began.
    working: Mutex<Option<Instant>>,
}

impl Bar {
    /// Progress in bytes.
    pub(crate) fn bytes(what: &str) -> Bar {
        Bar::new(what, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}")
    }

    /// Progress in steps of training; the message carries the loss and the rates.
    pub(crate) fn steps(what: &str) -> Bar {
        Bar::new(what, "{pos}/{len} {wide_bar} {msg} eta {eta}")
    }

    fn new(what: &str, template: &str) -> Bar {
        let is_terminal = !output::is_quiet() && std::io::stderr().is_terminal();
        let target =
            if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(template).expect("the templates above are valid");
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        bar.set_message(what.to_owned());
        let (last_line, working) = (Mutex::new(Instant::now()), Mutex::new(None));
        Bar { bar, what: what.to_owned(), is_terminal, last_line, working }
    }

    /// So much of so much is done.
    pub(crate) fn set(&self, done: u64, total: u64) {
        self.position(done, total);
        if self.is_due() {
            let percent = 100 * done / total.max(1);
            output::note(format_args!("{}: {percent} %", self.what));
        }
    }

    /// As [`set`](Bar::set), without a plain line: the caller writes its own.
    pub(crate) fn position(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Says what is being done.
    pub(crate) fn message(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }

    /// Says what is being done for as long as nobody knows how long it takes.
    pub(crate) fn working(&self, what: &str) {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        if working.is_none() {
            let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
            self.bar.set_style(style.expect("the template is valid"));
            self.bar.set_message(what.to_owned());
            self.bar.reset_elapsed();
            self.bar.enable_steady_tick(BETWEEN_TICKS);
            if !self.is_terminal {
                output::note(what);
                self.wrote_line();
            }
        }
        let since = *working.get_or_insert_with(Instant::now);
        if self.is_due() {
            output::note(format_args!("{what}, for {} s", since.elapsed().as_secs()));
        }
    }

    /// Writes a line that stays, above the bar.
    pub(crate) fn line(&self, line: &str) {
        if self.is_terminal {
            self.bar.println(toned_line(Stream::Err, line));
        } else {
            output::note(line);
            self.wrote_line();
        }
    }

    /// A plain line is due: there is no terminal, and the last one is a while ago.
    pub(crate) fn is_due(&self) -> bool {
        let last_line = *self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = !self.is_terminal && last_line.elapsed() >= BETWEEN_LINES;
        if is_due {
            self.wrote_line();
        }
        is_due
    }

    fn wrote_line(&self) {
        *self.last_line.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// The work is done; the bar disappears.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

const BETWEEN_LINES: Duration = Duration::from_secs(10);

const BETWEEN_TICKS: Duration = Duration::from_millis(100);
