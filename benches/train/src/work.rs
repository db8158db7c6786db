//! What we do. A run lasts as long as the benchmark does, in a thread of its own, and goes on whenever it is asked to.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bench_harness::Work;
use pretrained_checkpoint::Checkpoints;
use pretrained_data::{DataOptions, TextDataset};
use pretrained_tokenizer::AutoTokenizer;
use pretrained_torch::{AutoModelForCausalLM, CausalLmTask, Device, Error};
use pretrained_train::{
    Action, Dims, Event, IntervalStrategy, Resume, SaveStrategy, Saved, Snapshot, Stepped, Task,
    TrainingArguments, train,
};

use crate::tokens::texts;

pub fn find(name: &str, arguments: &[PathBuf]) -> Result<Work> {
    let dir = arguments.first().context("a directory")?.clone();
    let text = |at: usize| arguments.get(at).and_then(|it| it.to_str()).context("an argument");
    Ok(match name {
        "steps" => {
            let args = TrainingArguments { bf16: text(2)? == "bf16", ..arguments_of(text(1)?)? };
            asked(move |go, done| timed_steps(&dir, args, 2, &go, &done))
        }
        "rounds" => {
            let mut args = arguments_of(text(1)?)?;
            let every: f64 = text(2)?.parse()?;
            if every > 0.0 {
                args.save_strategy = SaveStrategy::Steps;
                args.save_steps = every;
            }
            asked(move |go, done| timed_steps(&dir, args, 10, &go, &done))
        }
        "stall" => {
            let args = arguments_of(text(1)?)?;
            asked(move |go, done| timed_saves(&dir, args, &go, &done))
        }
        "memcpy" => memcpy(3 * fs::metadata(dir.join("model.safetensors"))?.len() as usize),
        "tokenize" => {
            let tokenizer = AutoTokenizer::from_pretrained(&dir)?;
            let (files, cache_dir) = ([dir.join("text.txt")], dir.join("cache"));
            let options =
                DataOptions { cache_dir: Some(cache_dir.clone()), ..DataOptions::new(256) };
            Box::new(move || {
                let start = Instant::now();
                TextDataset::from_files_with(&files, &tokenizer, &options, |_| ControlFlow::Continue(()))?;
                let seconds = start.elapsed().as_secs_f64();
                fs::remove_dir_all(&cache_dir)?;
                Ok(vec![seconds])
            })
        }
        _ => bail!("no work {name}"),
    })
}

/// A run that has not begun, of more steps than will be asked for.
fn arguments_of(output_dir: &str) -> Result<TrainingArguments> {
    if Path::new(output_dir).exists() {
        fs::remove_dir_all(output_dir)?;
    }
    fs::create_dir_all(output_dir)?;
    Ok(TrainingArguments {
        output_dir: output_dir.into(),
        max_steps: 1_000_000,
        per_device_train_batch_size: 4,
        logging_strategy: IntervalStrategy::No,
        save_strategy: SaveStrategy::No,
        save_total_limit: Some(1),
        ..TrainingArguments::default()
    })
}

/// Work that a thread does: it hears when to go on, and says what that took.
fn asked(run: impl FnOnce(Receiver<()>, Sender<f64>) -> Result<()> + Send + 'static) -> Work {
    let ((go, gone), (done, heard)) = (channel(), channel());
    thread::spawn(move || {
        if let Err(e) = run(gone, done) {
            eprintln!("{e:?}");
        }
    });
    Box::new(move || {
        go.send(())?;
        Ok(vec![heard.recv()?])
    })
}

/// Trains, and times so many steps whenever it is asked to.
fn timed_steps(
    dir: &Path,
    args: TrainingArguments,
    n: u64,
    go: &Receiver<()>,
    done: &Sender<f64>,
) -> Result<()> {
    let model = AutoModelForCausalLM::from_pretrained(dir, Device::Cpu)?;
    let data = texts(64);
    let mut task = CausalLmTask::new(&model, None, &args, &data, None)?;
    let mut start = None;
    run(&mut task, &args, |event| {
        let is_due = match event {
            Event::Started(_) => true,
            Event::Stepped(step) => step.step % n == 0,
            _ => false,
        };
        if !is_due {
            return Action::CONTINUE;
        }
        if let Some(start) = start {
            let since: Duration = Instant::elapsed(&start);
            let _ = done.send(since.as_secs_f64());
        }
        match go.recv() {
            Ok(()) => start = Some(Instant::now()),
            // The benchmark has ended.
            Err(_) => return Action::STOP,
        }
        Action::CONTINUE
    })
}

/// Takes one step, and then does nothing but save when it is asked to: how long the loop stood still.
fn timed_saves(
    dir: &Path,
    args: TrainingArguments,
    go: &Receiver<()>,
    done: &Sender<f64>,
) -> Result<()> {
    let model = AutoModelForCausalLM::from_pretrained(dir, Device::Cpu)?;
    let data = texts(64);
    let mut task = Idle(CausalLmTask::new(&model, None, &args, &data, None)?);
    let mut is_saving = false;
    run(&mut task, &args, |event| match event {
        Event::Saved { stalled, .. } => {
            is_saving = false;
            let _ = done.send(stalled.as_secs_f64());
            Action::CONTINUE
        }
        Event::Stepped(_) if !is_saving => match go.recv() {
            Ok(()) => {
                is_saving = true;
                Action { save: true, ..Action::CONTINUE }
            }
            Err(_) => Action::STOP,
        },
        _ => Action::CONTINUE,
    })
}

fn run<T: Task<Error = Error>>(
    task: &mut T,
    args: &TrainingArguments,
    watch: impl FnMut(&Event<'_>) -> Action,
) -> Result<()> {
    let checkpoints = Checkpoints::open(&args.output_dir)?;
    let dims = Dims { examples: 64, eval_examples: None, ..Dims::default() };
    train(task, args, &dims, &checkpoints, Resume::No, watch)?;
    Ok(())
}

/// A task whose steps but the first take no time.
struct Idle<'a>(CausalLmTask<'a>);

impl Task for Idle<'_> {
    type Error = Error;

    fn step(&mut self, step: u64, learning_rate: f64) -> Result<Stepped, Error> {
        if step == 0 {
            return self.0.step(step, learning_rate);
        }
        thread::sleep(Duration::from_millis(10));
        Ok(Stepped::default())
    }

    fn evaluate(&mut self) -> Result<BTreeMap<String, f64>, Error> {
        self.0.evaluate()
    }

    fn save(&mut self, dir: &Path, what: Saved) -> Result<(), Error> {
        self.0.save(dir, what)
    }

    fn restore(&mut self, dir: &Path) -> Result<(), Error> {
        self.0.restore(dir)
    }

    fn load_model(&mut self, dir: &Path) -> Result<(), Error> {
        self.0.load_model(dir)
    }

    fn snapshot(&mut self, what: Saved) -> Result<Option<Snapshot<Error>>, Error> {
        self.0.snapshot(what)
    }
}

/// Copies so many bytes, each thread its part.
fn memcpy(n: usize) -> Work {
    let (from, mut to) = (vec![1u8; n], vec![0u8; n]);
    Box::new(move || {
        let part = n.div_ceil(thread::available_parallelism()?.get());
        let start = Instant::now();
        thread::scope(|scope| {
            for (to, from) in to.chunks_mut(part).zip(from.chunks(part)) {
                scope.spawn(|| to.copy_from_slice(from));
            }
        });
        std::hint::black_box(&to);
        Ok(vec![start.elapsed().as_secs_f64()])
    })
}
