//! A run that is stopped half-way and resumed ends with the bytes of one that was not: `cargo run -p pretrained
//! --features torch --example resume -- llama-3.2-1b notes.txt runs`.
#![allow(clippy::print_stdout)]

use std::{env, error::Error, fs, path::Path};

use pretrained::{
    prelude::*,
    train::{Action, Event, Resume, SaveStrategy},
};

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = env::args().skip(1).collect();
    let [model, text, runs] = paths.as_slice() else {
        return Err("which model, which text, and where to?".into());
    };
    let whole = Path::new(runs).join("whole");
    let broken = Path::new(runs).join("broken");
    train(model, text, &whole, Resume::No, None)?;
    train(model, text, &broken, Resume::No, Some(5))?;
    train(model, text, &broken, Resume::Latest, None)?;

    let weights = |run: &Path| fs::read(run.join("checkpoint-10/model.safetensors"));
    let is_same = weights(&whole)? == weights(&broken)?;
    println!("the same bytes: {is_same}");
    if is_same { Ok(()) } else { Err("weights differ".into()) }
}

/// Ten steps, each of which is saved; or so many.
fn train(
    model: &str,
    text: &str,
    run: &Path,
    resume: Resume,
    stop: Option<u64>,
) -> Result<(), Box<dyn Error>> {
    let tokenizer = AutoTokenizer::from_pretrained(model)?;
    let model = AutoModelForCausalLM::from_pretrained(model, Device::Cpu)?;
    let data = TextDataset::from_files(&[text.into()], &tokenizer, 64)?;
    let args = TrainingArguments {
        output_dir: run.to_owned(),
        max_steps: 10,
        save_strategy: SaveStrategy::Steps,
        save_steps: 5.0,
        ..TrainingArguments::default()
    };
    Trainer::new(&model, &tokenizer, args, data, None)?.train_with(
        resume,
        |event| match event {
            Event::Stepped(report) if Some(report.step) == stop => Action::STOP,
            _ => Action::CONTINUE,
        },
    )?;
    Ok(())
}
