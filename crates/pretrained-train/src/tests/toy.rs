//! A task of two numbers, and how to run it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
};

use pretrained_checkpoint::Checkpoints;

use crate::{
    Action, Dims, Error, Event, Outcome, Resume, Saved, Snapshot, Stepped, Task, TrainerState,
    TrainingArguments, train,
};

/// Momentum descent on a noisy parabola: state, an optimizer, and randomness from the step.
#[derive(Debug, Clone, Default)]
pub(super) struct Toy {
    pub(super) x: f64,
    pub(super) momentum: f64,
    /// Dies here.
    pub(super) crash: Option<Crash>,
    /// Results of evaluations to come, instead of the model's.
    pub(super) script: Vec<f64>,
    pub(super) n_evaluated: usize,
    /// Saves behind the steps.
    pub(super) is_async: bool,
    /// Saves behind the steps panic.
    pub(super) panics: bool,
    /// Saves behind the steps wait for this.
    pub(super) gate: Arc<AtomicBool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    Step(u64),
    Evaluation(usize),
    /// Half way through writing the checkpoint, the n-th save of this process.
    Save(u64),
}

impl Toy {
    fn state(&self) -> Vec<u8> {
        [self.x.to_bits().to_le_bytes(), self.momentum.to_bits().to_le_bytes()].concat()
    }

    fn fails_to_save(&mut self) -> bool {
        match &mut self.crash {
            Some(Crash::Save(0)) => true,
            Some(Crash::Save(n)) => {
                *n -= 1;
                false
            }
            _ => false,
        }
    }
}

impl Task for Toy {
    type Error = io::Error;

    fn step(&mut self, step: u64, learning_rate: f64) -> io::Result<Stepped> {
        if self.crash == Some(Crash::Step(step)) {
            return Err(io::Error::other("killed"));
        }
        let noise = (step.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / 1e8;
        let error = self.x - 3.0 + noise;
        self.momentum = 0.9 * self.momentum + error;
        self.x -= learning_rate * self.momentum;
        let (loss, grad_norm) = (error * error, error.abs());
        Ok(Stepped { loss, grad_norm, tokens: 10, padding: step % 3, flos: 60.0 })
    }

    fn evaluate(&mut self) -> io::Result<BTreeMap<String, f64>> {
        if self.crash == Some(Crash::Evaluation(self.n_evaluated)) {
            return Err(io::Error::other("killed"));
        }
        let scripted = self.script.get(self.n_evaluated).copied();
        self.n_evaluated += 1;
        let loss = scripted.unwrap_or((self.x - 2.0).powi(2));
        Ok(BTreeMap::from([("eval_loss".to_owned(), loss), ("eval_x".to_owned(), self.x)]))
    }

    fn evaluate_while(
        &mut self,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> io::Result<Option<BTreeMap<String, f64>>> {
        if goes_on() && goes_on() { self.evaluate().map(Some) } else { Ok(None) }
    }

    fn save(&mut self, dir: &Path, what: Saved) -> io::Result<()> {
        let state = self.state();
        if self.fails_to_save() {
            fs::write(dir.join("state"), &state[..3])?;
            return Err(io::Error::other("no space left"));
        }
        fs::write(dir.join("state"), if what != Saved::Model { &state } else { &state[..8] })
    }

    fn restore(&mut self, dir: &Path) -> io::Result<()> {
        let bytes = fs::read(dir.join("state"))?;
        let number = |i: usize| bytes.get(8 * i..)?.first_chunk().map(|it| f64::from_le_bytes(*it));
        (self.x, self.momentum) = number(0).zip(number(1)).ok_or(io::ErrorKind::InvalidData)?;
        Ok(())
    }

    fn load_model(&mut self, dir: &Path) -> io::Result<()> {
        let bytes = fs::read(dir.join("state"))?;
        let number = bytes.first_chunk().map(|it| f64::from_le_bytes(*it));
        self.x = number.ok_or(io::ErrorKind::InvalidData)?;
        Ok(())
    }

    fn snapshot(&mut self, _: Saved) -> io::Result<Option<Snapshot<io::Error>>> {
        if !self.is_async {
            return Ok(None);
        }
        let (state, fails, gate) = (self.state(), self.fails_to_save(), self.gate.clone());
        let panics = self.panics;
        Ok(Some(Box::new(move |dir| {
            while gate.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            if fails {
                return Err(io::Error::other("no space left"));
            }
            assert!(!panics, "a thread's end");
            fs::write(dir.join("state"), state)
        })))
    }
}

/// A directory for a run. In memory where that can be: thousands of checkpoints are synced.
pub(super) fn scratch() -> tempfile::TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).expect("temp dir")
}

pub(super) fn dims() -> Dims {
    Dims { examples: 11, eval_examples: Some(5), ..Dims::default() }
}

/// 3 epochs of 3 steps.
pub(super) fn args(options: &[(&str, &str)]) -> TrainingArguments {
    let mut args = TrainingArguments::default();
    let base = [
        ("per_device_train_batch_size", "2"),
        ("gradient_accumulation_steps", "2"),
        ("learning_rate", "0.1"),
        ("logging_steps", "2"),
    ];
    for (name, value) in base.iter().chain(options) {
        args.set(name, value).expect("known");
    }
    args
}

pub(super) fn run(
    dir: &Path,
    toy: &mut Toy,
    args: &TrainingArguments,
    resume: Resume,
) -> Result<Outcome, Error<io::Error>> {
    watch(dir, toy, args, resume, |_| Action::CONTINUE)
}

pub(super) fn watch(
    dir: &Path,
    toy: &mut Toy,
    args: &TrainingArguments,
    resume: Resume,
    on_event: impl FnMut(&Event<'_>) -> Action,
) -> Result<Outcome, Error<io::Error>> {
    let checkpoints = Checkpoints::open(dir)?;
    train(toy, args, &dims(), &checkpoints, resume, on_event)
}

/// The log without what a clock has measured.
pub(super) fn log(state: &TrainerState) -> Vec<String> {
    let is_timed = |name: &str| name.ends_with("_runtime") || name.ends_with("_per_second");
    let entries = state.log_history.iter().map(|entry| {
        let numbers = entry.numbers().filter(|(name, _)| !is_timed(name));
        numbers.map(|(name, it)| format!("{name}={it}")).collect::<Vec<_>>().join(" ")
    });
    entries.collect()
}

pub(super) fn steps_on_disk(dir: &Path) -> Vec<u64> {
    let checkpoints = Checkpoints::read(dir).expect("run");
    checkpoints.list().expect("list").iter().map(|it| it.step).collect()
}
