//! A task of one's own, without libtorch: `cargo run -p pretrained --example custom_task -- runs/line`.
#![allow(clippy::print_stdout)]

use std::{collections::BTreeMap, env, error::Error, fs, io, path::Path};

use pretrained::{Checkpoints, TrainingArguments, train::*};

/// y = a x + b.
struct Line([f64; 2]);

impl Task for Line {
    type Error = io::Error;

    fn step(&mut self, step: u64, learning_rate: f64) -> io::Result<Stepped> {
        // Random things too must be a function of the step, or a resumed run would go elsewhere.
        let x = (step * 7919 % 100) as f64 / 50.0 - 1.0;
        let off = self.0[0] * x + self.0[1] - (3.0 * x + 2.0);
        self.0 = [self.0[0] - learning_rate * off * x, self.0[1] - learning_rate * off];
        Ok(Stepped { loss: off * off, ..Stepped::default() })
    }

    fn evaluate(&mut self) -> io::Result<BTreeMap<String, f64>> {
        Ok(BTreeMap::new()) // Nothing is held back.
    }

    fn save(&mut self, dir: &Path, _: Saved) -> io::Result<()> {
        fs::write(dir.join("line"), self.0.map(f64::to_le_bytes).concat())
    }

    fn restore(&mut self, dir: &Path) -> io::Result<()> {
        let bytes = fs::read(dir.join("line"))?;
        let [a, b] = bytes.as_chunks().0 else { return Err(io::ErrorKind::InvalidData.into()) };
        self.0 = [f64::from_le_bytes(*a), f64::from_le_bytes(*b)];
        Ok(())
    }

    fn load_model(&mut self, dir: &Path) -> io::Result<()> {
        self.restore(dir)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let run = env::args().nth(1).ok_or("where to?")?;
    let args = TrainingArguments {
        output_dir: run.into(),
        max_steps: 1000,
        learning_rate: 0.1,
        save_steps: 100.0,
        ..TrainingArguments::default()
    };
    let checkpoints = Checkpoints::open(&args.output_dir)?;
    let dims = Dims { examples: 8000, eval_examples: None, ..Dims::default() };
    let mut line = Line([0.0; 2]);
    let begun = checkpoints.latest()?.checkpoint.is_some();
    let resume = if begun { Resume::Latest } else { Resume::No };
    train(&mut line, &args, &dims, &checkpoints, resume, |_: &Event<'_>| ())?;
    println!("y = {:.3} x + {:.3}", line.0[0], line.0[1]);
    Ok(())
}
