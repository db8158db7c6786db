use super::*;

fn source(path: &str, text: &str) -> Source {
    Source { path: PathBuf::from(path), text: text.to_owned() }
}

#[track_caller]
fn finds(rule: fn(&Source) -> Option<String>, path: &str, text: &str) {
    assert!(rule(&source(path, text)).is_some(), "{path} is in order");
}

#[track_caller]
fn passes(rule: fn(&Source) -> Option<String>, path: &str, text: &str) {
    assert_eq!(rule(&source(path, text)), None);
}

#[test]
fn a_long_file_is_split_unless_it_is_tests() {
    let long = "fn f() {}\n".repeat(MAX_LINES + 1);
    finds(file_length, "crates/pretrained-fs/src/lib.rs", &long);
    passes(file_length, "crates/pretrained-fs/src/tests.rs", &long);
    passes(file_length, "crates/pretrained-fs/tests/crash.rs", &long);
    passes(file_length, "crates/pretrained-fs/src/lib.rs", &"fn f() {}\n".repeat(MAX_LINES));
}

#[test]
fn work_put_off_names_its_issue() {
    finds(todo_names_an_issue, "a.rs", concat!("// TO", "DO: later"));
    passes(todo_names_an_issue, "a.rs", concat!("// TO", "DO(#12): later"));
}

#[test]
fn a_file_name_of_a_model_directory_is_spelled_by_its_owner() {
    let spelled = "let path = dir.join(\"config.json\");";
    finds(file_names_spelled_once, "crates/pretrained-torch/src/save.rs", spelled);
    passes(file_names_spelled_once, "crates/pretrained-artifact/src/files.rs", spelled);
    passes(file_names_spelled_once, "crates/pretrained-torch/src/tests.rs", spelled);
    passes(
        file_names_spelled_once,
        "crates/pretrained-torch/src/save.rs",
        "/// Reads \"config.json\".",
    );
    let tested = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{ {spelled} }}");
    passes(file_names_spelled_once, "crates/pretrained-torch/src/save.rs", &tested);
    finds(file_names_spelled_once, "crates/pretrained-artifact/src/files.rs", "\"tokenizer.json\"");
}

#[test]
fn one_file_tells_architectures_apart() {
    let arm = "Architecture::Llama(config) => 1,";
    finds(one_match_over_architectures, "crates/pretrained-cli/src/inspect.rs", arm);
    passes(one_match_over_architectures, "crates/pretrained-torch/src/auto.rs", arm);
    passes(one_match_over_architectures, "crates/pretrained-config/src/lib.rs", arm);
}

#[test]
fn a_front_page_has_an_example_that_is_run() {
    let page = "crates/pretrained-fs/src/lib.rs";
    passes(front_page_runs, page, "//! ```text\n//! a/\n//! ```\n//! ```\n//! f();\n//! ```\n");
    finds(front_page_runs, page, "//! ```text\n//! a/\n//! ```\n");
    finds(front_page_runs, page, "//! ```no_run\n//! f();\n//! ```\n");
    passes(front_page_runs, "crates/pretrained-fs/src/lock.rs", "");
}

#[test]
fn every_model_is_in_the_table() {
    let models = "crates/pretrained-torch/src/models";
    let table = source(&format!("{models}/mod.rs"), "pub(crate) mod llama;\n");
    let files = vec![
        table,
        source(&format!("{models}/llama.rs"), ""),
        source(&format!("{models}/gpt2.rs"), ""),
    ];
    let findings = Sources { files }.models_registered();
    assert_eq!(findings, [format!("{models}/gpt2.rs: not registered in mod.rs")]);
}

#[test]
fn a_crate_says_what_it_is_takes_the_lints_and_leaves_tch_alone() {
    let manifest = |dir: &str, text: &str| source(&format!("crates/{dir}/Cargo.toml"), text);
    let page = |dir: &str, text: &str| source(&format!("crates/{dir}/src/lib.rs"), text);
    let lints = "[lints]\nworkspace = true\n";
    let good = vec![manifest("good", lints), page("good", "//! Does one thing.\n")];
    assert!(Sources { files: good }.crates().is_empty());

    let bad =
        vec![manifest("bad", "[dependencies]\ntch.workspace = true\n"), page("bad", "fn f() {}\n")];
    let findings = Sources { files: bad }.crates();
    assert_eq!(findings.len(), 3, "{findings:?}");
}
