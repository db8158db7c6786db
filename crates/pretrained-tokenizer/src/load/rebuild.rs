//! The classes that take only the vocabulary from the files and know the rest themselves.

use serde_json::{Map, Value, json};
use tokenizers::{PostProcessorWrapper, Tokenizer};

use super::{
    Parts, Stages,
    class::Class,
    document::{Document, Vocab, stage},
    init::Init,
    model::{self, Merges},
};

/// The special tokens a class has when no file says otherwise.
pub(crate) fn default_tokens(class: Class) -> &'static [(&'static str, &'static str)] {
    const END: &str = "<|endoftext|>";
    match class {
        Class::AsIs => &[],
        Class::Bert => &[
            ("unk_token", "[UNK]"),
            ("sep_token", "[SEP]"),
            ("pad_token", "[PAD]"),
            ("cls_token", "[CLS]"),
            ("mask_token", "[MASK]"),
        ],
        Class::Gemma => &[
            ("unk_token", "<unk>"),
            ("bos_token", "<bos>"),
            ("eos_token", "<eos>"),
            ("pad_token", "<pad>"),
            ("mask_token", "<mask>"),
        ],
        Class::Gpt2 => &[("unk_token", END), ("bos_token", END), ("eos_token", END)],
        Class::GptNeoX => &[
            ("unk_token", END),
            ("bos_token", END),
            ("eos_token", END),
            ("pad_token", "<|padding|>"),
        ],
        Class::Llama => &[("unk_token", "<unk>"), ("bos_token", "<s>"), ("eos_token", "</s>")],
        Class::Qwen2 => &[("unk_token", END), ("eos_token", END), ("pad_token", END)],
    }
}

/// Takes vocabulary, merges and post-processor from tokenizer.json.
pub(crate) fn from_document(
    class: Class,
    document: Document,
    init: &Init,
) -> Result<Parts, String> {
    let post_processor = stage("post_processor", &document.post_processor)?;
    let vocab = match document.model.vocab {
        Vocab::Ids(vocab) => vocab,
        Vocab::Scores(scores) => scores.into_iter().map(|(token, _)| token).zip(0..).collect(),
    };
    let merges = document.model.merges.unwrap_or_default();
    let mut parts = build(class, vocab, merges, init)?;
    parts.stages.post_processor = post_processor;
    Ok(parts)
}

/// Builds a class around a vocabulary.
pub(crate) fn build(
    class: Class,
    vocab: Vec<(String, u32)>,
    merges: Merges,
    init: &Init,
) -> Result<Parts, String> {
    let options = |value: Value| match value {
        Value::Object(options) => options,
        _ => Map::new(),
    };
    let unk = init.token("unk_token").unwrap_or("None");
    let model = match class {
        Class::Bert => model::wordpiece(vocab, &options(json!({ "unk_token": unk })))?,
        Class::Llama => {
            model::bpe(vocab, merges, &options(json!({"fuse_unk": true, "byte_fallback": true})))?
        }
        Class::Gemma => {
            let gemma = json!({"fuse_unk": true, "byte_fallback": true, "unk_token": unk});
            model::bpe(vocab, merges, &options(gemma))?
        }
        _ => {
            let gpt2 = json!({"continuing_subword_prefix": "", "end_of_word_suffix": ""});
            model::bpe(vocab, merges, &options(gpt2))?
        }
    };
    let stages = stages(class, init);
    Ok(Parts {
        model,
        stages: Stages {
            normalizer: stage("normalizer", &stages.0)?,
            pre_tokenizer: stage("pre_tokenizer", &stages.1)?,
            post_processor: None,
            decoder: stage("decoder", &stages.2)?,
        },
        tokens: Vec::new(),
    })
}

/// Normalizer, pre-tokenizer and decoder of a class, as tokenizer.json spells them.
fn stages(class: Class, init: &Init) -> (Option<Value>, Option<Value>, Option<Value>) {
    let option = |key: &str| init.options.get(key).filter(|value| !value.is_null());
    let prefix_space = option("add_prefix_space").and_then(Value::as_bool);
    let byte_level = |add_prefix_space: bool, use_regex: bool| {
        json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true,
               "use_regex": use_regex})
    };
    let nfc = json!({"type": "NFC"});
    let decoder = byte_level(true, true);
    let bytes_to_text = |strip: bool| {
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if strip {
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        json!({"type": "Sequence", "decoders": decoders})
    };
    match class {
        Class::AsIs => (None, None, None),
        Class::Gpt2 => (None, Some(byte_level(prefix_space.unwrap_or(false), true)), Some(decoder)),
        Class::GptNeoX => {
            (Some(nfc), Some(byte_level(prefix_space.unwrap_or(false), true)), Some(decoder))
        }
        Class::Qwen2 => {
            let split = json!({"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated",
                               "invert": false});
            let bytes = byte_level(prefix_space.unwrap_or(false), false);
            let both = json!({"type": "Sequence", "pretokenizers": [split, bytes]});
            (Some(nfc), Some(both), Some(decoder))
        }
        Class::Llama => {
            let prefix_space = prefix_space.unwrap_or(true);
            let legacy = option("legacy").and_then(Value::as_bool).unwrap_or(false);
            let scheme = match (prefix_space, legacy) {
                (false, _) => "never",
                (true, true) => "always",
                (true, false) => "first",
            };
            let metaspace = json!({"type": "Metaspace", "replacement": "▁",
                                   "prepend_scheme": scheme, "split": false});
            (None, Some(metaspace), Some(bytes_to_text(prefix_space)))
        }
        Class::Gemma => {
            let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
            let split = json!({"type": "Split", "pattern": {"String": " "},
                               "behavior": "MergedWithPrevious", "invert": false});
            (Some(replace), Some(split), Some(bytes_to_text(false)))
        }
        Class::Bert => {
            let flag = |key: &str| option(key).and_then(Value::as_bool);
            let bert = json!({"type": "BertNormalizer", "clean_text": true,
                "handle_chinese_chars": flag("tokenize_chinese_chars").unwrap_or(true),
                "strip_accents": flag("strip_accents"),
                "lowercase": flag("do_lower_case").unwrap_or(true)});
            let decoder = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
            (Some(bert), Some(json!({"type": "BertPreTokenizer"})), Some(decoder))
        }
    }
}

/// `[CLS] A [SEP] B [SEP]`.
pub(crate) fn bert_post_processor(
    tokenizer: &Tokenizer,
    init: &Init,
) -> Result<PostProcessorWrapper, String> {
    let token = |role: &str, id: u32| {
        let token = init.token(role).unwrap_or("None").to_owned();
        let id = tokenizer.token_to_id(&token).unwrap_or(id);
        (token, id)
    };
    let ((cls, cls_id), (sep, sep_id)) = (token("cls_token", 2), token("sep_token", 3));
    let special =
        |token: &str, sequence: u8| json!({"SpecialToken": {"id": token, "type_id": sequence}});
    let a = json!({"Sequence": {"id": "A", "type_id": 0}});
    let b = json!({"Sequence": {"id": "B", "type_id": 1}});
    let single = vec![special(&cls, 0), a, special(&sep, 0)];
    let mut pair = single.clone();
    pair.extend([b, special(&sep, 1)]);
    let mut tokens = Map::new();
    for (token, id) in [(&cls, cls_id), (&sep, sep_id)] {
        tokens.insert(token.clone(), json!({"id": token, "ids": [id], "tokens": [token]}));
    }
    let template = json!({"type": "TemplateProcessing", "single": single, "pair": pair,
                          "special_tokens": tokens});
    stage("post_processor", &Some(template))?.ok_or_else(|| "no post-processor".to_owned())
}

/// How Qwen2 splits text into words: each digit alone.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
