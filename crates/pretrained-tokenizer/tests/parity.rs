//! Tokenizers and chat templates against transformers, by the scripts in `tests/python`.
//!
//! These tests need the Python environment that `cargo xtask test` makes, and say so where it is
//! missing.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn every_layout_gives_the_ids_offsets_and_texts_of_transformers() {
    check("tokenizer_parity.py");
}

#[test]
fn directories_are_opened_as_the_class_that_transformers_takes() {
    check("tokenizer_classes.py");
}

#[test]
fn what_only_python_reads_as_json_opens_and_is_carried() {
    check("tokenizer_python_json.py");
}

#[test]
fn a_published_tokenizer_gives_the_ids_of_transformers() {
    check("tokenizer_real.py");
}

#[test]
fn what_is_trained_here_opens_in_transformers() {
    check("tokenizer_training.py");
}

#[test]
fn chat_templates_of_all_families_give_the_prompts_of_transformers() {
    check("chat_parity.py");
}

#[test]
fn each_construct_of_chat_templates_means_what_it_means_in_python() {
    check("chat_expressions.py");
}

#[test]
fn the_tables_in_the_sources_are_what_python_has() {
    run("fixtures/characters.py", &["--check"]);
    run("fixtures/strftime.py", &["--check"]);
}

/// Compares by a script that asks the example `probe`.
fn check(script: &str) {
    let probe = probe();
    run(script, &["--probe", probe.to_str().expect("a path in UTF-8")]);
}

fn run(script: &str, arguments: &[&str]) {
    let Some(python) = env::var_os("PRETRAINED_PYTHON") else {
        eprintln!("not compared with Python: PRETRAINED_PYTHON is not set (cargo xtask test does)");
        return;
    };
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python");
    let output = Command::new(python)
        .arg(scripts.join(script))
        .args(arguments)
        .output()
        .expect("Python starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
}

/// The example, which cargo builds before it runs tests: beside the directory of this binary.
fn probe() -> PathBuf {
    let binary = env::current_exe().expect("a test has a path");
    let profile = binary.ancestors().nth(2).expect("target/PROFILE/deps/parity-HASH");
    profile.join("examples").join("probe")
}
