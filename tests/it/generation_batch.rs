//! Generation of several texts at once, against transformers: batches that are padded on the left and
//! beams, token for token; and texts that are drawn, by how often each comes.

use pretrained::{
    AutoModelForCausalLM, Device, generate, generate_batch,
    torch::{Continuation, Stop},
};
use serde_json::{Value, json};

use crate::{fields::with, generation::given as options, python};

const EOS: [u32; 6] = [2, 11, 23, 31, 40, 52];

fn prompts() -> Vec<Vec<u32>> {
    vec![vec![5, 9, 5, 9, 31, 5], vec![7], vec![12, 13, 14], vec![5, 9, 5, 9, 31, 6, 40, 41]]
}

fn model(case: &str) -> (tempfile::TempDir, AutoModelForCausalLM) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    python::call("families.make", json!({"name": case, "out": dir.path()}));
    let model = AutoModelForCausalLM::from_pretrained(dir.path(), Device::Cpu).expect("a model");
    (dir, model)
}

/// All texts and, of beams, their scores to the rounding of f32.
#[track_caller]
fn check(case: &str, all: &[Value]) {
    let (dir, model) = model(case);
    for given in all {
        let ours = generate_batch(&model, &prompts(), &options(given)).expect("texts");
        let ours: Vec<Continuation> = ours.into_iter().flatten().collect();
        let theirs = python::call(
            "processors.generate_batch",
            json!({"model": dir.path(), "prompts": prompts(), "options": given}),
        );
        let rows: Vec<Vec<u32>> = serde_json::from_value(theirs["rows"].clone()).expect("tokens");
        let tokens: Vec<Vec<u32>> = ours.iter().map(|it| it.tokens.clone()).collect();
        assert_eq!(tokens, rows, "{case}: {given}");
        let scores: Option<Vec<f64>> =
            serde_json::from_value(theirs["scores"].clone()).expect("scores");
        for (ours, theirs) in ours.iter().zip(scores.unwrap_or_default()) {
            let ours = ours.score.expect("a score");
            let off = (ours - theirs).abs() / theirs.abs().max(1.0);
            assert!(off < 1e-5, "{case}: {given}: {ours}, {theirs}");
        }
    }
}

#[test]
fn padded_batches_are_equal() {
    let options = [
        json!({"max_new_tokens": 12}),
        json!({"max_new_tokens": 12, "eos_token_id": EOS}),
        json!({"max_new_tokens": 12, "bad_words_ids": [[5], [9, 31]]}),
        json!({"max_new_tokens": 12, "eos_token_id": EOS, "min_new_tokens": 5}),
    ];
    for case in ["llama", "gpt2", "gpt_neox", "gemma2", "gemma3_text", "qwen3_moe", "phi3"] {
        check(case, &options);
    }
    check("mixtral_window", &options[..2]);
}

#[test]
fn beams_are_equal() {
    let beams = json!({"max_new_tokens": 10, "num_beams": 4, "num_return_sequences": 4});
    let with = |more: Value| with(beams.clone(), &more);
    let options = [
        with(json!({})),
        with(json!({"num_return_sequences": 1, "num_beams": 2})),
        with(json!({"eos_token_id": EOS})),
        with(json!({"eos_token_id": EOS, "early_stopping": true})),
        with(json!({"eos_token_id": EOS, "early_stopping": "never"})),
        with(json!({"eos_token_id": EOS, "early_stopping": "never", "length_penalty": 2.5})),
        with(json!({"eos_token_id": EOS, "length_penalty": 0.0})),
        with(json!({"eos_token_id": EOS, "length_penalty": -1.5})),
        with(json!({"eos_token_id": EOS, "min_new_tokens": 3})),
        with(json!({"eos_token_id": EOS, "renormalize_logits": true, "suppress_tokens": [5, 6]})),
    ];
    for case in ["llama", "gpt2", "gemma2", "mixtral_window"] {
        check(case, &options);
    }
}

#[test]
fn beams_are_equal_with_penalties_of_what_has_come() {
    // Transformers takes padding for text here, so that only a prompt alone can be compared.
    let (dir, model) = model("llama");
    let prompt = vec![prompts()[0].clone()];
    let given = json!({
        "max_new_tokens": 10, "num_beams": 3, "num_return_sequences": 3, "repetition_penalty": 1.4,
        "eos_token_id": EOS, "exponential_decay_length_penalty": [2, 1.5], "no_repeat_ngram_size": 3,
    });
    let ours = generate_batch(&model, &prompt, &options(&given)).expect("texts");
    let ours: Vec<Vec<u32>> = ours[0].iter().map(|it| it.tokens.clone()).collect();
    let arguments = json!({"model": dir.path(), "prompts": prompt, "options": given});
    let theirs = python::call("processors.generate_batch", arguments);
    assert_eq!(json!(ours), theirs["rows"]);
}

/// Each text of a batch is the one that its prompt gives alone, of models that see a text by its length too.
#[test]
fn a_batch_gives_what_each_prompt_gives_alone() {
    for case in ["llama", "llama_dynamic", "phi3_longrope", "llama_longrope", "gemma3_text"] {
        let (_dir, model) = model(case);
        for given in [
            json!({"max_new_tokens": 16, "repetition_penalty": 1.3, "eos_token_id": EOS}),
            json!({"max_length": 14, "eos_token_id": EOS}),
        ] {
            let options = options(&given);
            let batch = generate_batch(&model, &prompts(), &options).expect("texts");
            for (prompt, batch) in prompts().iter().zip(batch) {
                let mut alone = generate(&model, prompt, &options).expect("a text");
                let tokens: Vec<u32> = alone.by_ref().map(|it| it.expect("a token")).collect();
                let stop = alone.stop().expect("an end");
                assert_eq!(batch, [Continuation { tokens, score: None, stop }], "{case}, {given}");
            }
        }
    }
}

/// How often each first token comes, against how likely transformers says it is.
#[track_caller]
fn check_frequencies(given: &Value, n: usize) {
    let (dir, model) = model("llama");
    let prompt = prompts()[0].clone();
    let arguments = json!({"model": dir.path(), "prompt": prompt, "options": given});
    let likely = python::call("processors.network_scores", arguments);
    let likely: Vec<f64> = serde_json::from_value(likely).expect("numbers");

    let mut options = options(given);
    (options.max_new_tokens, options.num_return_sequences) = (Some(1), n);
    let texts = generate_batch(&model, &[prompt], &options).expect("texts").remove(0);
    let mut counts = vec![0_u32; likely.len()];
    for text in &texts {
        counts[text.tokens[0] as usize] += 1;
    }
    for (token, (&count, &p)) in counts.iter().zip(&likely).enumerate() {
        // Five standard deviations, which one in a million misses.
        let (expected, spread) = (p * n as f64, (n as f64 * p * (1.0 - p)).sqrt());
        let off = (f64::from(count) - expected).abs();
        assert!(off <= 5.0 * spread + 1e-9, "{given}, token {token}: {count}, not {expected}");
    }
}

#[test]
fn texts_are_drawn_as_often_as_they_are_likely() {
    for given in [
        json!({"do_sample": true, "top_k": 0}),
        json!({"do_sample": true, "temperature": 0.4}),
        json!({"do_sample": true, "top_k": 5, "temperature": 1.5}),
        json!({"do_sample": true, "top_p": 0.3, "top_k": 0}),
        json!({"do_sample": true, "typical_p": 0.5, "min_p": 0.4, "repetition_penalty": 1.8}),
    ] {
        check_frequencies(&given, 4096);
    }
}

#[test]
fn drawn_texts_of_one_seed_are_the_same_and_differ_from_each_other() {
    let (_dir, model) = model("gpt2");
    let given = json!({"do_sample": true, "num_return_sequences": 5, "max_new_tokens": 8});
    let mut options = options(&given);
    let first = generate_batch(&model, &prompts(), &options).expect("texts");
    assert_eq!(first, generate_batch(&model, &prompts(), &options).expect("texts"));
    let all: std::collections::BTreeSet<_> = first.iter().flatten().map(|it| &it.tokens).collect();
    assert_eq!(all.len(), 20);

    options.num_return_sequences = 1;
    let alone: Vec<u32> = generate(&model, &prompts()[0], &options)
        .expect("a text")
        .map(|it| it.expect("a token"))
        .collect();
    assert_eq!(first[0][0].tokens, alone);
    options.seed = 1;
    assert_ne!(first[0][0], generate_batch(&model, &prompts(), &options).expect("texts")[0][0]);
}

#[test]
fn beams_can_be_drawn() {
    let (_dir, model) = model("llama");
    let given = json!({
        "do_sample": true, "num_beams": 4, "num_return_sequences": 3, "max_new_tokens": 8, "top_p": 0.01,
        "eos_token_id": EOS,
    });
    let mut options = options(&given);
    let texts = generate_batch(&model, &prompts(), &options).expect("texts");
    assert_eq!(texts, generate_batch(&model, &prompts(), &options).expect("texts"));
    for texts in &texts {
        assert_eq!(texts.len(), 3);
        assert!(texts.iter().all(|it| matches!(it.stop, Stop::Eos | Stop::Length)));
        assert!(texts.is_sorted_by(|a, b| a.score >= b.score));
    }
    options.seed = 1;
    assert_ne!(texts, generate_batch(&model, &prompts(), &options).expect("texts"));
}

#[test]
fn what_cannot_be_done_is_an_error_and_the_model_can_be_used_again() {
    let (_dir, model) = model("llama");
    let check = |prompts: &[Vec<u32>], given: Value, message: &str| {
        let error = generate_batch(&model, prompts, &options(&given)).expect_err(message);
        assert!(error.to_string().contains(message), "{error}");
    };
    let good = vec![5, 9];
    check(&[good.clone(), vec![]], json!({}), "the prompt is empty");
    check(&[good.clone(), vec![5, 60_000]], json!({}), "token id 60000 at position 1");
    check(&[vec![5; 5000], good.clone()], json!({}), "5000 tokens do not fit");
    let prompts = [good];
    check(&prompts, json!({"num_beams": 1_000_000}), "num_beams is 1000000: a number from 1 to");
    check(&prompts, json!({"num_beams": 0}), "num_beams is 0");
    check(&prompts, json!({"num_return_sequences": 3}), "num_return_sequences is 3: without");
    let several = json!({"num_return_sequences": 3, "num_beams": 2});
    check(&prompts, several, "num_return_sequences is 3: no more than num_beams");
    check(&prompts, json!({"stop_strings": ["."]}), "use generate_text_batch");
    let one = generate(&model, &prompts[0], &options(&json!({"num_beams": 2})));
    assert!(one.expect_err("an error").to_string().contains("generate_batch"));

    // Every token is forbidden: a search that finds nothing ends.
    let forbidden: Vec<u32> = (0..model.vocab_size() as u32).collect();
    let none = json!({"num_beams": 2, "suppress_tokens": forbidden});
    assert_eq!(generate_batch(&model, &prompts, &options(&none)).expect("texts"), [[]]);
    assert_eq!(generate_batch(&model, &[], &options(&json!({}))).expect("texts").len(), 0);
    assert_eq!(generate_batch(&model, &prompts, &options(&json!({}))).expect("texts").len(), 1);
}

#[test]
fn a_generation_that_is_given_up_leaves_no_trace() {
    let (_dir, model) = model("gemma3_text");
    let options = options(&json!({"max_new_tokens": 12}));
    let whole = || {
        let text = generate(&model, &prompts()[3], &options).expect("a text");
        text.map(|it| it.expect("a token")).collect::<Vec<u32>>()
    };
    let first = whole();
    for n in 0..12 {
        let mut text = generate(&model, &prompts()[3], &options).expect("a text");
        let part: Vec<u32> = text.by_ref().take(n).map(|it| it.expect("a token")).collect();
        drop(text);
        assert_eq!(part, first[..n]);
        assert_eq!(whole(), first, "after {n} tokens");
    }
}
