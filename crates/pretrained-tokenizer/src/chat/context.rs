//! The variables of a template, made of what the caller gave.

use bumpalo::Bump;
use serde_json::{Map, Value as Json};

use super::{
    ChatOptions,
    jinja::{Value, is_space},
};
use crate::Error;

/// The conversation as the template sees it. Nothing is copied but what is changed.
pub(super) struct Context<'a> {
    messages: Value<'a>,
    options: &'a ChatOptions,
    /// The text of the last message, if it is to be continued.
    continued: Option<&'a str>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        messages: &'a [Json],
        options: &'a ChatOptions,
        template: &str,
        arena: &'a Bump,
    ) -> Result<Context<'a>, Error> {
        let Some(last) = messages.last() else {
            return Err(Error::template("the conversation is empty; give at least one message"));
        };
        if options.continue_final_message.is_some() && options.add_generation_prompt {
            return Err(Error::template(
                "continue_final_message and add_generation_prompt exclude each other",
            ));
        }
        if options.documents.iter().flatten().any(|document| !document.is_object()) {
            return Err(Error::template("a document is no object with a title and a text"));
        }
        if options.tools.iter().flatten().any(|tool| !tool.is_object()) {
            return Err(Error::template("a tool is no JSON schema"));
        }
        let mut plain = true;
        for message in messages {
            let Some(fields) = message.as_object() else {
                return Err(Error::template("a message is no object with a role and a content"));
            };
            plain &= is_plain(fields);
        }
        let Some(field) = &options.continue_final_message else {
            let messages = if plain { Value::JsonList(messages) } else { list(messages, arena) };
            return Ok(Context { messages, options, continued: None });
        };
        let before = messages[..messages.len() - 1].iter().map(|it| message(it, arena));
        let mut messages: Vec<Value<'a>> = before.collect();
        let (last, continued) = tag_last(fields(last), field, template, arena)?;
        messages.push(last);
        let messages = Value::List(arena.alloc_slice_copy(&messages));
        Ok(Context { messages, options, continued: Some(continued) })
    }

    pub(super) fn variables(&self) -> [(&'static str, Value<'a>); 4] {
        let list = |values: &'a Option<Vec<Json>>| match values {
            Some(values) => Value::JsonList(values),
            None => Value::None,
        };
        [
            ("messages", self.messages),
            ("tools", list(&self.options.tools)),
            ("documents", list(&self.options.documents)),
            ("add_generation_prompt", Value::Bool(self.options.add_generation_prompt)),
        ]
    }

    /// Cuts the prompt where the last message ends, if that is to be continued.
    pub(super) fn finish(&self, mut rendered: String) -> Result<String, Error> {
        let Some(text) = self.continued else { return Ok(rendered) };
        let tag = rendered.rfind(TAG.trim_end());
        let (Some(at), true) = (tag, rendered.contains(text.trim_matches(is_space))) else {
            return Err(Error::template(
                "continue_final_message is set but the template leaves the final message out",
            ));
        };
        let kept = rendered[at..].starts_with(TAG);
        rendered.truncate(at);
        if !kept {
            // The template trims its messages, so the prompt must not end with space either.
            rendered.truncate(rendered.trim_end_matches(is_space).len());
        }
        Ok(rendered)
    }
}

fn list<'a>(messages: &'a [Json], arena: &'a Bump) -> Value<'a> {
    Value::List(arena.alloc_slice_fill_iter(messages.iter().map(|it| message(it, arena))))
}

/// Whether a message is for the template as it is.
fn is_plain(fields: &Map<String, Json>) -> bool {
    fields.iter().all(|(name, value)| !value.is_null() && !REASONING.contains(&name.as_str()))
}

fn message<'a>(message: &'a Json, arena: &'a Bump) -> Value<'a> {
    match message {
        Json::Object(plain) if is_plain(plain) => Value::JsonDict(plain),
        message => {
            let fields = fields(message).into_iter();
            dict(fields.map(|(name, value)| (name, Value::from_json(value))), arena)
        }
    }
}

fn dict<'a>(fields: impl Iterator<Item = (&'a str, Value<'a>)>, arena: &'a Bump) -> Value<'a> {
    let fields: Vec<_> = fields.map(|(name, value)| (Value::Str(name), value)).collect();
    Value::Dict(arena.alloc_slice_copy(&fields))
}

/// A message without its null fields, its reasoning under every name that templates use.
fn fields(message: &Json) -> Vec<(&str, &Json)> {
    let fields = message.as_object().into_iter().flatten();
    let mut all: Vec<(&str, &Json)> = fields
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    if let Some(reasoning) = REASONING.iter().find_map(|name| find(&all, name)) {
        if find(&all, "thinking").is_none() {
            all.insert(0, ("thinking", reasoning));
        } else if let Some(at) = all.iter().position(|(name, _)| *name == "thinking") {
            all[..=at].rotate_right(1);
        }
        match all.iter_mut().find(|(name, _)| *name == "reasoning_content") {
            Some((_, value)) => *value = reasoning,
            None => all.push(("reasoning_content", reasoning)),
        }
    }
    all
}

fn find<'a>(fields: &[(&str, &'a Json)], name: &str) -> Option<&'a Json> {
    fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// Appends [`TAG`] to the text that is to be continued, and returns that text.
fn tag_last<'a>(
    fields: Vec<(&'a str, &'a Json)>,
    field: &str,
    template: &str,
    arena: &'a Bump,
) -> Result<(Value<'a>, &'a str), Error> {
    let Some(value) = find(&fields, field) else {
        return Err(Error::template(format!(
            "continue_final_message is set but the final message has no \"{field}\" to continue"
        )));
    };
    let tagged: Vec<&str> = if REASONING.contains(&field) {
        REASONING.into_iter().filter(|name| find(&fields, name) == Some(value)).collect()
    } else {
        vec![field]
    };
    if !tagged.iter().any(|name| template.contains(name)) {
        return Err(Error::template(format!(
            "continue_final_message is set to \"{field}\", which the template does not read"
        )));
    }
    let tag = |text: &str| Value::Str(arena.alloc_str(&format!("{text}{TAG}")));
    let (text, replaced) = match value {
        Json::String(text) => (text.as_str(), tag(text)),
        value => {
            let blocks = value.as_array().map_or(&[][..], Vec::as_slice);
            let text = |block: &'a Json| block.get("text").and_then(Json::as_str);
            let last = blocks.iter().rposition(|block| text(block).is_some());
            let Some((last, continued)) = last.and_then(|at| Some((at, text(&blocks[at])?))) else {
                return Err(Error::template(
                    "continue_final_message is set but there is no text to continue",
                ));
            };
            let blocks = blocks.iter().enumerate().map(|(at, block)| match block {
                Json::Object(fields) if at == last => {
                    let fields = fields.iter().map(|(name, value)| {
                        let value =
                            if name == "text" { tag(continued) } else { Value::from_json(value) };
                        (name.as_str(), value)
                    });
                    dict(fields, arena)
                }
                block => Value::from_json(block),
            });
            (continued, Value::List(arena.alloc_slice_fill_iter(blocks)))
        }
    };
    let is_tagged = |name: &str| name == field || (value.is_string() && tagged.contains(&name));
    let fields = fields.into_iter().map(|(name, value)| {
        (name, if is_tagged(name) { replaced } else { Value::from_json(value) })
    });
    Ok((dict(fields, arena), text))
}

/// The names of a message's reasoning, the one that most templates read first.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Marks where the message that is to be continued ends. A template may trim the space.
const TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";
