use std::{fs, path::Path};

use crate::{
    AutoTokenizer, EncodeOptions, Encoding, Error, OffsetUnit, Padding, Progress, Side,
    SpecialTokens, TokenizerFiles, TokenizerTrainer, Truncation, pieces::Pieces,
};

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
fn training_says_that_it_counts_then_that_it_merges() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("text.txt");
    fs::write(&path, "the lazy dog\n".repeat(9)).expect("write");
    let mut said = Vec::new();
    let trainer = TokenizerTrainer { vocab_size: 264, ..TokenizerTrainer::default() };
    trainer.train_files(&[path], |progress| said.push(progress)).expect("trained");
    let (len, total) = (9 * 13, 264);
    let counted = said.iter().position(|it| *it == Progress::Counting { done: len, total: len });
    assert_eq!(counted, Some(8));
    assert_eq!(said.get(9), Some(&Progress::Merging { done: 0, total }));
    assert_eq!(said.last(), Some(&Progress::Merging { done: total, total }));
}

#[test]
fn ids_alone_are_those_that_come_with_offsets() {
    let tokenizer = small();
    assert!(Pieces::of(tokenizer.inner()).is_some(), "byte level takes the short way");
    let texts = ["", "the the<s>the", "  a  \n\n b", "don't 你好 \u{0301}", "</s>", "12 345 \t"];
    for add_special_tokens in [false, true] {
        let options = EncodeOptions { add_special_tokens, ..EncodeOptions::default() };
        let encodings = tokenizer.encode_with(&texts, &options).expect("encoded");
        let without = EncodeOptions { offsets: OffsetUnit::None, ..options };
        let without = tokenizer.encode_with(&texts, &without).expect("encoded");
        for (with, without) in encodings.iter().zip(without) {
            assert_eq!(without.offsets, vec![(0, 0); with.offsets.len()]);
            assert_eq!(Encoding { offsets: with.offsets.clone(), ..without }, *with);
        }
        let expected: Vec<_> = encodings.into_iter().map(|it| it.input_ids).collect();
        assert_eq!(tokenizer.encode_batch(&texts, add_special_tokens).expect("encoded"), expected);
    }
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

#[test]
fn a_class_that_only_the_model_told_is_named_where_the_model_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let [with, without, beside] = ["with", "without", "beside"].map(|name| dir.path().join(name));
    let json = small().files().get("tokenizer.json").expect("there").to_vec();
    for dir in [&with, &beside] {
        fs::create_dir(dir).expect("created");
        fs::write(dir.join("config.json"), r#"{"model_type": "qwen2"}"#).expect("written");
    }
    fs::write(with.join("tokenizer.json"), &json).expect("written");
    let tokenizer = AutoTokenizer::from_pretrained(&with).expect("opened");
    assert_eq!(tokenizer.tokenizer_class(), "Qwen2Tokenizer");

    tokenizer.save_pretrained(&without).expect("saved");
    let config = fs::read_to_string(without.join("tokenizer_config.json")).expect("read");
    assert_eq!(config, "{\n  \"tokenizer_class\": \"Qwen2Tokenizer\"\n}\n");
    let again = AutoTokenizer::from_pretrained(&without).expect("opened");
    assert_eq!(again.tokenizer_class(), "Qwen2Tokenizer");
    let text = "the 123 foxes";
    assert_eq!(again.encode(text, true).expect("ids"), tokenizer.encode(text, true).expect("ids"));

    tokenizer.save_pretrained(&beside).expect("saved");
    assert!(!beside.join("tokenizer_config.json").exists());
    assert_eq!(fs::read(beside.join("tokenizer.json")).expect("read"), json);
}

#[test]
fn a_class_that_is_not_known_is_refused_by_its_name() {
    let files = TokenizerFiles::from_parts([
        ("tokenizer.json", small().files().get("tokenizer.json").expect("there").to_vec()),
        ("tokenizer_config.json", br#"{"tokenizer_class": "T5TokenizerFast"}"#.to_vec()),
    ]);
    let error = AutoTokenizer::from_files(files.expect("files")).expect_err("not known");
    assert_eq!(
        error.to_string(),
        "tokenizer_config.json: the tokenizer is `T5Tokenizer`, a class that is not known here; if \
         tokenizer.json holds all of it, set tokenizer_class to \"PreTrainedTokenizerFast\""
    );
}

#[test]
fn one_call_leaves_nothing_to_the_next_or_to_the_files() {
    let tokenizer = small();
    let texts = ["the lazy dog", "fox"];
    let plain = tokenizer.encode_batch(&texts, true).expect("encoded");
    let options = EncodeOptions {
        padding: Padding::MaxLength,
        padding_side: Some(Side::Left),
        truncation: Truncation::LongestFirst,
        truncation_side: Some(Side::Left),
        max_length: Some(2),
        ..EncodeOptions::default()
    };
    let cut = tokenizer.encode_with(&texts, &options).expect("encoded");
    assert!(cut.iter().all(|it| it.input_ids.len() == 2));
    assert_eq!(tokenizer.encode_batch(&texts, true).expect("encoded"), plain);
    let again = tokenizer.encode_with(&texts, &EncodeOptions::default()).expect("encoded");
    assert_eq!(again.into_iter().map(|it| it.input_ids).collect::<Vec<_>>(), plain);
    assert_eq!(tokenizer.files(), small().files());
}

#[test]
fn what_overflows_comes_out_in_windows() {
    let tokenizer = small();
    let texts = ["the quick brown fox jumps over the lazy dog", "fox"];
    let whole = tokenizer.encode_batch(&texts, false).expect("encoded");
    let (length, stride) = (4, 1);
    let options = EncodeOptions {
        add_special_tokens: false,
        truncation: Truncation::OnlyFirst,
        max_length: Some(length),
        return_overflowing_tokens: true,
        stride,
        ..EncodeOptions::default()
    };
    let windows = tokenizer.encode_with(&texts, &options).expect("encoded");
    for (sample, ids) in whole.iter().enumerate() {
        let mut joined: Vec<u32> = Vec::new();
        for window in windows.iter().filter(|it| it.sample == sample) {
            assert!(window.input_ids.len() <= length);
            let repeated = if joined.is_empty() { 0 } else { stride };
            joined.extend(&window.input_ids[repeated..]);
        }
        assert_eq!(joined, *ids);
    }
    let options = EncodeOptions { stride: 4, ..options };
    let error = tokenizer.encode_with(&texts, &options).expect_err("nothing new").to_string();
    assert_eq!(error, "cannot tokenize: a stride of 4 leaves nothing new in a length of 4");
}

#[test]
fn a_length_of_ten_to_the_thirtieth_is_no_limit() {
    let files = TokenizerFiles::from_parts([
        ("tokenizer.json", small().files().get("tokenizer.json").expect("there").to_vec()),
        (
            "tokenizer_config.json",
            br#"{"model_max_length": 1000000000000000019884624838656, "pad_token": "<pad>"}"#
                .to_vec(),
        ),
    ]);
    let tokenizer = AutoTokenizer::from_files(files.expect("files")).expect("opened");
    assert_eq!(tokenizer.model_max_length(), None);
    let options = EncodeOptions {
        truncation: Truncation::LongestFirst,
        padding: Padding::MaxLength,
        ..EncodeOptions::default()
    };
    let encoded = tokenizer.encode_with(&["the lazy dog"], &options).expect("encoded");
    assert_eq!(encoded[0].input_ids, tokenizer.encode("the lazy dog", true).expect("encoded"));
}
