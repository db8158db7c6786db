//! A fine-tune with checkpoints, an evaluation and the best model at the end: `cargo run -p pretrained --features torch
//! --example fine_tune -- llama-3.2-1b notes.txt runs/notes`. Killed and started again, it goes on where it was.
#![allow(clippy::print_stdout)]

use std::{env, error::Error};

use pretrained::{
    prelude::*,
    train::{Action, Event, IntervalStrategy, Resume, SaveStrategy},
};

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = env::args().skip(1).collect();
    let [model_dir, text, run] = paths.as_slice() else {
        return Err("which model, which text, and where to?".into());
    };
    let tokenizer = AutoTokenizer::from_pretrained(model_dir)?;
    let model = AutoModelForCausalLM::from_pretrained(model_dir, Device::cuda_if_available())?;
    let data = TextDataset::from_files(&[text.into()], &tokenizer, 64)?;
    let eval = TextDataset::from_files(&[text.into()], &tokenizer, 64)?;

    let args = TrainingArguments {
        output_dir: run.into(),
        max_steps: 20,
        per_device_train_batch_size: 4,
        learning_rate: 1e-3,
        eval_strategy: IntervalStrategy::Steps,
        eval_steps: Some(10.0),
        save_strategy: SaveStrategy::Steps,
        save_steps: 10.0,
        save_total_limit: Some(2),
        load_best_model_at_end: true,
        ..TrainingArguments::default()
    };
    let begun = Checkpoints::open(&args.output_dir)?.latest()?.checkpoint.is_some();
    let resume = if begun { Resume::Latest } else { Resume::No };
    let mut trainer = Trainer::new(&model, &tokenizer, args, data, Some(Box::new(eval)))?;
    trainer.train_with(resume, |event| {
        if let Event::Logged(entry) = event {
            println!("step {}: {:?}", entry.step(), entry.get("loss").or(entry.get("eval_loss")));
        }
        Action::CONTINUE
    })?;

    let out = format!("{run}/best");
    model.save_pretrained(&out)?;
    tokenizer.save_pretrained(&out)?;
    println!("saved to {out}");
    Ok(())
}
