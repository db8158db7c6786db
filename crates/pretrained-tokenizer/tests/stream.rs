//! What a stream hands out, joined, is what all ids decode to at once: for every kind of decoder
//! and any ids, skipped tokens, broken characters and unknown ids among them.

mod random;

use pretrained_tokenizer::{AutoTokenizer, TokenizerFiles};
use serde_json::{Value, json};

use random::Random;

#[test]
fn byte_level() {
    let alphabet: Vec<Value> = (0..256).map(|byte| json!(spelling(byte))).collect();
    let decoder = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    check(&alphabet, decoder, json!({}));
}

#[test]
fn bytes_as_a_fallback() {
    let mut tokens: Vec<Value> = (0..256).map(|byte| json!(format!("<0x{byte:02X}>"))).collect();
    tokens.extend(WORDS.iter().map(|word| json!(word)));
    let decoders = json!([
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]);
    check(&tokens, json!({"type": "Sequence", "decoders": decoders}), json!({}));
}

#[test]
fn metaspace() {
    let decoder =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    check(&words(), decoder, json!({}));
}

#[test]
fn word_pieces() {
    check(&words(), json!({"type": "WordPiece", "prefix": "##", "cleanup": true}), json!({}));
}

#[test]
fn words_that_are_cleaned_up() {
    let clean = json!({"clean_up_tokenization_spaces": true,
        "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output": true});
    check(&words(), json!({"type": "WordPiece", "prefix": "##", "cleanup": false}), clean.clone());
    check(&words(), Value::Null, clean);
}

#[test]
fn suffixes() {
    check(&words(), json!({"type": "BPEDecoder", "suffix": "</w>"}), json!({}));
}

#[test]
fn no_decoder() {
    check(&words(), Value::Null, json!({}));
}

/// Streams random ids through a tokenizer with these tokens.
fn check(tokens: &[Value], decoder: Value, config: Value) {
    let n_tokens = tokens.len() as u32;
    let vocab: serde_json::Map<String, Value> = tokens
        .iter()
        .zip(0u32..)
        .map(|(token, id)| (token.as_str().expect("text").to_owned(), json!(id)))
        .collect();
    let added = |id: u32, content: &str, special: bool| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false, "special": special})
    };
    let document = json!({
        "added_tokens": [added(n_tokens, "<s>", true), added(n_tokens + 1, "</s>", true),
                         added(n_tokens + 2, " tool", false), added(n_tokens + 3, "<é>", false)],
        "decoder": decoder,
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    });
    let files = TokenizerFiles::from_parts([
        ("tokenizer.json", document.to_string().into_bytes()),
        ("tokenizer_config.json", config.to_string().into_bytes()),
    ]);
    let tokenizer = AutoTokenizer::from_files(files.expect("files")).expect("opened");
    let mut random = Random(n_tokens.into());
    for _ in 0..1500 {
        let longest = if random.below(20) == 0 { 200 } else { 24 };
        let ids: Vec<u32> = (0..random.below(longest))
            .map(|_| match random.below(8) {
                // Special tokens, added tokens, and one that does not exist.
                0 | 1 => n_tokens + random.below(5) as u32,
                _ => random.below(tokens.len()) as u32,
            })
            .collect();
        for skip in [false, true] {
            let whole = tokenizer.decode(&ids, skip).expect("decoded");
            let mut stream = tokenizer.decode_stream(skip);
            let mut streamed = String::new();
            for &id in &ids {
                streamed += &stream.push(id).expect("decoded").unwrap_or_default();
                assert!(
                    whole.starts_with(&streamed),
                    "{streamed:?} of {whole:?} ({ids:?}, {skip})"
                );
            }
            streamed += &stream.finish().expect("decoded").unwrap_or_default();
            assert_eq!(streamed, whole, "{ids:?} {skip}");
        }
    }
}

fn words() -> Vec<Value> {
    WORDS.iter().map(|word| json!(word)).collect()
}

/// How byte-level BPE spells a byte.
fn spelling(byte: u32) -> String {
    let plain = |byte: u32| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let point =
        if plain(byte) { byte } else { 256 + (0..byte).filter(|it| !plain(*it)).count() as u32 };
    char::from_u32(point).expect("a character").to_string()
}

const WORDS: &[&str] = &[
    "a", "b", "▁", "▁a", "▁▁", "##c", "##", ".", ",", "'", "n't", "'s", "?", "é", "你", "👩",
    "\u{FFFD}", "x</w>", "</w>", " ", "  ", "<0x", "<0xZZ>", "do", "not", "\u{301}", "▁.", "!",
];
