//! Generation against transformers: every processor on random scores, and greedy texts token for token.

use pretrained::{
    AutoModelForCausalLM, Device, GenerationConfig, GenerationOptions, generate, torch::processors,
};
use serde_json::{Value, json};

use crate::{fields::with, python};

/// What transformers computes with the same numbers, to the rounding of f32.
#[track_caller]
fn check(name: &str, process: impl Fn(&[u32], &mut [f32])) {
    for seed in 0..20 {
        let case = python::call("processors.run", json!({"seed": seed}));
        let tokens: Vec<u32> = serde_json::from_value(case["tokens"].clone()).expect("tokens");
        let mut scores: Vec<f32> = serde_json::from_value(case["scores"].clone()).expect("scores");
        if name == "remove_invalid" {
            scores[..3].copy_from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
        }
        if name == "top_k" {
            scores.iter_mut().for_each(|it| *it = it.round_ties_even());
        }
        process(&tokens, &mut scores);
        let theirs = case["results"][name].as_array().expect("a processor of that name");
        for (i, (ours, theirs)) in scores.iter().zip(theirs).enumerate() {
            let theirs = theirs.as_f64().map_or(f32::NEG_INFINITY, |it| it as f32);
            let equal = *ours == theirs || (ours - theirs).abs() <= 2e-6 * theirs.abs().max(1.0);
            assert!(equal, "{name}, seed {seed}, token {i}: {ours}, and theirs is {theirs}");
        }
    }
}

const EOS: &[u32] = &[7, 8];

#[test]
fn processors_of_what_has_come() {
    let biases = [(vec![3], 1.5), (vec![4, 5], -2.0), (vec![1, 2, 6], 3.0), (vec![2, 3], 0.5)];
    let bad = [vec![3], vec![7], vec![4, 5], vec![2, 3]];
    check("repetition_penalty", |t, s| processors::repetition_penalty(t, s, 1.7));
    check("repetition_bonus", |t, s| processors::repetition_penalty(t, s, 0.6));
    check("sequence_bias", |t, s| processors::sequence_bias(t, s, &biases));
    check("bad_words", |t, s| processors::bad_words(t, s, &bad, EOS));
    check("no_repeat_ngram", |t, s| processors::no_repeat_ngram(t, s, 2));
    check("no_repeat_token", |t, s| processors::no_repeat_ngram(t, s, 1));
}

#[test]
fn processors_of_single_tokens() {
    check("suppress", |_, s| processors::suppress(s, &[1, 9, 11]));
    check("force", |_, s| processors::force(s, EOS));
    check("exponential_decay", |t, s| {
        processors::exponential_decay(s, EOS, t.len(), 5 + 2, 1.3);
    });
    check("remove_invalid", |_, s| processors::remove_invalid(s));
}

#[test]
fn processors_before_a_draw() {
    check("temperature", |_, s| processors::temperature(s, 0.7));
    check("top_k", |_, s| processors::top_k(s, 5));
    check("top_p", |_, s| processors::top_p(s, 0.8, 1));
    check("top_p_tiny", |_, s| processors::top_p(s, 0.01, 1));
    check("min_p", |_, s| processors::min_p(s, 0.1, 1));
    check("top_h", |_, s| processors::top_h(s, 0.4));
    check("typical", |_, s| processors::typical(s, 0.6, 1));
    check("epsilon_cutoff", |_, s| processors::epsilon_cutoff(s, 0.02, 1));
    check("eta_cutoff", |_, s| processors::eta_cutoff(s, 0.02, 1));
    check("top_p_3", |_, s| processors::top_p(s, 0.01, 3));
    check("min_p_3", |_, s| processors::min_p(s, 0.9, 3));
    check("typical_3", |_, s| processors::typical(s, 0.01, 3));
    check("epsilon_cutoff_3", |_, s| processors::epsilon_cutoff(s, 0.9, 3));
    check("eta_cutoff_3", |_, s| processors::eta_cutoff(s, 0.9, 3));
    check("renormalize", |_, s| processors::renormalize(s));
}

/// Options as a file has them, of a model whose texts end with the token 2.
#[track_caller]
pub(crate) fn given(options: &Value) -> GenerationOptions {
    let given = with(json!({"eos_token_id": 2}), options);
    let config = GenerationConfig::parse(&given.to_string()).expect("a configuration");
    GenerationOptions::from(&config)
}

#[track_caller]
fn check_greedy(case: &str, options: &[Value]) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    python::call("families.make", json!({"name": case, "out": dir.path()}));
    let model = AutoModelForCausalLM::from_pretrained(dir.path(), Device::Cpu).expect("a model");
    let prompt = [5, 9, 5, 9, 31, 5];
    for options in options {
        let with = json!({"model": dir.path(), "prompt": prompt, "options": options});
        let theirs: Vec<u32> =
            serde_json::from_value(python::call("processors.generate", with)).expect("tokens");
        let ours = generate(&model, &prompt, &given(options));
        let ours: Result<Vec<u32>, _> = ours.expect("a generation").collect();
        assert_eq!(ours.expect("tokens"), theirs, "{case}: {options}");
    }
}

#[test]
fn greedy_texts_are_equal() {
    let options = [
        json!({}),
        json!({"max_new_tokens": 12}),
        json!({"max_length": 15}),
        json!({"max_new_tokens": 12, "repetition_penalty": 1.4}),
        json!({"max_new_tokens": 12, "encoder_repetition_penalty": 1.4}),
        json!({"max_new_tokens": 12, "no_repeat_ngram_size": 2}),
        json!({"max_new_tokens": 12, "bad_words_ids": [[5], [9, 31]]}),
        json!({"max_new_tokens": 12, "suppress_tokens": [5, 6, 7], "begin_suppress_tokens": [9]}),
        json!({"max_new_tokens": 12, "eos_token_id": [2, 11, 23, 31, 40, 52]}),
        json!({"max_new_tokens": 12, "eos_token_id": [2, 11, 23, 31, 40, 52], "min_new_tokens": 5}),
        json!({"max_new_tokens": 12, "eos_token_id": [2, 11, 23, 31, 40, 52], "min_length": 9}),
        json!({"max_new_tokens": 6, "forced_eos_token_id": 13}),
        json!({"max_new_tokens": 12, "exponential_decay_length_penalty": [2, 1.5]}),
    ];
    check_greedy("llama", &options);
    check_greedy("gpt2", &options);
}

#[test]
fn greedy_texts_are_equal_across_a_rope_threshold() {
    let options = [json!({"max_new_tokens": 30})];
    check_greedy("phi3_longrope", &options);
    check_greedy("llama_longrope", &options);
    check_greedy("llama_dynamic", &options);
    check_greedy("gemma3_text", &options);
    check_greedy("mixtral_window", &options);
}
