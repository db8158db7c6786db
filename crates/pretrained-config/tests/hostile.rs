//! Configurations from someone who means harm, by number 28 of the list of hostile inputs: each is
//! an error before anything is made, or harmless. And damaged ones, at random.
//!
//! `FUZZ_SECONDS` makes the random part as long as one likes.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use pretrained_config::{Config, GenerationConfig, Value};

#[test]
fn case_28_huge_integers_are_an_error_before_anything_is_made() {
    for (field, value) in [
        ("num_hidden_layers", "1000000000"),
        ("hidden_size", "1099511627776"),
        ("vocab_size", "18446744073709551616"),
        ("intermediate_size", "9223372036854775807"),
        ("num_attention_heads", "-9223372036854775808"),
        ("head_dim", "99999999999999999999999999999999"),
        ("max_position_embeddings", "1e400"),
    ] {
        let json = format!("{{\"model_type\": \"llama\", \"{field}\": {value}}}");
        let error = Config::parse(&json).and_then(|it| it.architecture()).expect_err(field);
        let error = error.to_string();
        assert!(error.starts_with("llama: `") && error.contains(field), "{error}");
        assert!(!error.contains('\n') && error.len() < 300, "{error}");
    }
}

#[test]
fn case_28_sizes_that_multiply_to_too_much_are_an_error() {
    for json in [
        r#"{"model_type": "llama", "hidden_size": 8388608}"#,
        r#"{"model_type": "gpt2", "n_embd": 8388608, "n_head": 1}"#,
        r#"{"model_type": "qwen3_moe", "num_experts": 1000000000}"#,
        r#"{"model_type": "mixtral", "num_local_experts": 65536, "num_hidden_layers": 65536}"#,
        r#"{"model_type": "bert", "vocab_size": 268435456, "hidden_size": 1048576, "num_attention_heads": 1}"#,
    ] {
        let result = Config::parse(json).and_then(|it| it.architecture());
        let error = result.expect_err(json).to_string();
        assert!(!error.contains('\n') && error.len() < 300, "{error}");
    }
}

#[test]
fn case_28_numbers_that_are_none_are_an_error_where_they_matter_and_survive_elsewhere() {
    for value in ["NaN", "Infinity", "-Infinity", "{\"__float__\": \"NaN\"}", "1e999"] {
        for field in ["rms_norm_eps", "initializer_range", "attention_dropout"] {
            let json = format!("{{\"model_type\": \"llama\", \"{field}\": {value}}}");
            let error = Config::parse(&json).and_then(|it| it.architecture()).expect_err(&json);
            assert!(error.to_string().starts_with(&format!("llama: `{field}` ")), "{error}");
        }
        let json = format!("{{\"model_type\": \"llama\", \"other\": {value}}}");
        let config = Config::parse(&json).expect("an object");
        config.architecture().expect("a llama");
        assert_eq!(
            Config::parse(&config.to_json()).expect("an object").to_json(),
            config.to_json()
        );
    }
}

#[test]
fn case_28_a_hundred_thousand_levels_are_an_error_and_no_stack_overflow() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let json = format!("{{\"a\": {}1{}}}", open.repeat(100_000), close.repeat(100_000));
        let error = Config::parse(&json).expect_err("too deep").to_string();
        assert!(error.starts_with("not JSON: ") && error.len() < 300, "{error}");
        GenerationConfig::parse(&json).expect_err("too deep");
    }
}

#[test]
fn case_28_damaged_configurations_are_an_error_or_harmless() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|it| it.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let seeds = seeds();
    assert!(seeds.len() > 100, "{} golden files", seeds.len());
    let mut random = Random(seconds.unwrap_or(2));
    let mut rounds = 0;
    while rounds < ROUNDS || until.is_some_and(|until| Instant::now() < until) {
        rounds += 1;
        for _ in 0..100 {
            let mut bytes = seeds[random.below(seeds.len())].clone().into_bytes();
            for _ in 0..1 + random.below(4) {
                change(&mut bytes, &mut random);
            }
            let text = String::from_utf8_lossy(&bytes);
            if let Ok(config) = Config::parse(&text) {
                let written = config.to_json();
                let again = Config::parse(&written).unwrap_or_else(|e| panic!("{e}: {written}"));
                assert_eq!(again.to_json(), written, "{text}");
                let _ = config.for_save(&["X"], "float32");
                let _ = GenerationConfig::from_model_config(&config);
                let _ = GenerationConfig::from_config_file(&config);
                if let Ok(architecture) = config.architecture() {
                    assert!(architecture.parameter_count() <= 1 << 40, "{text}");
                }
                // Values of a wrong type under another name of a field, such as GPT-2's
                // `hidden_size`, are found, here and by transformers, once they have moved.
                if let (Ok(normal), Ok(_)) = (config.normalized(), config.architecture()) {
                    let again = normal.normalized().unwrap_or_else(|e| panic!("{e}: {text}"));
                    assert_eq!(again.architecture(), config.architecture(), "{text}");
                }
            }
            if let Ok(generation) = GenerationConfig::parse(&text) {
                let _ = generation.for_save();
                let _ = generation.without_effect();
            }
        }
    }
}

/// Of a hundred configurations each: a count and not a time, so that every run is the same run.
const ROUNDS: usize = 100;

/// The inputs of all golden files.
fn seeds() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut seeds = Vec::new();
    for entry in fs::read_dir(dir).expect("data") {
        let text = fs::read_to_string(entry.expect("a file").path()).expect("text");
        let file = Config::parse(&text).expect("an object");
        for case in file.get("cases").and_then(Value::as_array).expect("cases") {
            let input = case.as_object().and_then(|it| it.get("input")).and_then(Value::as_str);
            seeds.push(input.expect("an input").to_owned());
        }
    }
    seeds.sort();
    seeds
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(7) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.below(256) as u8),
        2 => drop(bytes.drain(at..(at + random.below(9)).min(bytes.len()))),
        3 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        // A value becomes another.
        _ => {
            let Some(colon) = bytes[at..].iter().position(|byte| *byte == b':') else { return };
            let start = at + colon + 1;
            let rest = &bytes[start..];
            let end = rest.iter().position(|byte| b",}".contains(byte)).unwrap_or(rest.len());
            let value = VALUES[random.below(VALUES.len())];
            bytes.splice(start..start + end, value.bytes());
        }
    }
}

/// Numbers that are the same in every run: splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

const VALUES: &[&str] = &[
    "null",
    "true",
    "0",
    "1",
    "-1",
    "2",
    "64",
    "65536",
    "1e308",
    "NaN",
    "0.0",
    "9223372036854775807",
    "99999999999999999999",
    "\"\"",
    "\"silu\"",
    "\"llama\"",
    "\"gemma3_text\"",
    "[]",
    "[1, 0]",
    "{}",
    "{\"rope_type\": \"yarn\", \"factor\": 1e308}",
    "{\"type\": \"longrope\", \"short_factor\": [1.0]}",
    "{\"full_attention\": {\"rope_type\": \"llama3\"}}",
    "\"bfloat16\"",
    "[\"full_attention\"]",
];
