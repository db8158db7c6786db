//! Anything that learns in steps, trained with checkpoints and exact resume: here a line through points. `cargo run -p
//! pretrained --example custom_task -- runs/line`. Needs no libtorch.
#![allow(clippy::print_stdout)]

use std::{collections::BTreeMap, env, error::Error, fs, io, path::Path};

use pretrained::{
    Checkpoints, TrainingArguments,
    train::{Action, Dims, Event, Resume, SaveStrategy, Saved, Stepped, Task, train},
};

/// y = a x + b.
struct Line([f64; 2]);

impl Task for Line {
    type Error = io::Error;

    fn step(&mut self, step: u64, learning_rate: f64) -> io::Result<Stepped> {
        // Whatever is random must be a function of the step, or a resumed run would go elsewhere.
        let x = (step * 7919 % 100) as f64 / 50.0 - 1.0;
        let off = self.0[0] * x + self.0[1] - (3.0 * x + 2.0);
        self.0 = [self.0[0] - learning_rate * off * x, self.0[1] - learning_rate * off];
        Ok(Stepped { loss: off * off, grad_norm: off.abs() * x.hypot(1.0), ..Stepped::default() })
    }

    fn evaluate(&mut self) -> io::Result<BTreeMap<String, f64>> {
        Ok(BTreeMap::from([("eval_loss".to_owned(), (self.0[0] - 3.0).hypot(self.0[1] - 2.0))]))
    }

    fn save(&mut self, dir: &Path, _: Saved) -> io::Result<()> {
        fs::write(dir.join("line"), self.0.map(f64::to_le_bytes).concat())
    }

    fn restore(&mut self, dir: &Path) -> io::Result<()> {
        let bytes = fs::read(dir.join("line"))?;
        let number = |i: usize| bytes.get(8 * i..)?.first_chunk().map(|it| f64::from_le_bytes(*it));
        self.0 = [number(0), number(1)].map(|it| it.unwrap_or(f64::NAN));
        Ok(())
    }

    fn load_model(&mut self, dir: &Path) -> io::Result<()> {
        self.restore(dir)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let run = env::args().nth(1).ok_or("where to?")?;
    let (max_steps, save_steps) = (1000, 100.0);
    let (output_dir, save_strategy) = (run.into(), SaveStrategy::Steps);
    let args = TrainingArguments {
        output_dir,
        max_steps,
        learning_rate: 0.1,
        save_strategy,
        save_steps,
        save_total_limit: Some(2),
        ..TrainingArguments::default()
    };
    let checkpoints = Checkpoints::open(&args.output_dir)?;
    let dims = Dims { examples: 1000 * 8, eval_examples: None, ..Dims::default() };
    let mut line = Line([0.0; 2]);
    let watch = |_: &Event<'_>| Action::CONTINUE;
    train(&mut line, &args, &dims, &checkpoints, Resume::Latest, watch)?;
    println!("y = {:.3} x + {:.3}", line.0[0], line.0[1]);
    Ok(())
}
