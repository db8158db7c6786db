//! `pretrained chat`: answers are transformers' to the same conversation, whatever is remembered between them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::command::{fails, pretrained};
use crate::python;

const TEMPLATE: &str = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}\
    {% if add_generation_prompt %}[assistant] {% endif %}";

fn model(scratch: &Path, model_type: &str) -> PathBuf {
    let model = scratch.join(model_type);
    let given = json!({
        "out": model, "model_type": model_type, "tied": true, "dtype": "float32", "positions": 512,
    });
    python::call("models.make", given);
    fs::write(model.join("chat_template.jinja"), TEMPLATE).expect("the template is written");
    model
}

/// What the command writes to stdout and stderr when it is told this.
fn chat(model: &Path, dir: &Path, input: &str) -> (String, String) {
    let mut command = pretrained(["chat", "--max-new-tokens", "9"]);
    command.arg(model).current_dir(dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("input is written");
    drop(stdin);
    let output = child.wait_with_output().expect("the command ends");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{stderr}");
    (String::from_utf8(output.stdout).expect("text"), stderr)
}

#[track_caller]
fn check(model_type: &str) {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let model = model(scratch.path(), model_type);
    let questions = ["Who are you?", "two\nlines", "And then?"];
    let given = json!({"model": model, "questions": questions, "max_new_tokens": 9});
    let answers = python::call("models.chat", given);
    let answers: Vec<String> = serde_json::from_value(answers).expect("answers");

    let input = "Who are you?\ntwo\\\nlines\n\nAnd then?\n/save said.jsonl\n/save said.jsonl\n/reset\n/save\n\
        Who are you?\n/nonsense\n/exit\nnobody hears this\n";
    let (stdout, stderr) = chat(&model, scratch.path(), input);
    let [first, second, third] = answers.as_slice() else { panic!("three answers") };
    assert_eq!(stdout, format!("{first}\n{second}\n{third}\n{first}\n"), "{model_type}");
    for note in [
        "written to said.jsonl",
        "said.jsonl: ",
        "begins anew",
        "nothing has been said yet",
        "there is no /nonsense",
    ] {
        assert!(stderr.contains(note), "{note}: {stderr}");
    }

    let said = fs::read_to_string(scratch.path().join("said.jsonl")).expect("a file");
    assert_eq!(said.lines().count(), 1);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let messages = questions
        .iter()
        .zip(&answers)
        .flat_map(|(question, answer)| [("user", *question), ("assistant", answer.as_str())]);
    let messages: Vec<Value> =
        messages.map(|(role, it)| json!({"role": role, "content": it})).collect();
    assert_eq!(said, json!({"messages": messages}));
}

#[test]
fn a_chat_is_the_one_that_transformers_has() {
    check("llama");
    check("gpt2");
}

#[test]
fn what_cannot_be_talked_about_is_said_and_the_chat_goes_on() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let model = model(scratch.path(), "llama");
    let (all, _) = chat(&model, scratch.path(), "Hello\n");
    let (stdout, stderr) =
        chat(&model, scratch.path(), &format!("{}\nHello\n", "much ".repeat(2000)));
    assert_eq!(stdout, all, "a question that was refused is not part of the conversation");
    assert!(stderr.contains("positions"), "{stderr}");

    fs::remove_file(model.join("chat_template.jinja")).expect("removed");
    let error = fails(pretrained(["chat"]).arg(&model));
    assert!(error.contains("chat template") && error.contains("--chat-template"), "{error}");
    fs::write(model.join("own.jinja"), "{{ nothing(").expect("written");
    let error =
        fails(pretrained(["chat", "--chat-template"]).arg(model.join("own.jinja")).arg(&model));
    assert!(error.contains("own.jinja"), "{error}");
}
