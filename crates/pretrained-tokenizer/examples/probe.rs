//! Answers questions about tokenizers, one JSON object a line, for the comparison with Python.
//!
//! `tests/python/tokenizer_parity.py` and its neighbours drive it.

use std::{
    collections::HashMap,
    error::Error,
    io::{self, BufRead, Write},
};

use pretrained_tokenizer::{AutoTokenizer, ChatOptions};
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
    if !open.contains_key(dir) || question["op"] == "open" {
        open.insert(dir.to_owned(), AutoTokenizer::from_pretrained(dir)?);
    }
    let tokenizer = &open[dir];
    match question["op"].as_str().unwrap_or_default() {
        "open" => Ok(json!({ "vocab_size": tokenizer.vocab_size() })),
        "render" => {
            let (messages, options) = chat(question)?;
            Ok(json!(tokenizer.apply_chat_template(&messages, &options)?))
        }
        "encode_chat" => {
            let (messages, options) = chat(question)?;
            let chat = tokenizer.encode_chat(&messages, &options)?;
            Ok(json!({ "ids": chat.input_ids, "mask": chat.assistant_mask }))
        }
        other => Err(format!("unknown op {other:?}").into()),
    }
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
