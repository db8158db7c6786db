//! The facade's examples, run as a reader would.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    command::{examples, succeeds},
    python::root,
    readme::prepare,
};

/// An example, with what it is given.
fn example(name: &str, arguments: &[&Path]) -> Command {
    let mut command = Command::new(examples().join(name));
    command.args(arguments).env("OMP_NUM_THREADS", "1");
    command
}

fn says(command: &mut Command, what: &str) {
    let output = succeeds(command);
    assert!(output.contains(what), "{what} in {output}");
}

#[test]
fn examples_are_short() {
    let dir = root().join("crates/pretrained/examples");
    for entry in fs::read_dir(dir).expect("there are examples") {
        let path = entry.expect("an example").path();
        let n = fs::read_to_string(&path).expect("a program").lines().count();
        assert!(n < 60, "{} has {n} lines", path.display());
    }
}

#[test]
fn every_example_does_what_it_says() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let at = |name: &str| scratch.path().join(name);
    prepare(scratch.path(), 200);
    let [model, text, pickle] = ["llama-3.2-1b", "notes.txt", "pytorch_model.bin"].map(at);

    says(&mut example("inspect", &[&model]), "embed_tokens.weight: F32");
    says(&mut example("convert_pickle", &[&pickle, &at("w.safetensors")]), "tensors");
    says(&mut example("save_and_reload", &[&model, &at("copy")]), "the same scores: true");
    let run = at("runs/notes");
    says(&mut example("fine_tune", &[&model, &text, &run]), "saved to");
    says(&mut example("inspect", &[&run.join("best")]), "embed_tokens.weight: F32");
    says(&mut example("resume", &[&model, &text, &at("runs")]), "the same bytes: true");
    says(&mut example("custom_task", &[&at("runs/line")]), "y = 3.000 x + 2.000");
    says(&mut example("custom_architecture", &[&at("own.safetensors")]), "the same output: true");

    let template =
        "{% for it in messages %}{{ it.role }}: {{ it.content }}\n{% endfor %}assistant:";
    fs::write(model.join("chat_template.jinja"), template).expect("a template");
    let mut chat = example("chat", &[&model]);
    let mut chat = chat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut input = chat.stdin.take().expect("piped");
    writeln!(input, "Who are you?").expect("it reads");
    drop(input);
    assert!(chat.wait_with_output().expect("it ends").status.success());
}
