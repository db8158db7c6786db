//! What is on the screen: how much `--quiet` and `--verbose` leave or add, colours, and lines that fit.

use std::fs;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::command::{pretrained, program, succeeds};
use crate::python;
use crate::tiny::Tiny;

/// What the command writes on a terminal of so many columns.
fn on_terminal(arguments: &[&str], env: Value, columns: u16) -> String {
    let program = program().to_str().expect("UTF-8");
    let command: Vec<&str> = [program].into_iter().chain(arguments.iter().copied()).collect();
    let given = json!({"command": command, "env": env, "columns": columns});
    let said = python::call("terminal.run", given);
    said["text"].as_str().expect("text").to_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn quiet_leaves_errors_alone_and_verbose_names_files() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let model = Tiny::get().model();
    let run = |flags: &[&str]| {
        let mut command = pretrained(["generate", "--prompt", "Once", "--max-new-tokens", "3"]);
        command.arg(&model).args(flags).output().expect("the command starts")
    };
    let (quiet, usual, verbose) = (run(&["-q"]), run(&[]), run(&["-v"]));
    assert_eq!(stderr(&quiet), "");
    assert!(stderr(&usual).starts_with("3 tokens, "), "{}", stderr(&usual));
    for part in ["/config.json, ", "/model.safetensors, ", "/tokenizer.json, ", "runs on the CPU"] {
        assert!(stderr(&verbose).contains(part), "{part}: {}", stderr(&verbose));
    }
    let listed = stderr(&pretrained(["verify", "-v"]).arg(&model).output().expect("it starts"));
    assert!(listed.contains("checks "), "{listed}");
    assert_eq!(quiet.stdout, usual.stdout);
    assert_eq!(verbose.stdout, usual.stdout);

    let (first, second) = (scratch.path().join("quiet"), scratch.path().join("usual"));
    let quiet = Tiny::get().train(&first, 3, 3).arg("-q").output().expect("the command starts");
    assert!(quiet.status.success() && quiet.stderr.is_empty(), "{}", stderr(&quiet));
    assert!(String::from_utf8_lossy(&quiet.stdout).contains("step 3"));
    let usual = Tiny::get().train(&second, 3, 3).output().expect("the command starts");
    assert!(stderr(&usual).contains("step 3: loss "), "{}", stderr(&usual));
    assert!(stderr(&usual).contains("saved "), "{}", stderr(&usual));
}

#[test]
fn an_error_is_one_line_or_with_verbose_a_line_for_each_cause() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let model = scratch.path().join("model");
    fs::create_dir(&model).expect("a directory is made");
    fs::write(model.join("config.json"), "{").expect("written");
    let run = |flag: &str| {
        pretrained(["inspect", flag]).arg(&model).output().expect("the command starts")
    };
    let quiet = stderr(&run("-q"));
    assert_eq!(quiet.lines().count(), 1, "{quiet}");
    assert!(quiet.starts_with("error: "), "{quiet}");
    assert_eq!(quiet.matches("expected a key").count(), 1, "said once: {quiet}");
    let verbose = stderr(&run("-v"));
    let causes: Vec<&str> =
        verbose.lines().filter_map(|it| it.strip_prefix("  because: ")).collect();
    assert!(!causes.is_empty(), "{verbose}");
    let first = verbose.lines().find_map(|it| it.strip_prefix("error: ")).expect("an error");
    assert_eq!(quiet, format!("error: {first}: {}\n", causes.join(": ")), "the same words");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let model = Tiny::get().model();
    let model = model.to_str().expect("UTF-8");
    let verify = |env| on_terminal(&["verify", model], env, 80);
    assert!(verify(json!({})).contains("\u{1b}[32mwhole\u{1b}[0m"), "{}", verify(json!({})));
    for env in [json!({"NO_COLOR": "1"}), json!({"TERM": "dumb"})] {
        let said = verify(env);
        assert!(said.contains(": whole, ") && !said.contains('\u{1b}'), "{said:?}");
    }
    let piped = succeeds(pretrained(["verify"]).arg(model));
    assert!(piped.contains(": whole, ") && !piped.contains('\u{1b}'), "{piped:?}");
    let error = on_terminal(&["verify", "/nowhere"], json!({}), 80);
    assert!(error.contains("\u{1b}[31merror:\u{1b}[0m /nowhere"), "{error:?}");
}

#[test]
fn lines_fit_the_terminal_and_are_whole_in_a_pipe() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let (model, run) = (Tiny::get().model(), scratch.path().join("a-run-with-quite-a-long-name"));
    succeeds(&mut Tiny::get().train(&run, 4, 2));
    let (model, run) = (model.to_str().expect("UTF-8"), run.to_str().expect("UTF-8"));
    // Quiet, as the bar would be among the lines.
    for arguments in [
        &["inspect", "-q", model][..],
        &["checkpoints", "list", "-q", run],
        &["diff", "-q", model, run],
    ] {
        let table = |text: &str| -> Vec<String> {
            let is_row = |it: &&str| it.contains("  ") && !it.starts_with(['A', 'B']);
            text.lines().filter(is_row).map(str::to_owned).collect()
        };
        for (env, columns, most) in
            [(json!({}), 72, 72), (json!({"COLUMNS": "72"}), 200, 72), (json!({}), 40, 40)]
        {
            let narrow = table(&on_terminal(arguments, env, columns));
            let widest = narrow.iter().map(|it| it.chars().count()).max();
            assert!(widest.is_some_and(|it| it <= most), "{arguments:?}: {narrow:#?}");
            assert!(narrow.iter().any(|it| it.contains('…')), "{arguments:?}: {narrow:#?}");
        }
        let mut piped = pretrained(arguments);
        let piped = piped.env("COLUMNS", "72").output().expect("the command starts");
        let piped = String::from_utf8(piped.stdout).expect("UTF-8");
        assert!(!piped.contains('…'), "{arguments:?}: {piped}");
    }
}

#[test]
fn help_has_whole_words_on_a_narrow_terminal_and_is_the_same_from_any_in_a_file() {
    for arguments in [&["--help"][..], &["train", "--help"], &["help", "diff"], &["chat", "-h"]] {
        let narrow = on_terminal(arguments, json!({"NO_COLOR": "1"}), 60);
        let widest = narrow.lines().max_by_key(|it| it.chars().count()).expect("lines");
        assert!(widest.chars().count() <= 60, "{arguments:?}: {widest:?}");
        let piped = succeeds(pretrained(arguments).env("COLUMNS", "50"));
        assert_eq!(piped, succeeds(&mut pretrained(arguments)), "{arguments:?}");
        // The same words, but for the backslashes of examples.
        let words = |text: &str| -> String {
            text.chars().filter(|it| !it.is_whitespace() && *it != '\\').collect()
        };
        assert_eq!(words(&narrow), words(&piped), "{arguments:?}");
        let wide = on_terminal(arguments, json!({"NO_COLOR": "1"}), 400);
        assert_eq!(wide, piped, "{arguments:?}: no wider than can be read");
    }
}

#[test]
fn doctor_has_whole_words_on_a_narrow_terminal() {
    let env = json!({"NO_COLOR": "1", "OMP_NUM_THREADS": "0"});
    let said = on_terminal(&["doctor"], env, 60);
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = "note: OMP_NUM_THREADS=0 is no number of threads, and not obeyed; fix: unset it, or give \
                it a number above 0";
    assert!(words.contains(told), "{said}");
    // A path is whole, however long it is. OpenMP has something to say as well.
    let is_wide =
        |it: &&str| it.chars().count() > 60 && !it.contains('/') && !it.starts_with("libgomp:");
    assert_eq!(said.lines().find(is_wide), None, "{said}");
}

/// What a command says to standard error, and its exit code, when nobody reads its standard output.
fn into_closed_pipe(arguments: &[&str]) -> (String, Option<i32>) {
    let mut command = pretrained(arguments);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    (stderr(&output), output.status.code())
}

#[test]
fn a_reader_that_leaves_is_no_error_and_changes_no_answer() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let (model, empty) = (Tiny::get().model(), scratch.path().join("empty.safetensors"));
    fs::write(&empty, "").expect("written");
    let (model, empty) = (model.to_str().expect("UTF-8"), empty.to_str().expect("UTF-8"));
    let weights = format!("{model}/model.safetensors");
    for arguments in [
        &["inspect", "-q", "--json", model][..],
        &["generate", "-q", "--prompt", "Once", "--max-new-tokens", "5", model],
        &["tokenize", "-q", model, "Once"],
        &["man"],
        &["--help"],
        &["diff", "-q", "--json", model, &weights],
    ] {
        assert_eq!(into_closed_pipe(arguments), (String::new(), Some(0)), "{arguments:?}");
    }
    assert_eq!(into_closed_pipe(&["verify", "--json", empty]), (String::new(), Some(1)));
    let run = scratch.path().join("run");
    succeeds(&mut Tiny::get().train(&run, 4, 2));
    let other = run.to_str().expect("UTF-8");
    assert_eq!(into_closed_pipe(&["diff", "-q", model, other]), (String::new(), Some(1)));
}

#[test]
fn completions_and_manual_pages_are_written() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    for (shell, start) in [("bash", "_pretrained()"), ("zsh", "#compdef"), ("fish", "# Print")] {
        let script = succeeds(pretrained(["completions"]).arg(shell));
        assert!(script.starts_with(start) && script.contains("checkpoints"), "{shell}: {script}");
    }
    let page = succeeds(&mut pretrained(["man"]));
    assert!(page.contains(".TH pretrained 1"), "{page}");
    let dir = scratch.path().join("share/man1");
    let said = succeeds(pretrained(["man"]).arg(&dir));
    let n = fs::read_dir(&dir).expect("pages").count();
    assert_eq!(said, format!("{}: {n} pages\n", dir.display()));
    for name in ["pretrained.1", "pretrained-train.1", "pretrained-checkpoints-prune.1"] {
        let page = fs::read_to_string(dir.join(name)).expect("a page");
        assert!(page.contains(".SH EXAMPLES\n.nf\n\\&  pretrained "), "{page}");
        assert!(!page.contains("EXTRA"), "{page}");
    }
    // Written anew over the old ones.
    succeeds(pretrained(["man"]).arg(&dir));
}

#[test]
fn doctor_finds_a_libtorch_that_computes() {
    let output = pretrained(["doctor", "--json"]).output().expect("the command starts");
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said["libtorch"]["version"], said["libtorch"]["built_for"], "{said}");
    assert_eq!(said["libtorch"]["threads"], 1, "as OMP_NUM_THREADS says");
    assert!(said["libtorch"]["path"].as_str().expect("Linux tells").ends_with("/lib"), "{said}");
    // A machine may be out of room, or have a GPU that nobody can use; the two must agree.
    assert_eq!(output.status.success(), said["well"] == json!(true), "{said}");
    let text = pretrained(["doctor"]).output().expect("the command starts");
    assert_eq!(text.status.code(), output.status.code());
    assert!(String::from_utf8_lossy(&text.stdout).contains("avx512_bf16 "), "or another CPU");
}
