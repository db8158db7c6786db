use pretrained_tokenizer::{AutoTokenizer, ChatOptions};
use serde_json::{Map, Value};

use crate::{IGNORED, chat};

/// One example: as many labels as tokens.
pub(crate) struct Tokens {
    pub(crate) ids: Vec<u32>,
    pub(crate) labels: Vec<i32>,
}

impl Tokens {
    /// The loss is taken on those tokens for which `is_learned` holds.
    pub(crate) fn new(ids: Vec<u32>, is_learned: impl Fn(usize) -> bool) -> Result<Tokens, String> {
        let label = |(i, id): (usize, &u32)| match is_learned(i) {
            true => i32::try_from(*id).map_err(|_| format!("token id {id} is too large")),
            false => Ok(IGNORED),
        };
        let labels = ids.iter().enumerate().map(label).collect::<Result<_, _>>()?;
        Ok(Tokens { ids, labels })
    }
}

/// Makes an example of a line of JSON.
pub(crate) fn read(line: &str, tokenizer: &AutoTokenizer) -> Result<Tokens, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| format!("not JSON: {e}"))?;
    let Value::Object(record) = value else { return Err("not a JSON object".to_owned()) };
    let has = |name: &str| record.get(name).is_some_and(|it| !it.is_null());

    let tokens = if has("input_ids") {
        ready(&record, tokenizer)
    } else if has("messages") {
        messages(&record, tokenizer)
    } else if has("prompt") && has("completion") {
        completion(&record, tokenizer)
    } else if has("text") {
        text(&record, tokenizer)
    } else {
        Err("needs text, messages, prompt and completion, or input_ids".to_owned())
    }?;
    match tokens.ids.len() {
        0 => Err("no tokens".to_owned()),
        _ => Ok(tokens),
    }
}

fn text(record: &Map<String, Value>, tokenizer: &AutoTokenizer) -> Result<Tokens, String> {
    let text = string(record, "text")?;
    if text.is_empty() {
        return Err("text is empty".to_owned());
    }
    let ids = tokenizer.encode(text, true).map_err(|e| e.to_string())?;
    Tokens::new(with_eos(ids, tokenizer), |_| true)
}

fn completion(record: &Map<String, Value>, tokenizer: &AutoTokenizer) -> Result<Tokens, String> {
    if record["prompt"].is_array() {
        // A conversation in two parts.
        let (prompt, completion) = (list(record, "prompt")?, list(record, "completion")?);
        let options = options(record)?;
        return chat::answer(prompt, completion, &options, tokenizer);
    }
    let (prompt, completion) = (string(record, "prompt")?, string(record, "completion")?);
    if completion.is_empty() {
        return Err("completion is empty".to_owned());
    }
    let encode = |text: &str| tokenizer.encode(text, true).map_err(|e| e.to_string());
    let whole = encode(&format!("{prompt}{completion}"))?;
    let n_prompt = common_prefix(&encode(prompt)?, &whole);
    Tokens::new(with_eos(whole, tokenizer), |i| n_prompt <= i)
}

fn messages(record: &Map<String, Value>, tokenizer: &AutoTokenizer) -> Result<Tokens, String> {
    chat::conversation(list(record, "messages")?, &options(record)?, tokenizer)
}

/// What a line may say about its conversation besides the messages.
fn options(record: &Map<String, Value>) -> Result<ChatOptions, String> {
    let tools = match record.get("tools") {
        None | Some(Value::Null) => None,
        Some(Value::Array(it)) => Some(it.clone()),
        // Datasets keep tools as text, since they have no common type.
        Some(Value::String(it)) => {
            Some(serde_json::from_str(it).map_err(|e| format!("tools: not a list: {e}"))?)
        }
        Some(_) => return Err("tools: not a list".to_owned()),
    };
    let variables = match record.get("chat_template_kwargs") {
        Some(Value::Object(it)) => it.clone(),
        _ => Map::new(),
    };
    Ok(ChatOptions { tools, variables, ..ChatOptions::default() })
}

fn ready(record: &Map<String, Value>, tokenizer: &AutoTokenizer) -> Result<Tokens, String> {
    let vocab_size = tokenizer.vocab_size() as u64;
    let id = |it: &Value| it.as_u64().filter(|it| *it < vocab_size).map(|it| it as u32);
    let wrong = |name: &str, it: &Value| {
        format!("{name}: {it} is no token id (the vocabulary has {vocab_size})")
    };
    let ids = list(record, "input_ids")?.iter();
    let ids = ids.map(|it| id(it).ok_or_else(|| wrong("input_ids", it)));
    let ids = ids.collect::<Result<Vec<u32>, _>>()?;
    if record.get("labels").is_none_or(Value::is_null) {
        return Tokens::new(ids, |_| true);
    }
    let label = |it: &Value| match it.as_i64() {
        Some(label) if label == i64::from(IGNORED) => Ok(IGNORED),
        _ => id(it).and_then(|it| i32::try_from(it).ok()).ok_or_else(|| wrong("labels", it)),
    };
    let labels = list(record, "labels")?.iter().map(label).collect::<Result<Vec<i32>, _>>()?;
    if labels.len() != ids.len() {
        return Err(format!("{} input_ids and {} labels", ids.len(), labels.len()));
    }
    Ok(Tokens { ids, labels })
}

/// A text that is learned whole ends with the end of sequence, or the model would never stop.
fn with_eos(mut ids: Vec<u32>, tokenizer: &AutoTokenizer) -> Vec<u32> {
    if let Some(eos) = tokenizer.eos_token_id()
        && ids.last() != Some(&eos)
    {
        ids.push(eos);
    }
    ids
}

/// How many tokens two sequences begin with in common.
pub(crate) fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn string<'a>(record: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    record.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name}: not text"))
}

fn list<'a>(record: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], String> {
    let list = record.get(name).and_then(Value::as_array);
    list.map(Vec::as_slice).ok_or_else(|| format!("{name}: not a list"))
}
