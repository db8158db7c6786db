use pretrained_tokenizer::{AutoTokenizer, ChatOptions};
use serde_json::Value;

use crate::record::{Tokens, common_prefix};

/// A conversation of which the loss is taken on what the assistant says.
pub(crate) fn conversation(
    messages: &[Value],
    options: &ChatOptions,
    tokenizer: &AutoTokenizer,
) -> Result<Tokens, String> {
    if !messages.iter().any(is_assistant) {
        return Err("messages: the assistant says nothing, so there is nothing to learn".to_owned());
    }
    let chat = tokenizer.encode_chat(messages, options).map_err(|e| e.to_string())?;
    if chat.assistant_mask.contains(&1) {
        let mask = &chat.assistant_mask;
        return Tokens::new(chat.input_ids, |i| mask.get(i) == Some(&1));
    }
    // The template marks nothing: what an assistant's message adds to the text is the answer.
    let turns = messages.iter().enumerate().filter(|(_, it)| is_assistant(it));
    let spans = turns.map(|(i, _)| {
        span(&messages[..i], &messages[..=i], messages, &chat.input_ids, options, tokenizer)
    });
    let spans = spans.collect::<Result<Vec<_>, _>>()?;
    Tokens::new(chat.input_ids, |i| spans.iter().any(|(from, to)| (*from..*to).contains(&i)))
}

/// A conversation of which the loss is taken on its second part.
pub(crate) fn answer(
    prompt: &[Value],
    completion: &[Value],
    options: &ChatOptions,
    tokenizer: &AutoTokenizer,
) -> Result<Tokens, String> {
    let whole = [prompt, completion].concat();
    let chat = tokenizer.encode_chat(&whole, options).map_err(|e| e.to_string())?;
    let (from, _) = span(prompt, &whole, &whole, &chat.input_ids, options, tokenizer)?;
    Tokens::new(chat.input_ids, |i| from <= i)
}

fn is_assistant(message: &Value) -> bool {
    message["role"] == "assistant"
}

/// The tokens of `ids`, which are those of `whole`, that the text of `after` has beyond `before`.
fn span(
    before: &[Value],
    after: &[Value],
    whole: &[Value],
    ids: &[u32],
    options: &ChatOptions,
    tokenizer: &AutoTokenizer,
) -> Result<(usize, usize), String> {
    let render = |messages: &[Value], add_generation_prompt: bool| {
        let options = ChatOptions { add_generation_prompt, ..options.clone() };
        tokenizer.apply_chat_template(messages, &options).map_err(|e| e.to_string())
    };
    let (before, after) = (render(before, true)?, render(after, false)?);
    if !after.starts_with(&before) || !render(whole, false)?.starts_with(&after) {
        return Err(
            "the chat template writes earlier turns differently once there are later ones: \
                    mark the assistant's turns in it with {% generation %}"
                .to_owned(),
        );
    }
    let n_tokens = |text: &str| -> Result<usize, String> {
        let text = tokenizer.encode(text, false).map_err(|e| e.to_string())?;
        Ok(common_prefix(&text, ids))
    };
    Ok((n_tokens(&before)?, n_tokens(&after)?))
}
