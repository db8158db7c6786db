//! Damaged tokenizer files: whatever they say, opening and running them ends, in an error if need
//! be, without a panic and without memory that only a number in the file asked for.
//!
//! A short run is part of the tests; `FUZZ_SECONDS` makes it as long as one likes.

#![allow(unsafe_code)] // An allocator that counts is unsafe by its trait.

mod random;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use pretrained_tokenizer::{AutoTokenizer, EncodeOptions, Padding, TokenizerFiles, Truncation};
use serde_json::{Value, json};

use random::Random;

#[test]
fn damaged_files_are_an_error_or_harmless() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|it| it.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (send, receive) = mpsc::channel();
    let cases = thread::spawn(move || {
        let mut random = Random(seconds.unwrap_or(4));
        let mut rounds = 0;
        while rounds < ROUNDS || until.is_some_and(|until| Instant::now() < until) {
            rounds += 1;
            for seed in seeds() {
                for _ in 0..8 {
                    let files = damaged(&seed, &mut random);
                    if send.send(files.clone()).is_err() {
                        return;
                    }
                    run(&files);
                }
            }
        }
    });
    // Each case is announced before it runs, so that the last one heard of is the one that hangs.
    let (mut last, mut n_cases) = (Vec::new(), 0u64);
    loop {
        match receive.recv_timeout(HANG) {
            Ok(files) => {
                last = files;
                n_cases += 1;
            }
            // The thread is done, or has panicked.
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(error) => panic!("{error} after {n_cases} cases: {}", shown(&last)),
        }
    }
    assert!(cases.join().is_ok(), "a panic after {n_cases} cases: {}", shown(&last));
}

/// Opens the files and tokenizes with them.
fn run(files: &Files) {
    let size: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let before = IN_USE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let opened = TokenizerFiles::from_parts(files.clone()).and_then(AutoTokenizer::from_files);
    if let Ok(tokenizer) = opened {
        let options = EncodeOptions {
            padding: Padding::Longest,
            truncation: Truncation::LongestFirst,
            ..EncodeOptions::default()
        };
        for text in TEXTS {
            if let Ok(ids) = tokenizer.encode(text, true) {
                let _ = tokenizer.decode(&ids, true);
                let mut stream = tokenizer.decode_stream(false);
                for id in ids {
                    let _ = stream.push(id);
                }
                let _ = stream.finish();
            }
        }
        let _ = tokenizer.encode_with(&[TEXTS[1], TEXTS[2]], &options);
        let _ = tokenizer.decode(&[0, 1, 2, 3, 7, 1 << 20, u32::MAX], false);
    }
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    assert!(peak < MEMORY + 400 * size, "{peak} bytes for {size}: {}", shown(files));
}

type Files = Vec<(&'static str, Vec<u8>)>;

/// Whole tokenizers of each kind.
fn seeds() -> Vec<Files> {
    let document = |stages: Value, model: Value| {
        let mut document = json!({
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 6, "strategy": "LongestFirst", "stride": 1},
            "padding": {"strategy": {"Fixed": 8}, "direction": "Left", "pad_to_multiple_of": 8,
                        "pad_id": 0, "pad_type_id": 0, "pad_token": "a"},
            "added_tokens": [{"id": 9, "content": "<s>", "single_word": false, "lstrip": true,
                              "rstrip": false, "normalized": false, "special": true}],
            "model": model,
        });
        for (key, value) in stages.as_object().expect("stages") {
            document[key] = value.clone();
        }
        ("tokenizer.json", document.to_string().into_bytes())
    };
    let template = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [9], "tokens": ["<s>"]}}});
    let vocab = json!({"a": 0, "b": 1, "ab": 2, "▁": 3, "▁a": 4, "<unk>": 5, "##b": 6, "<0x61>": 7, "é": 8});
    let bpe = document(
        json!({
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"Regex": " +"}, "content": "▁"}, {"type": "Strip", "strip_left": true, "strip_right": false}]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": "\\p{L}+|\\s+(?!\\S)"}, "behavior": "Isolated", "invert": false},
                {"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]},
            "post_processor": template,
            "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        }),
        json!({"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": "", "end_of_word_suffix": "",
               "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": vocab,
               "merges": [["a", "b"], ["▁", "a"]]}),
    );
    let wordpiece = document(
        json!({"normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                              "strip_accents": null, "lowercase": true},
               "pre_tokenizer": {"type": "BertPreTokenizer"},
               "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true}}),
        json!({"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
               "max_input_chars_per_word": 100, "vocab": vocab}),
    );
    let unigram = document(
        json!({"normalizer": {"type": "NFKC"},
               "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
               "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}}),
        json!({"type": "Unigram", "unk_id": 0, "byte_fallback": false,
               "vocab": [["<unk>", 0.0], ["a", -1.5], ["▁", -2.0], ["ab", -2.25], ["é", -3.0]]}),
    );
    let config = json!({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "model_max_length": 512,
        "padding_side": "left", "pad_token": {"content": "a", "special": true}, "additional_special_tokens": ["<x>"],
        "added_tokens_decoder": {"9": {"content": "<s>", "lstrip": false, "normalized": false, "special": true}},
        "add_bos_token": true, "clean_up_tokenization_spaces": true});
    let config = |class: &str| {
        let mut config = config.clone();
        config["tokenizer_class"] = json!(class);
        ("tokenizer_config.json", config.to_string().into_bytes())
    };
    let vocab_json = ("vocab.json", vocab.to_string().into_bytes());
    let merges = ("merges.txt", b"#version: 0.2\na b\n\xe2\x96\x81 a\n".to_vec());
    vec![
        vec![bpe.clone(), config("PreTrainedTokenizerFast")],
        vec![bpe.clone(), config("LlamaTokenizer")],
        vec![bpe, config("Qwen2Tokenizer")],
        vec![wordpiece.clone()],
        vec![wordpiece, config("BertTokenizer")],
        vec![unigram],
        vec![
            vocab_json,
            merges,
            config("GPT2Tokenizer"),
            ("added_tokens.json", b"{\"<y>\": 20}".to_vec()),
            (
                "special_tokens_map.json",
                b"{\"eos_token\": {\"content\": \"<y>\"}, \"extra_special_tokens\": [\"z\"]}"
                    .to_vec(),
            ),
        ],
        vec![("vocab.txt", "a\nb\n##b\n<unk>\n[UNK]\n".into()), config("BertTokenizer")],
        vec![("tokenizer.model", sentencepiece(1)), config("PreTrainedTokenizerFast")],
        vec![("tokenizer.model", sentencepiece(2)), config("LlamaTokenizer")],
    ]
}

/// A SentencePiece model of a few pieces.
fn sentencepiece(kind: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (text, piece_kind) in
        [("<unk>", 2u8), ("<s>", 3), ("</s>", 3), ("▁", 1), ("a", 1), ("▁a", 1), ("ab", 4)]
    {
        let mut piece = vec![0x0a, text.len() as u8];
        piece.extend(text.bytes());
        piece.push(0x15);
        piece.extend((-1.5f32).to_le_bytes());
        piece.extend([0x18, piece_kind]);
        bytes.extend([0x0a, piece.len() as u8]);
        bytes.extend(piece);
    }
    // The trainer's model type and byte fallback; the normalizer's table.
    bytes.extend([0x12, 5, 0x18, kind, 0x98, 0x02, 1]);
    bytes.extend([0x1a, 10, 0x12, 8, 4, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// The files with one to four changes in one of them: to its bytes, or to its values.
fn damaged(seed: &Files, random: &mut Random) -> Files {
    let mut files = seed.clone();
    let at = random.below(files.len());
    let (name, bytes) = &mut files[at];
    for _ in 0..1 + random.below(4) {
        let parsed =
            serde_json::from_slice::<Value>(bytes).ok().filter(|_| name.ends_with(".json"));
        match parsed {
            Some(mut value) if random.below(4) > 0 => {
                change(&mut value, random);
                *bytes = value.to_string().into_bytes();
            }
            _ => change_bytes(bytes, random),
        }
    }
    files
}

/// Replaces, removes or repeats something deep inside.
fn change(value: &mut Value, random: &mut Random) {
    let replacement = random.value();
    match value {
        Value::Object(map) if !map.is_empty() && random.below(8) > 0 => {
            let key = map.keys().nth(random.below(map.len())).expect("a key").clone();
            match random.below(12) {
                0 => drop(map.remove(&key)),
                1 => drop(map.insert(random.text(), replacement)),
                2 => {
                    let moved = map.remove(&key).unwrap_or_default();
                    map.insert(random.text(), moved);
                }
                _ => change(&mut map[&key], random),
            }
        }
        Value::Array(list) if !list.is_empty() && random.below(8) > 0 => {
            let at = random.below(list.len());
            match random.below(8) {
                0 => drop(list.remove(at)),
                1 => list.insert(at, replacement),
                2 => list.push(list[at].clone()),
                _ => change(&mut list[at], random),
            }
        }
        _ => *value = replacement,
    }
}

fn change_bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(5) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.below(256) as u8),
        2 => {
            let end = (at + random.below(40)).min(bytes.len());
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        3 => drop(bytes.drain(at..(at + random.below(9)).min(bytes.len()))),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
}

fn shown(files: &Files) -> String {
    let one =
        |(name, bytes): &(&str, Vec<u8>)| format!("{name}: {:?}", String::from_utf8_lossy(bytes));
    files.iter().map(one).collect::<Vec<_>>().join("\n")
}

impl Random {
    fn text(&mut self) -> String {
        WORDS[self.below(WORDS.len())].to_owned()
    }

    fn value(&mut self) -> Value {
        match self.below(12) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => {
                json!([0u64, 1, 5, 8, 1 << 16, 1 << 27, 1 << 31, 1 << 32, u64::MAX][self.below(9)])
            }
            3 => json!([-1.0, 0.5, 1e30, -1e308, 1e-300][self.below(5)]),
            4 => json!(-1),
            5 => json!([]),
            6 => json!({}),
            7 => json!(["a", "b"]),
            8 => json!({"type": self.text()}),
            _ => json!(self.text()),
        }
    }
}

/// Words that mean something in one place or another.
const WORDS: &[&str] = &[
    "",
    "a",
    "b",
    "ab",
    "é",
    "▁",
    "▁a",
    "<s>",
    "<unk>",
    "##",
    "\0",
    "A",
    "B",
    "BPE",
    "WordPiece",
    "WordLevel",
    "Unigram",
    "Sequence",
    "ByteLevel",
    "Metaspace",
    "Split",
    "Replace",
    "Precompiled",
    "TemplateProcessing",
    "BertNormalizer",
    "NFKD",
    "Strip",
    "Prepend",
    "CTC",
    "BPEDecoder",
    "Fuse",
    "ByteFallback",
    "Isolated",
    "MergedWithNext",
    "Left",
    "always",
    "never",
    "(a+)+$",
    "(?:a?){40}a{40}",
    "[",
    "\\p{L}",
    "(?=a)*",
    "$^",
    "vocab",
    "special_tokens",
    "BertTokenizer",
    "GemmaTokenizer",
    "GPTNeoXTokenizer",
    "T5Tokenizer",
    "left",
];

const TEXTS: [&str; 4] = [
    "",
    "a ab  b é",
    "<s>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab!",
    "\u{1F468}\u{200d}\u{0} x\n\u{301}",
];

/// Of eight changes to each seed: a count and not a time, so that every run is the same run.
const ROUNDS: usize = 80;

/// Far longer than any case takes, on any machine.
const HANG: Duration = Duration::from_secs(120);
/// What the tokenizers of the seeds take by themselves, and room to spare.
const MEMORY: usize = 64 << 20;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting.
struct Counting;

// SAFETY: Everything is handed to the system's allocator as it comes.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let in_use = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(in_use, Ordering::Relaxed);
        // SAFETY: The caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: As above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
