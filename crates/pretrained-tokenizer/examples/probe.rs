//! Answers questions about tokenizers, one JSON object a line, for the comparison with Python.
//!
//! `tests/python/tokenizer_parity.py` and its neighbours drive it.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    io::{self, BufRead, Write},
    path::PathBuf,
};

use pretrained_tokenizer::{
    AutoTokenizer, ChatOptions, EncodeOptions, Encoding, Input, Padding, Side, SpecialTokens,
    TokenizerTrainer, Truncation,
};
use rayon::prelude::*;
use serde_json::{Map, Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut open = HashMap::new();
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let question: Value = serde_json::from_str(&line?)?;
        let answer = match answer(&question, &mut open) {
            Ok(answer) => json!({ "ok": answer }),
            Err(e) => match e.downcast_ref::<pretrained_tokenizer::Error>() {
                Some(pretrained_tokenizer::Error::TemplateRaised { message }) => {
                    json!({ "raised": message })
                }
                _ => json!({ "error": e.to_string() }),
            },
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(
    question: &Value,
    open: &mut HashMap<String, AutoTokenizer>,
) -> Result<Value, Box<dyn Error>> {
    let dir = question["dir"].as_str().ok_or("no dir")?;
    if question["op"] == "train" {
        return train(question, dir);
    }
    if !open.contains_key(dir) || question["op"] == "open" {
        open.insert(dir.to_owned(), AutoTokenizer::from_pretrained(dir)?);
    }
    let tokenizer = &open[dir];
    match question["op"].as_str().unwrap_or_default() {
        "open" => Ok(json!({ "class": tokenizer.tokenizer_class() })),
        "render" => {
            let (messages, options) = chat(question)?;
            Ok(json!(tokenizer.apply_chat_template(&messages, &options)?))
        }
        "encode_chat" => {
            let (messages, options) = chat(question)?;
            let chat = tokenizer.encode_chat(&messages, &options)?;
            Ok(json!({ "ids": chat.input_ids, "mask": chat.assistant_mask }))
        }
        "encode" => encode(tokenizer, question),
        "encode_sums" => sums(tokenizer, question),
        "encode_plain" => {
            let texts = texts(question)?;
            Ok(json!(tokenizer.encode_batch(&texts, question["special"] == true)?))
        }
        "decode" => {
            let ids: Vec<Vec<u32>> = serde_json::from_value(question["ids"].clone())?;
            let skip = question["skip"] == true;
            let decoded: Result<Vec<String>, _> =
                ids.par_iter().map(|ids| tokenizer.decode(ids, skip)).collect();
            Ok(json!(decoded?))
        }
        "stream" => {
            let ids: Vec<Vec<u32>> = serde_json::from_value(question["ids"].clone())?;
            let skip = question["skip"] == true;
            let streamed: Result<Vec<String>, _> =
                ids.par_iter().map(|ids| stream(tokenizer, ids, skip)).collect();
            Ok(json!(streamed?))
        }
        "special" => {
            let special = tokenizer.special_tokens();
            let named: BTreeMap<&str, &str> = special.named().collect();
            Ok(json!({
                "named": named,
                "ids": [tokenizer.bos_token_id(), tokenizer.eos_token_id(),
                        tokenizer.pad_token_id(), tokenizer.unk_token_id()],
                "vocab_size": tokenizer.vocab_size(),
                "padding_side": format!("{:?}", tokenizer.padding_side()).to_lowercase(),
            }))
        }
        "save" => {
            tokenizer.save_pretrained(question["to"].as_str().ok_or("no to")?)?;
            Ok(Value::Null)
        }
        other => Err(format!("unknown op {other:?}").into()),
    }
}

fn train(question: &Value, dir: &str) -> Result<Value, Box<dyn Error>> {
    let files: Vec<PathBuf> = serde_json::from_value(question["files"].clone())?;
    let text = |key: &str| question[key].as_str().map(str::to_owned);
    let trainer = TokenizerTrainer {
        vocab_size: question["vocab_size"].as_u64().unwrap_or(1000) as usize,
        special_tokens: SpecialTokens {
            bos: text("bos"),
            eos: text("eos"),
            pad: text("pad"),
            unk: text("unk"),
            ..SpecialTokens::default()
        },
        ..TokenizerTrainer::default()
    };
    trainer.train_files(&files, |_| {})?.save_pretrained(dir)?;
    Ok(Value::Null)
}

fn texts(question: &Value) -> Result<Vec<String>, Box<dyn Error>> {
    Ok(serde_json::from_value(question["texts"].clone())?)
}

fn encode(tokenizer: &AutoTokenizer, question: &Value) -> Result<Value, Box<dyn Error>> {
    let number = |key: &str| question[key].as_u64().map(|it| it as usize);
    let side = |key: &str| match question[key].as_str() {
        Some("left") => Some(Side::Left),
        Some("right") => Some(Side::Right),
        _ => None,
    };
    let options = EncodeOptions {
        add_special_tokens: question["special"] == true,
        padding: match question["padding"].as_str() {
            Some("longest") => Padding::Longest,
            Some("max_length") => Padding::MaxLength,
            _ => Padding::None,
        },
        padding_side: side("padding_side"),
        pad_to_multiple_of: number("pad_to_multiple_of"),
        truncation: match question["truncation"].as_str() {
            Some("longest_first") => Truncation::LongestFirst,
            Some("only_first") => Truncation::OnlyFirst,
            Some("only_second") => Truncation::OnlySecond,
            _ => Truncation::None,
        },
        truncation_side: side("truncation_side"),
        max_length: number("max_length"),
        return_overflowing_tokens: question["return_overflowing_tokens"] == true,
        stride: number("stride").unwrap_or_default(),
        ..EncodeOptions::default()
    };
    let texts = texts(question)?;
    let pairs: Option<Vec<String>> = serde_json::from_value(question["pairs"].clone())?;
    let inputs: Vec<Input<'_>> = match &pairs {
        Some(pairs) => {
            texts.iter().zip(pairs).map(|(a, b)| Input::from((a.as_str(), b.as_str()))).collect()
        }
        None => texts.iter().map(|text| Input::from(text.as_str())).collect(),
    };
    let encodings = tokenizer.encode_with(&inputs, &options)?;
    let list: Vec<Value> = encodings
        .iter()
        .map(|it| {
            json!([
                it.input_ids,
                it.attention_mask,
                it.token_type_ids,
                it.special_tokens_mask,
                it.offsets,
                it.sample
            ])
        })
        .collect();
    Ok(json!(list))
}

/// For each text the checksums of its ids and of everything else, and its ids if asked for: what
/// the parity test compares in bulk.
fn sums(tokenizer: &AutoTokenizer, question: &Value) -> Result<Value, Box<dyn Error>> {
    let texts = texts(question)?;
    let inputs: Vec<Input<'_>> = texts.iter().map(|text| Input::from(text.as_str())).collect();
    let options = EncodeOptions {
        add_special_tokens: question["special"] == true,
        ..EncodeOptions::default()
    };
    let sum = |numbers: &mut dyn Iterator<Item = u32>| {
        let mut hasher = crc32fast::Hasher::new();
        numbers.for_each(|it| hasher.update(&it.to_le_bytes()));
        hasher.finalize()
    };
    let encodings = tokenizer.encode_with(&inputs, &options)?;
    // Ids alone take another way.
    let plain = tokenizer.encode_batch(&texts, options.add_special_tokens)?;
    let differs = |(encoding, ids): (&Encoding, &Vec<u32>)| encoding.input_ids != *ids;
    if let Some(at) = encodings.iter().zip(&plain).position(differs) {
        return Err(format!("encode_batch differs on {:?}", texts[at]).into());
    }
    let sums: Vec<[u32; 2]> = encodings
        .iter()
        .map(|it| {
            let masks = [&it.attention_mask, &it.token_type_ids, &it.special_tokens_mask];
            let masks = masks.into_iter().flatten().copied();
            let offsets = it.offsets.iter().flat_map(|(start, end)| [*start as u32, *end as u32]);
            [sum(&mut it.input_ids.iter().copied()), sum(&mut masks.chain(offsets))]
        })
        .collect();
    Ok(json!(sums))
}

fn stream(
    tokenizer: &AutoTokenizer,
    ids: &[u32],
    skip: bool,
) -> Result<String, pretrained_tokenizer::Error> {
    let mut stream = tokenizer.decode_stream(skip);
    let mut text = String::new();
    for &id in ids {
        text += &stream.push(id)?.unwrap_or_default();
    }
    Ok(text + &stream.finish()?.unwrap_or_default())
}

fn chat(question: &Value) -> Result<(Vec<Value>, ChatOptions), Box<dyn Error>> {
    let list = |key: &str| question[key].as_array().cloned();
    let text = |key: &str| question[key].as_str().map(str::to_owned);
    let options = ChatOptions {
        tools: list("tools"),
        documents: list("documents"),
        chat_template: text("template"),
        add_generation_prompt: question["add_generation_prompt"] == true,
        continue_final_message: text("continue_final_message"),
        variables: question["variables"].as_object().cloned().unwrap_or_else(Map::new),
    };
    Ok((list("messages").ok_or("no messages")?, options))
}
