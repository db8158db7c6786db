//! Tokenizer files from someone who means harm, by number 27 of the list of hostile inputs: each is
//! an error, or harmless.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use pretrained_tokenizer::{AutoTokenizer, TokenizerFiles, TokenizerTrainer};
use serde_json::{Value, json};

#[test]
fn case_27_merges_that_overrun_the_longest_token() {
    // huggingface/tokenizers#2094: this one panicked.
    let model = json!({"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]});
    refused(model, "merging \"a\" and \"b\" makes no token");
    let model = json!({"type": "BPE", "continuing_subword_prefix": "####",
                       "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]});
    refused(model, "makes no token");
    // A prefix that ends inside a character.
    let model = json!({"type": "BPE", "continuing_subword_prefix": "#",
                       "vocab": {"a": 0, "ä": 1, "aä": 2}, "merges": [["a", "ä"]]});
    refused(model, "makes no token");
    let model = json!({"type": "BPE", "vocab": {"a": 0, "abc": 1}, "merges": [["a", "b"]]});
    refused(model, "out of vocabulary");
    refused(json!({"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}), "not a pair");
    refused(json!({"type": "BPE", "vocab": {"a": 0}}), "merges are missing");
}

#[test]
fn case_27_a_vocabulary_of_a_gigabyte_is_not_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = File::create(dir.path().join("tokenizer.json")).expect("created");
    file.set_len(1 << 30).expect("a sparse file");
    let start = Instant::now();
    let error = AutoTokenizer::from_pretrained(dir.path()).expect_err("too large").to_string();
    assert!(error.ends_with("over the limit of 268435456 bytes for its kind"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn case_27_a_catastrophic_regex_gives_up() {
    for regex in [r"(a+)+$", r"(a|aa)+$", r"(a|a)*b", r"(.*)*x(.*)*y", r"(?:a?){60}a{60}"] {
        let tokenizer = load(json!({
            "pre_tokenizer": {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false},
            "model": {"type": "BPE", "vocab": {"a": 0, "!": 1}, "merges": []},
        }));
        let Ok(tokenizer) = tokenizer else { continue };
        let start = Instant::now();
        if let Err(error) = tokenizer.encode(&("a".repeat(60) + "!"), false) {
            assert!(error.to_string().starts_with("cannot tokenize: "), "{error}");
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{regex}: {:?}", start.elapsed());
    }
}

#[test]
fn case_27_a_regex_that_is_larger_than_it_looks_is_harmless() {
    for regex in [
        "(?:(?:(?:a{1000}){1000}){1000}){1000}",
        "(((((((((a{20}){20}){20}){20}){20}){20}){20}){20}){20})",
        "a{1,99999}{1,99999}",
        "(?:a{99999}b{99999}){99999}",
        "[a-z]{999999999}",
    ] {
        let split = json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
        let replace = json!({"type": "Replace", "pattern": {"Regex": regex}, "content": ""});
        let model = json!({"type": "BPE", "vocab": {"a": 0, "!": 1}, "merges": []});
        for document in [
            json!({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [split]}, "model": model}),
            json!({"normalizer": replace, "model": model}),
            json!({"decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, replace]}, "model": model}),
        ] {
            match load(document) {
                Ok(tokenizer) => {
                    let ids = tokenizer.encode("aaaa!", false).expect("encoded");
                    tokenizer.decode(&ids, false).expect("decoded");
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.starts_with("tokenizer.json: "), "{error}");
                }
            }
        }
    }
}

#[test]
fn case_27_sequences_within_sequences_end() {
    let nested = |inner: Value, key: &str| {
        (0..50).fold(inner, |inner, _| {
            let mut outer = json!({"type": "Sequence"});
            outer[key] = json!([inner]);
            outer
        })
    };
    let model = json!({"type": "BPE", "vocab": {"a": 0}, "merges": []});
    for (stage, key, inner) in [
        ("normalizer", "normalizers", json!({"type": "NFC"})),
        ("pre_tokenizer", "pretokenizers", json!({"type": "Whitespace"})),
        (
            "post_processor",
            "processors",
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true}),
        ),
        ("decoder", "decoders", json!({"type": "Fuse"})),
        ("decoder", "decoders", json!({"type": "?"})),
    ] {
        let mut document = json!({ "model": model });
        document[stage] = nested(inner, key);
        if let Ok(tokenizer) = load(document) {
            assert_eq!(tokenizer.encode("a", true).expect("encoded"), [0]);
        }
    }
}

#[test]
fn case_27_stages_that_multiply_a_text_are_refused() {
    let model = json!({"type": "BPE", "vocab": {"a": 0, ".": 1}, "merges": []});
    let grow = |stage: &str, list: &str, one: Value| {
        let mut document = json!({ "model": model });
        document[stage] = json!({ "type": "Sequence", list: vec![one; 20] });
        let error = load(document).expect_err("refused").to_string();
        assert!(error.contains(&format!("{stage}: it could make over")), "{error}");
    };
    let replace = json!({"type": "Replace", "pattern": {"String": "."}, "content": ".."});
    grow("normalizer", "normalizers", replace.clone());
    grow("decoder", "decoders", replace);
    let regex = json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "aa"});
    grow("normalizer", "normalizers", regex);
    grow("normalizer", "normalizers", json!({"type": "Prepend", "prepend": "a".repeat(999)}));
    grow("normalizer", "normalizers", json!({"type": "ByteLevel"}));
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    grow("pre_tokenizer", "pretokenizers", byte_level);

    let piece = json!({"SpecialToken": {"id": "x", "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let template = |pieces: Vec<Value>, ids: usize| {
        json!({
            "type": "TemplateProcessing",
            "single": pieces,
            "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"x": {"id": "x", "ids": vec![0; ids], "tokens": vec!["a"; ids]}},
        })
    };
    let mut pieces = vec![piece; 100];
    pieces.push(text.clone());
    grow("post_processor", "processors", template(pieces, 100));
    grow("post_processor", "processors", template(vec![text.clone(); 2], 1));
}

#[test]
fn an_absurd_vocabulary_is_not_trained() {
    let trainer =
        TokenizerTrainer { vocab_size: 99_999_999_999_999, ..TokenizerTrainer::default() };
    let error = trainer.train_files(&[], |_| {}).expect_err("refused").to_string();
    assert!(error.contains("a vocabulary of 99999999999999 is too large"), "{error}");
}

#[test]
fn files_for_versions_of_transformers_are_refused_by_name() {
    let json = br#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#;
    let config = br#"{"fast_tokenizer_files":["tokenizer.json","tokenizer.4.0.0.json"]}"#;
    let files = TokenizerFiles::from_parts([
        ("tokenizer.json", json.to_vec()),
        ("tokenizer_config.json", config.to_vec()),
    ]);
    let error = AutoTokenizer::from_files(files.expect("files")).expect_err("refused").to_string();
    assert!(error.contains("tokenizer.4.0.0.json"), "{error}");
}

#[test]
fn case_27_an_id_that_two_tokens_share() {
    let shared = json!({"a": 0, "b": 0});
    refused(json!({"type": "BPE", "vocab": shared, "merges": []}), "id 0 belongs to");
    refused(json!({"type": "WordPiece", "unk_token": "a", "vocab": shared}), "id 0 belongs to");
    refused(json!({"type": "WordLevel", "unk_token": "a", "vocab": shared}), "id 0 belongs to");
}

#[test]
fn case_27_gaps_between_ids_are_harmless_and_absurd_ids_refused() {
    let gaps = json!({"a": 5, "b": 1_000_000});
    let tokenizer =
        load(json!({"model": {"type": "BPE", "vocab": gaps, "merges": []}})).expect("opened");
    assert_eq!(tokenizer.encode("ab", false).expect("encoded"), [5, 1_000_000]);
    assert_eq!(tokenizer.decode(&[0, 5, 7, u32::MAX], false).expect("decoded"), "a");
    refused(
        json!({"type": "BPE", "vocab": {"a": u32::MAX}, "merges": []}),
        "larger than any vocabulary",
    );
    refused(json!({"type": "BPE", "vocab": {"a": u64::MAX}, "merges": []}), "invalid value");
    refused(json!({"type": "BPE", "vocab": {"a": -1}, "merges": []}), "invalid value");
    refused(json!({"type": "BPE", "vocab": {"a": 0.5}, "merges": []}), "invalid type");
}

#[test]
fn case_27_nonsense_is_named() {
    for (json, expected) in [
        ("", "tokenizer.json: EOF"),
        ("[]", "tokenizer.json: "),
        ("{}", "missing field `model`"),
        ("{\"model\": 1}", "tokenizer.json: "),
        ("{\"model\": {\"type\": \"Magic\", \"vocab\": {}}}", "type \"Magic\" is not known"),
        (
            "{\"model\": {\"type\": \"BPE\", \"vocab\": [[\"a\", 1.0]], \"merges\": []}}",
            "vocabulary of another",
        ),
        (
            "{\"version\": \"9\", \"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}",
            "version \"9\"",
        ),
        (
            "{\"normalizer\": {\"type\": \"?\"}, \"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}",
            "normalizer: ",
        ),
        (
            "{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(\"}, \"behavior\": \"Isolated\", \"invert\": false}, \"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}",
            "pre_tokenizer: ",
        ),
        (
            "{\"added_tokens\": [{\"id\": 1}], \"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}",
            "tokenizer.json: ",
        ),
        (
            "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 7, \"vocab\": [[\"a\", 1.0]]}}",
            "model: ",
        ),
        ("{\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": []}}", "model: "),
        (
            "{\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"x\", \"type_id\": 0}}], \"pair\": [], \"special_tokens\": {}}, \"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}",
            "tokenizer.json: ",
        ),
    ] {
        let files = TokenizerFiles::from_parts([("tokenizer.json", json.as_bytes().to_vec())]);
        match AutoTokenizer::from_files(files.expect("files")) {
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains(expected) && !error.contains('\n'), "{json}: {error}");
            }
            // What the crate only notices when it is used must not take the process down.
            Ok(tokenizer) => {
                let _ = tokenizer.encode("a", true);
            }
        }
    }
    let deep = "[".repeat(100_000);
    let files = TokenizerFiles::from_parts([(
        "tokenizer.json",
        format!("{{\"model\": {deep}").into_bytes(),
    )]);
    AutoTokenizer::from_files(files.expect("files")).expect_err("too deep");
}

#[test]
fn case_27_other_files_that_lie() {
    let model = r#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#;
    for (name, bytes) in [
        ("tokenizer_config.json", &b"[]"[..]),
        ("tokenizer_config.json", b"{\"padding_side\": \"up\"}"),
        ("tokenizer_config.json", b"{\"added_tokens_decoder\": {\"x\": {\"content\": \"y\"}}}"),
        ("tokenizer_config.json", b"{\"added_tokens_decoder\": {\"1\": {}}}"),
        ("tokenizer_config.json", b"{\"bos_token\": 7}"),
        ("tokenizer_config.json", b"{\"chat_template\": 7}"),
        ("tokenizer_config.json", b"\xff"),
        ("special_tokens_map.json", b"7"),
        ("added_tokens.json", b"{\"a\": \"b\"}"),
        ("chat_template.jinja", b"\xff"),
    ] {
        let files = TokenizerFiles::from_parts([
            ("tokenizer.json", model.as_bytes().to_vec()),
            (name, bytes.to_vec()),
        ]);
        let error = AutoTokenizer::from_files(files.expect("files")).expect_err(name).to_string();
        assert!(error.starts_with(name), "{error}");
    }
}

#[test]
fn case_27_sentencepiece_models_that_are_broken() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("config.json"), r#"{"model_type": "llama"}"#).expect("written");
    for bytes in [
        &b""[..],
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\x03\x0a\x01\xff",
        b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
        b"\x0f",
        b"\x12\x02\x18\x07",
        b"\x0a\x03\x0a\x01a\x12\x0b\xc0\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x0a\x03\x0a\x01a\x1a\x06\x12\x04\xff\xff\xff\xff",
    ] {
        fs::write(dir.path().join("tokenizer.model"), bytes).expect("written");
        let error = AutoTokenizer::from_pretrained(dir.path()).expect_err("broken").to_string();
        assert!(error.contains("tokenizer.model: "), "{error}");
    }
}

#[test]
fn case_27_a_character_map_whose_length_lies() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("config.json"), r#"{"model_type": "llama"}"#).expect("written");
    let map = b"\x0a\x03\x0a\x01a\x1a\x0a\x12\x08\x04\0\0\xf4abcd";
    fs::write(dir.path().join("tokenizer.model"), map).expect("written");
    let error = AutoTokenizer::from_pretrained(dir.path()).expect_err("a lie").to_string();
    assert!(error.contains("a trie of 4093640708 bytes in a map of 8"), "{error}");

    let map = json!({"type": "Precompiled", "precompiled_charsmap": "BAAA9GFiY2Q="});
    for normalizer in [map.clone(), json!({"type": "Sequence", "normalizers": [map]})] {
        let model = json!({"type": "BPE", "vocab": {"a": 0}, "merges": []});
        let error = load(json!({"normalizer": normalizer, "model": model})).expect_err("a lie");
        let expected = "tokenizer.json: precompiled_charsmap: a trie of 4093640708 bytes in a map";
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn case_27_what_is_no_file_is_not_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("tokenizer.json")).expect("created");
    let error = AutoTokenizer::from_pretrained(dir.path()).expect_err("no file").to_string();
    assert!(error.ends_with("a pipe or a device, not a file"), "{error}");
}

#[test]
fn case_27_what_is_elsewhere_is_not_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    let (model, secret) = (dir.path().join("model"), dir.path().join("secret"));
    fs::create_dir(&model).expect("created");
    fs::write(&secret, "secret").expect("written");
    symlink("../secret", model.join("merges.txt")).expect("linked");
    let error = AutoTokenizer::from_pretrained(&model).expect_err("a link out").to_string();
    assert!(error.contains("merges.txt: refused: this link leaves the model directory"), "{error}");

    // A directory of templates that is another one's is neither read nor changed.
    fs::remove_file(model.join("merges.txt")).expect("removed");
    fs::create_dir(dir.path().join("others")).expect("created");
    fs::write(dir.path().join("others/x.jinja"), "theirs").expect("written");
    symlink("../others", model.join("additional_chat_templates")).expect("linked");
    let files = TokenizerFiles::from_parts([("additional_chat_templates/y.jinja", *b"ours")]);
    let error = TokenizerFiles::read(&model).expect_err("a link out").to_string();
    assert!(error.contains("refused: this link leaves the model directory"), "{error}");
    files.expect("files").save(&model).expect("replaces the link");
    assert!(!model.join("additional_chat_templates").is_symlink());
    let names: Vec<_> = fs::read_dir(dir.path().join("others")).expect("there").collect();
    assert_eq!(names.len(), 1);
}

fn refused(model: Value, expected: &str) {
    let error = load(json!({ "model": model })).expect_err("hostile").to_string();
    assert!(error.starts_with("tokenizer.json: "), "{error}");
    assert!(error.contains(expected) && !error.contains('\n'), "{error}");
}

fn load(document: Value) -> Result<AutoTokenizer, pretrained_tokenizer::Error> {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("tokenizer.json"), document.to_string()).expect("written");
    AutoTokenizer::from_files(TokenizerFiles::read(Path::new(dir.path())).expect("read"))
}
