//! Which checkpoint a run goes on from, and what it says about the others.

use std::fs;
use std::path::Path;
use std::process::Command;

use pretrained::train::{Action, Event, Resume, SaveStrategy, TrainingArguments};
use pretrained::{
    Trainer,
    data::TextDataset,
    tokenizer::AutoTokenizer,
    torch::{AutoModelForCausalLM, Device},
};

use crate::command::{fails, pretrained, succeeds};
use crate::tiny::Tiny;

/// Eight steps from `model`, of which every second is saved.
fn train(model: &Path, run: &Path) -> Command {
    let mut command = pretrained(["train", "--max-steps", "8", "--save-steps", "2"]);
    command.args(["--block-size", "16", "--learning-rate", "1e-3"]);
    command.arg("--model").arg(model).arg("--text").arg(Tiny::get().text());
    command.arg("--output-dir").arg(run);
    command
}

/// What is said on standard error.
fn said(command: &mut Command) -> String {
    let output = command.output().expect("the command starts");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{stderr}");
    stderr
}

fn weights(dir: &Path) -> Vec<u8> {
    fs::read(dir.join("model.safetensors")).expect("weights")
}

#[test]
fn a_checkpoint_of_another_run_is_passed_over_and_a_named_one_is_gone_on_from() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let at = |name: &str| scratch.path().join(name);
    let model = Tiny::get().model();
    succeeds(&mut train(&model, &at("a")));
    // Of the same shapes, trained with the same arguments.
    succeeds(&mut train(&at("a").join("checkpoint-2"), &at("b")));
    let expected = weights(&at("a").join("checkpoint-8"));
    assert_ne!(weights(&at("b").join("checkpoint-8")), expected);

    fs::create_dir(at("mixed")).expect("created");
    for (run, step) in [("a", "checkpoint-4"), ("b", "checkpoint-8")] {
        succeeds(Command::new("cp").arg("-r").arg(at(run).join(step)).arg(at("mixed").join(step)));
    }
    let text = said(train(&model, &at("mixed")).arg("--resume"));
    let newer = at("mixed").join("checkpoint-8");
    let passed_over = format!(
        "warning: {} is passed over: it is of another run, an older one is of this: \
         initial_weights was ",
        newer.display()
    );
    assert!(text.contains(&passed_over), "{text}");
    let resumed = format!("resumed from {}\n", at("mixed").join("checkpoint-4").display());
    assert!(text.contains(&resumed) && !text.contains("not exact"), "{text}");
    assert_eq!(weights(&newer), expected);
    let aside = at("mixed").join("set-aside-checkpoint-8");
    assert_eq!(weights(&aside), weights(&at("b").join("checkpoint-8")), "nothing is deleted");

    // By its name, into a directory that is not there yet.
    let named = at("a").join("checkpoint-4");
    let text = said(train(&model, &at("new")).arg("--resume").arg(&named));
    assert!(!text.contains("warning"), "{text}");
    assert_eq!(weights(&at("new").join("checkpoint-8")), expected);

    let optimizer = named.join("optimizer.safetensors");
    let mut bytes = fs::read(&optimizer).expect("there");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::remove_file(&optimizer).and_then(|()| fs::write(&optimizer, bytes)).expect("written");
    let error = fails(train(&model, &at("newer")).arg("--resume").arg(&named));
    let damaged = format!(
        "{} is damaged: optimizer.safetensors has changed since it was saved",
        named.display()
    );
    assert!(error.contains(&damaged), "{error}");
    let gone = at("a").join("checkpoint-99");
    let error = fails(train(&model, &at("newest")).arg("--resume").arg(&gone));
    assert!(error.contains("no such checkpoint") && !at("newest").exists(), "{error}");

    // One without an optimizer's state, ours or that of Hugging Face's Trainer.
    let bare = at("b").join("checkpoint-6");
    for name in ["manifest.json", "optimizer.safetensors"] {
        fs::remove_file(bare.join(name)).expect("removed");
    }
    let error = fails(train(&model, &at("newest")).arg("--resume").arg(&bare));
    assert!(error.contains("it holds the model only"), "{error}");
}

#[test]
fn a_trainer_knows_what_it_began_from() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = Tiny::get().model();
    let tokenizer = AutoTokenizer::from_pretrained(&dir).expect("a tokenizer");
    let model = AutoModelForCausalLM::from_pretrained(&dir, Device::Cpu).expect("a model");
    let args = TrainingArguments {
        output_dir: scratch.path().join("run"),
        max_steps: 4,
        save_strategy: SaveStrategy::Steps,
        save_steps: 2.0,
        ..TrainingArguments::default()
    };
    let trainer = || {
        let text = [Tiny::get().text()];
        let data = TextDataset::from_files(&text, &tokenizer, 16).expect("a dataset");
        Trainer::new(&model, &tokenizer, args.clone(), data, None).expect("a trainer")
    };
    // What is not exact in a run that stops after `stop` steps.
    let run = |trainer: &mut Trainer<'_>, resume: Resume, stop: u64| {
        let mut not_exact = Vec::new();
        let outcome = trainer.train_with(resume, |event| {
            match event {
                Event::NotExact(them) => not_exact.extend(them.iter().map(|it| it.name.clone())),
                Event::Stepped(it) if it.step == stop => return Action::SAVE_AND_STOP,
                _ => {}
            }
            Action::CONTINUE
        });
        outcome.expect("a run");
        not_exact
    };
    let mut first = trainer();
    assert!(run(&mut first, Resume::No, 2).is_empty());
    assert!(run(&mut first, Resume::Latest, 3).is_empty(), "the weights are others by now");
    drop(first);
    // Another trainer finds a model that was trained already.
    assert_eq!(run(&mut trainer(), Resume::Latest, 9), ["initial_weights"]);
}
