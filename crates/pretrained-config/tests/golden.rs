//! What this crate writes and refuses, against what transformers does: see
//! `tests/python/fixtures/config.py`, which makes the files in `data/`.

use std::{fs, path::Path};

use pretrained_config::{Config, GenerationConfig, Object, Value};

#[test]
fn bert() {
    check("bert");
}

#[test]
fn gemma2() {
    check("gemma2");
}

#[test]
fn gemma3_text() {
    check("gemma3_text");
}

#[test]
fn gpt2() {
    check("gpt2");
}

#[test]
fn gpt_neox() {
    check("gpt_neox");
}

#[test]
fn llama() {
    check("llama");
}

#[test]
fn mistral() {
    check("mistral");
}

#[test]
fn mixtral() {
    check("mixtral");
}

#[test]
fn olmo2() {
    check("olmo2");
}

#[test]
fn phi3() {
    check("phi3");
}

#[test]
fn qwen2() {
    check("qwen2");
}

#[test]
fn qwen3() {
    check("qwen3");
}

#[test]
fn qwen3_moe() {
    check("qwen3_moe");
}

#[test]
fn smollm3() {
    check("smollm3");
}

#[test]
fn generation_configs_are_written_as_transformers_writes_them() {
    for case in cases("generation") {
        let name = text(&case, "name");
        let saved = GenerationConfig::parse(text(&case, "input")).and_then(|it| it.for_save());
        match case.get("generation").and_then(Value::as_array) {
            Some(lines) => {
                let saved = saved.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(saved.to_json(), joined(lines), "{name}");
            }
            None => assert!(saved.is_err(), "{name}: transformers raises"),
        }
    }
}

/// Where `stricter` is given, transformers reads the file, and the text says what comes later.
#[test]
fn what_transformers_refuses_is_refused() {
    for case in cases("bad") {
        let result = Config::parse(text(&case, "input")).and_then(|it| it.architecture());
        assert!(result.is_err(), "{}: {result:?}", text(&case, "name"));
    }
}

#[test]
fn what_transformers_refuses_without_reason_is_read() {
    for case in cases("lenient") {
        let config = Config::parse(text(&case, "input")).expect("an object");
        let saved = config.normalized().and_then(|it| it.architecture());
        assert!(saved.is_ok() && config.architecture() == saved, "{}", text(&case, "name"));
    }
}

fn check(family: &str) {
    for case in cases(family) {
        let name = format!("{family}, {}", text(&case, "name"));
        let config = Config::parse(text(&case, "input")).expect("an object");
        let saved = config.normalized();
        let Some(lines) = case.get("config").and_then(Value::as_array) else {
            assert!(saved.is_err(), "{name}: transformers raises");
            continue;
        };
        let saved = saved.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(saved.to_json(), joined(lines), "{name}");
        let again = case.get("again").and_then(Value::as_array).unwrap_or(lines);
        assert_eq!(saved.normalized().map(|it| it.to_json()), Ok(joined(again)), "{name}, again");

        let Some(changes) = case.get("model").and_then(Value::as_object) else { continue };
        let class = config.causal_lm_class().expect("a known family");
        assert_eq!(class, text(&case, "class"), "{name}");
        let dtype = config.dtype().expect("a dtype").unwrap_or("float32");
        let of_model = config.for_save(&[class], dtype).expect("a model");
        let mut expected = saved;
        for (key, value) in changes.iter() {
            expected.set(key, value.clone());
        }
        assert_eq!(of_model.to_json(), expected.to_json(), "{name}, model");

        let of_file = GenerationConfig::from_config_file(&config).and_then(|it| it.for_save());
        let of_file = of_file.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(of_file.to_json(), file(&case, "generation"), "{name}, generation");
        let fresh = GenerationConfig::from_model_config(&config).and_then(|it| it.for_save());
        let fresh = fresh.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(fresh.to_json(), file(&case, "fresh"), "{name}, fresh");

        let architecture = config.architecture().unwrap_or_else(|error| panic!("{name}: {error}"));
        let count = case.get("parameters").and_then(Value::as_i64).expect("a count");
        assert_eq!(architecture.parameter_count(), count as u128, "{name}, parameters");
    }
}

fn cases(name: &str) -> Vec<Object> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.json"));
    let json = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let document = Config::parse(&json).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let cases = document.get("cases").and_then(Value::as_array).expect("a list of cases");
    cases.iter().map(|it| it.as_object().expect("a case").clone()).collect()
}

fn text<'a>(case: &'a Object, key: &str) -> &'a str {
    case.get(key).and_then(Value::as_str).expect("text")
}

fn file(case: &Object, key: &str) -> String {
    joined(case.get(key).and_then(Value::as_array).expect("lines"))
}

fn joined(lines: &[Value]) -> String {
    lines.iter().map(|it| it.as_str().expect("a line")).collect::<Vec<_>>().join("\n")
}
