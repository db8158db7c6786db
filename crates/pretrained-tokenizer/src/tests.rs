use std::{fs, path::Path};

use crate::{AutoTokenizer, Error, SpecialTokens, TokenizerFiles, TokenizerTrainer};

fn train(dir: &Path, text: &str, trainer: &TokenizerTrainer) -> Result<AutoTokenizer, Error> {
    let path = dir.join("text.txt");
    fs::write(&path, text).expect("write");
    trainer.train_files(&[path], |_| {})
}

fn small() -> AutoTokenizer {
    let dir = tempfile::tempdir().expect("a directory");
    let trainer = TokenizerTrainer {
        vocab_size: 400,
        special_tokens: SpecialTokens {
            bos: Some("<s>".into()),
            eos: Some("</s>".into()),
            pad: Some("<pad>".into()),
            ..SpecialTokens::default()
        },
        ..TokenizerTrainer::default()
    };
    train(dir.path(), &"the quick brown fox jumps over the lazy dog\n".repeat(50), &trainer)
        .expect("trained")
}

#[test]
fn every_text_survives_encode_and_decode() {
    let tokenizer = small();
    for text in
        ["", " ", "the lazy dog", "äöü 你好 👩‍👩‍👧‍👦\u{0301}\u{200f}", "\0\x01\r\n\t", "a\u{FFFD}b"]
    {
        let ids = tokenizer.encode(text, true).expect("encoded");
        assert_eq!(tokenizer.decode(&ids, false).expect("decoded"), text);
    }
}

#[test]
fn a_stream_hands_out_whole_characters_and_in_sum_the_whole_text() {
    let tokenizer = small();
    let text = "the 你好 👩‍👩‍👧‍👦 fox\u{FFFD}";
    let ids = tokenizer.encode(text, false).expect("encoded");
    let mut stream = tokenizer.decode_stream(false);
    let mut streamed = String::new();
    for &id in &ids {
        if let Some(piece) = stream.push(id).expect("decoded") {
            assert!(!piece.ends_with('\u{FFFD}'));
            streamed += &piece;
        }
    }
    streamed += &stream.finish().expect("decoded").unwrap_or_default();
    assert_eq!(streamed, text);
}

#[test]
fn training_twice_gives_the_same_bytes() {
    assert_eq!(small().files(), small().files());
}

#[test]
fn what_was_loaded_is_saved_byte_for_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, second) = (dir.path().join("a"), dir.path().join("b"));
    let tokenizer = small();
    tokenizer.save_pretrained(&first).expect("saved");
    let config = fs::read_to_string(first.join("tokenizer_config.json")).expect("read");
    fs::write(first.join("tokenizer_config.json"), config.replace("\n", "\r\n")).expect("write");
    let loaded = AutoTokenizer::from_pretrained(&first).expect("loaded");
    loaded.save_pretrained(&second).expect("saved");
    for name in TokenizerFiles::read(&first).expect("read").names() {
        let bytes = |dir: &Path| fs::read(dir.join(name)).expect("read");
        assert_eq!(bytes(&first), bytes(&second), "{name}");
    }
    assert_eq!(loaded.eos_token_id(), Some(1));
    assert_eq!(loaded.pad_token_id(), Some(2));
    assert_eq!(loaded.unk_token_id(), None);
}

#[test]
fn saved_padding_and_truncation_do_not_leak() {
    let tokenizer = small();
    let json = tokenizer.files().get("tokenizer.json").expect("there");
    let json = String::from_utf8(json.to_vec()).expect("text");
    let json = json
        .replace(
            "\"truncation\": null",
            r#""truncation": {"direction":"Right","max_length":2,"strategy":"LongestFirst","stride":0}"#,
        )
        .replace(
            "\"padding\": null",
            r#""padding": {"strategy":{"Fixed":9},"direction":"Left","pad_to_multiple_of":null,"pad_id":2,"pad_type_id":0,"pad_token":"<pad>"}"#,
        );
    let files = TokenizerFiles::from_parts([("tokenizer.json", json.into_bytes())]).expect("files");
    let leaky = AutoTokenizer::from_files(files).expect("loaded");
    for text in ["a", "the quick brown fox"] {
        assert_eq!(
            leaky.encode(text, true).expect("encoded"),
            tokenizer.encode(text, true).expect("encoded")
        );
    }
}

#[test]
fn a_directory_without_a_tokenizer_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let error = AutoTokenizer::from_pretrained(dir.path()).expect_err("nothing there").to_string();
    assert!(error.starts_with(&dir.path().display().to_string()), "{error}");
    assert!(error.contains("holds no tokenizer"), "{error}");
}

#[test]
fn file_names_stay_inside_the_directory() {
    for name in ["../tokenizer.json", "additional_chat_templates/../x.jinja", "config.json", ""] {
        assert!(!TokenizerFiles::belongs(name), "{name}");
    }
    assert!(TokenizerFiles::belongs("additional_chat_templates/tool_use.jinja"));
}

#[test]
fn a_vocabulary_without_room_for_the_bytes_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let trainer = TokenizerTrainer { vocab_size: 100, ..TokenizerTrainer::default() };
    let error = train(dir.path(), "text", &trainer).expect_err("too small").to_string();
    assert!(error.contains("need 257"), "{error}");
}

#[test]
fn text_that_is_not_utf8_is_named_by_its_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("text.txt");
    fs::write(&path, b"fine\n\xff\n").expect("write");
    let error = TokenizerTrainer::default().train_files(&[path], |_| {}).expect_err("not text");
    assert!(error.to_string().ends_with("text.txt: line 2 is not UTF-8"), "{error}");
}
