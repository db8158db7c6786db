//! Thousands of documents, made at random from fixed seeds, against Python.
//!
//! These tests need the Python that `cargo xtask test` names in `PRETRAINED_PYTHON`, and say so
//! where it is not set.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use pretrained_config::{Config, GenerationConfig, Object, Value};

#[test]
fn documents_are_written_as_python_writes_them() {
    let mut random = Random(1);
    let documents: Vec<String> = (0..3000).map(|_| random.document()).collect();
    let Some(answers) = python("dumps", &documents) else { return };
    for (document, answer) in documents.iter().zip(answers) {
        let (plain, config) = (GenerationConfig::parse(document), Config::parse(document));
        match answer.as_array() {
            Some([by_dumps, by_config]) => {
                let config = config.unwrap_or_else(|error| panic!("{error}\n{document}"));
                assert_eq!(Some(config.to_json().as_str()), by_config.as_str(), "{document}");
                let plain = plain.unwrap_or_else(|error| panic!("{error}\n{document}"));
                assert_eq!(Some(plain.to_json().as_str()), by_dumps.as_str(), "{document}");
            }
            _ => assert!(config.is_err(), "Python refuses {document}"),
        }
    }
}

#[test]
fn configs_are_completed_as_transformers_completes_them() {
    let mut random = Random(2);
    let pool = families();
    let mut documents = Vec::new();
    for cases in &pool {
        documents.extend((0..250).map(|_| random.changed(cases, KEYS, VALUES)));
    }
    let Some(answers) = python("saved", &documents) else { return };
    let (mut n_read, mut n_stricter, mut wrong) = (0, 0, Vec::new());
    for (document, answer) in documents.iter().zip(answers) {
        let config = Config::parse(document).expect("an object");
        match (answer.as_str(), config.normalized().map(|it| it.to_json())) {
            (Some(expected), Ok(saved)) => {
                n_read += 1;
                if saved != expected {
                    wrong.push(format!("{document}is written as {saved}instead of {expected}"));
                }
            }
            (Some(_), Err(error)) => {
                n_stricter += 1;
                if !is_known_to_be_stricter(&error.to_string()) {
                    wrong.push(format!("{document}is refused: {error}"));
                }
            }
            (None, Ok(_)) if is_known_to_be_lenient(document) => {}
            (None, Ok(_)) if config.architecture().is_ok() => {
                wrong.push(format!("{document}is read, and transformers refuses it"));
            }
            (None, _) => {}
        }
    }
    assert!(wrong.is_empty(), "{} of {}, such as {}", wrong.len(), documents.len(), wrong[0]);
    assert!(n_read > documents.len() / 4, "{n_read} of {} are read", documents.len());
    assert!(n_stricter < documents.len() / 20, "{n_stricter} of {} are refused", documents.len());
}

#[test]
fn generation_configs_are_written_back_as_transformers_writes_them() {
    let mut random = Random(3);
    let seeds = inputs(&data("generation"));
    let documents: Vec<String> =
        (0..1500).map(|_| random.changed(&seeds, GENERATION_KEYS, GENERATION_VALUES)).collect();
    let Some(answers) = python("generation", &documents) else { return };
    let (mut n_read, mut n_stricter, mut wrong) = (0, 0, Vec::new());
    for (document, answer) in documents.iter().zip(answers) {
        let saved = GenerationConfig::parse(document).and_then(|it| it.for_save());
        match (answer.as_str(), saved.map(|it| it.to_json())) {
            (Some(expected), Ok(saved)) => {
                n_read += 1;
                if saved != expected {
                    wrong.push(format!("{document}is written as {saved}instead of {expected}"));
                }
            }
            // Values of a type that no generation can use.
            (Some(_), Err(error)) if error.to_string().contains("` must be ") => n_stricter += 1,
            (Some(_), Err(error)) => wrong.push(format!("{document}is refused: {error}")),
            (None, Ok(_)) => {
                wrong.push(format!("{document}is read, and transformers refuses it"));
            }
            (None, Err(_)) => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}, such as {}",
        wrong.len(),
        documents.len(),
        wrong.join("\n")
    );
    assert!(n_read > documents.len() / 4, "{n_read} of {} are read", documents.len());
    assert!(n_stricter < documents.len() / 2, "{n_stricter} of {} are refused", documents.len());
}

/// What is refused here though transformers writes it; loading or making such a model fails.
fn is_known_to_be_stricter(error: &str) -> bool {
    [
        "`dtype` must be the name",
        "`num_labels` must be an integer",
        "`num_hidden_layers` must be from",
        "`layer_types` must be a list, got {",
    ]
    .iter()
    .any(|it| error.contains(it))
}

/// What is read here though transformers fails: it multiplies by a size that it then derives.
fn is_known_to_be_lenient(document: &str) -> bool {
    document.contains("\"longrope\"") && document.contains("\"head_dim\": null")
}

/// The inputs of the golden files, family by family.
fn families() -> Vec<Vec<Object>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut paths: Vec<_> =
        fs::read_dir(dir).expect("data").map(|it| it.expect("a file").path()).collect();
    paths.sort();
    let is_family = |path: &&std::path::PathBuf| {
        !["bad", "lenient", "generation"]
            .iter()
            .any(|it| path.file_stem().is_some_and(|s| s == *it))
    };
    paths.iter().filter(is_family).map(|path| inputs(path)).collect()
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.json"))
}

/// The inputs of a golden file.
fn inputs(path: &Path) -> Vec<Object> {
    let file = Config::parse(&fs::read_to_string(path).expect("text")).expect("an object");
    let cases = file.get("cases").and_then(Value::as_array).expect("cases").to_vec();
    let input = |case: &Value| {
        let text = case.as_object().and_then(|it| it.get("input")).and_then(Value::as_str);
        Config::parse(text.expect("an input")).expect("an object").document().clone()
    };
    cases.iter().map(input).collect()
}

/// Asks `tests/python/config_parity.py`.
fn python(call: &str, documents: &[String]) -> Option<Vec<Value>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Some(python) = std::env::var_os("PRETRAINED_PYTHON") else {
        eprintln!("not compared: PRETRAINED_PYTHON is not set, `cargo xtask test` sets it");
        return None;
    };
    let mut child = Command::new(python)
        .arg(root.join("tests/python/config_parity.py"))
        .arg(call)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut request = Config::parse("{}").expect("an object");
    request.set("texts", documents.to_vec());
    // The list in one line: text has no line breaks once it is JSON.
    let request = request.to_json().replace('\n', "");
    let list = &request[request.find('[').expect("a list")..=request.rfind(']').expect("a list")];
    let mut stdin = child.stdin.take().expect("piped");
    writeln!(stdin, "{list}").expect("Python reads");
    drop(stdin);
    let output = child.wait_with_output().expect("Python answers");
    assert!(output.status.success(), "Python: {}", output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    let answers = Config::parse(&format!("{{\"answers\": {text}}}")).expect("an answer");
    Some(answers.get("answers").and_then(Value::as_array).expect("a list").to_vec())
}

/// Numbers that are the same in every run: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A file with one to three changes.
    fn changed(&mut self, cases: &[Object], keys: &[&str], values: &[&str]) -> String {
        let mut document = self.one(cases).clone();
        for _ in 0..1 + self.below(3) {
            let own: Vec<String> = document.iter().map(|(key, _)| key.to_owned()).collect();
            let key = if own.is_empty() { String::new() } else { self.one(&own).clone() };
            match self.below(4) {
                _ if key == "model_type" || key.is_empty() => {}
                0 => drop(document.remove(&key)),
                1 => document.set(key, self.value(values)),
                2 => {
                    let other = self.one(cases).clone();
                    let entries: Vec<(String, Value)> = other.into_iter().collect();
                    if let Some((key, value)) = entries.get(self.below(entries.len().max(1))) {
                        document.set(key.clone(), value.clone());
                    }
                }
                _ => {
                    let key = *self.one(keys);
                    let value = self.value(values);
                    document.set(key, value);
                }
            }
        }
        let mut config = Config::parse("{}").expect("an object");
        for (key, value) in document {
            config.set(&key, value);
        }
        config.to_json()
    }

    fn value(&mut self, values: &[&str]) -> Value {
        let parsed = Config::parse(&format!("{{\"value\": {}}}", self.one(values)));
        parsed.expect("an object").get("value").expect("a value").clone()
    }

    fn document(&mut self) -> String {
        let mut text = String::from("{");
        for i in 0..self.below(6) {
            if i > 0 {
                text.push(',');
            }
            let (key, value) = (self.string(), self.json(0));
            text.push_str(&format!("{}{key}{}:{value}", self.space(), self.space()));
        }
        // One in a hundred is broken.
        if self.below(100) > 0 {
            text.push('}');
        }
        text
    }

    fn json(&mut self, depth: usize) -> String {
        match self.below(if depth > 3 { 7 } else { 10 }) {
            0 => (*self.one(&["null", "true", "false"])).to_owned(),
            1 => (*self.one(&["NaN", "Infinity", "-Infinity", "{\"__float__\": \"NaN\"}"]))
                .to_owned(),
            2 => self.digits(),
            3 => f64::from_bits(self.next()).to_string().replace("inf", "1e999"),
            4 => format!("{}.{}", self.digits(), self.below(1000)),
            5 => {
                let (sign, exponent) = (*self.one(&["", "-", "+"]), self.below(320));
                format!("{}{}{sign}{exponent}", self.digits(), *self.one(&["e", "E", ".5e"]))
            }
            6 => {
                let mut string = self.string();
                if self.below(4) == 0 {
                    let half = *self.one(&["\\ud83d", "\\ude00", "\\ude00\\ud83d\\ud83d\\ude00"]);
                    let middle = if self.below(2) == 0 { 1 } else { string.len() - 1 };
                    string.insert_str(middle, half);
                }
                string
            }
            7 | 8 => {
                let values: Vec<String> =
                    (0..self.below(4)).map(|_| self.json(depth + 1)).collect();
                format!("[{}]", values.join(if self.below(2) == 0 { "," } else { " ,\n" }))
            }
            _ => {
                let entries: Vec<String> = (0..self.below(4))
                    .map(|_| format!("{}: {}", self.string(), self.json(depth + 1)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    fn digits(&mut self) -> String {
        let sign = if self.below(3) == 0 { "-" } else { "" };
        let digits = match self.below(4) {
            0 => self.below(10).to_string(),
            1 => self.next().to_string(),
            2 => "0".to_owned(),
            _ => format!("{}{:020}", 1 + self.below(1000), self.next()),
        };
        format!("{sign}{digits}")
    }

    fn string(&mut self) -> String {
        let pieces: Vec<&str> = (0..self.below(4)).map(|_| *self.one(PIECES)).collect();
        format!("\"{}\"", pieces.join(""))
    }

    fn space(&mut self) -> &'static str {
        self.one::<&str>(&["", " ", "\n\t", "\r\n"])
    }
}

const PIECES: &[&str] = &[
    "a",
    "b",
    "Z",
    "é",
    "☃",
    "😀",
    "\u{7f}",
    "\\n",
    "\\\"",
    "\\\\",
    "\\/",
    "\\u0000",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\\b\\f\\t\\r",
    "\u{ffff}",
    "\u{2028}",
    "_",
    "10",
    "9",
    " ",
];

const KEYS: &[&str] = &[
    "num_labels",
    "id2label",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "torch_dtype",
    "dtype",
    "partial_rotary_factor",
    "original_max_position_embeddings",
    "layer_types",
    "head_dim",
    "max_position_embeddings",
    "use_sliding_window",
    "sliding_window",
    "num_key_value_heads",
    "hidden_act",
    "num_experts",
    "tie_word_embeddings",
    "temperature",
    "max_length",
    "max_new_tokens",
    "min_p",
    "rope_local_base_freq",
    "rotary_pct",
    "return_dict",
    "is_encoder_decoder",
    "output_attentions",
    "problem_type",
    "top_k",
    "is_decoder",
];

const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "2",
    "3",
    "4",
    "7",
    "-1",
    "64",
    "0.0",
    "1.0",
    "0.5",
    "2.0",
    "1e-06",
    "10000.0",
    "\"\"",
    "\"x\"",
    "\"silu\"",
    "\"float16\"",
    "\"regression\"",
    "[]",
    "[1]",
    "[1, 0]",
    "[\"full_attention\"]",
    "[\"full_attention\", \"sliding_attention\"]",
    "[\"attention\", \"mamba\"]",
    "{}",
    "{\"a\": 1}",
    "{\"0\": \"a\"}",
    "{\"1\": \"b\", \"0\": \"a\"}",
    "{\"type\": \"linear\", \"factor\": 2.0}",
    "{\"rope_type\": \"default\"}",
    "{\"rope_type\": \"yarn\", \"factor\": 2.0}",
    "{\"rope_type\": \"llama3\", \"factor\": 2.0}",
    "{\"full_attention\": {\"rope_type\": \"linear\", \"factor\": 2.0}}",
    "{\"sliding_attention\": {\"rope_theta\": 5.0}, \"full_attention\": null}",
];

const GENERATION_KEYS: &[&str] = &[
    "_from_model_config",
    "begin_suppress_tokens",
    "bad_words_ids",
    "bos_token_id",
    "cache_config",
    "cache_implementation",
    "compile_config",
    "constraints",
    "do_sample",
    "early_stopping",
    "eos_token_id",
    "forced_eos_token_id",
    "generation_kwargs",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_p",
    "num_beams",
    "num_beam_groups",
    "num_return_sequences",
    "output_attentions",
    "output_scores",
    "pad_token_id",
    "penalty_alpha",
    "return_dict_in_generate",
    "stop_strings",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "transformers_version",
    "use_cache",
    "not_known",
];

const GENERATION_VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "2",
    "50",
    "-1",
    "0.0",
    "1.0",
    "0.7",
    "1e-05",
    "\"x\"",
    "\"never\"",
    "\"static\"",
    "\"4.40.1\"",
    "[]",
    "[1]",
    "[1, 2]",
    "[[1], [2, 3]]",
    "{}",
    "{\"a\": 1.0, \"b\": null}",
];
