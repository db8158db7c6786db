//! The variables of a template, made of what the caller gave.

use minijinja::Value as Variable;
use serde_json::{Map, Number, Value};

use super::{ChatOptions, methods::is_space};
use crate::Error;

/// The conversation as the template sees it.
pub(super) struct Context<'a> {
    messages: Vec<Map<String, Value>>,
    options: &'a ChatOptions,
    /// The text of the last message, if it is to be continued.
    continued: Option<String>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        messages: &[Value],
        options: &'a ChatOptions,
        template: &str,
    ) -> Result<Context<'a>, Error> {
        if messages.is_empty() {
            return Err(Error::template("the conversation is empty; give at least one message"));
        }
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
        let messages: Result<Vec<_>, Error> = messages.iter().map(message).collect();
        let mut context = Context { messages: messages?, options, continued: None };
        if let Some(field) = &options.continue_final_message {
            context.continued = Some(context.tag_last(field, template)?);
        }
        Ok(context)
    }

    pub(super) fn variables(&self) -> [(&'static str, Variable); 4] {
        let list = |values: &Option<Vec<Value>>| match values {
            Some(values) => values.iter().map(variable).collect::<Vec<Variable>>().into(),
            None => Variable::from(()),
        };
        let messages: Vec<Variable> = self.messages.iter().map(object).collect();
        [
            ("messages", Variable::from(messages)),
            ("tools", list(&self.options.tools)),
            ("documents", list(&self.options.documents)),
            ("add_generation_prompt", Variable::from(self.options.add_generation_prompt)),
        ]
    }

    /// Cuts the prompt where the last message ends, if that is to be continued.
    pub(super) fn finish(&self, mut rendered: String) -> Result<String, Error> {
        let Some(text) = &self.continued else { return Ok(rendered) };
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

    /// Appends [`TAG`] to the text that is to be continued, and returns that text.
    fn tag_last(&mut self, field: &str, template: &str) -> Result<String, Error> {
        let last = self.messages.last_mut().ok_or_else(|| Error::template("no message"))?;
        let Some(value) = last.get(field).cloned() else {
            return Err(Error::template(format!(
                "continue_final_message is set but the final message has no \"{field}\" to continue"
            )));
        };
        let fields: Vec<&str> = if REASONING.contains(&field) {
            REASONING.into_iter().filter(|name| last.get(*name) == Some(&value)).collect()
        } else {
            vec![field]
        };
        if !fields.iter().any(|name| template.contains(name)) {
            return Err(Error::template(format!(
                "continue_final_message is set to \"{field}\", which the template does not read"
            )));
        }
        if let Value::String(text) = &value {
            for name in fields {
                last.insert(name.to_owned(), Value::from(format!("{text}{TAG}")));
            }
            return Ok(text.clone());
        }
        if let Some(Value::Array(blocks)) = last.get_mut(field) {
            for block in blocks.iter_mut().rev() {
                if let Some(Value::String(text)) = block.get_mut("text") {
                    let continued = text.clone();
                    text.push_str(TAG);
                    return Ok(continued);
                }
            }
        }
        Err(Error::template("continue_final_message is set but there is no text to continue"))
    }
}

/// A message without its null fields, its reasoning under every name that templates use.
fn message(value: &Value) -> Result<Map<String, Value>, Error> {
    let Some(fields) = value.as_object() else {
        return Err(Error::template("a message is no object with a role and a content"));
    };
    let fields = fields.iter().filter(|(_, value)| !value.is_null());
    let mut message: Map<String, Value> =
        fields.map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(reasoning) = REASONING.iter().find_map(|name| message.get(*name)).cloned() {
        let mut aliased = Map::from_iter([("thinking".to_owned(), reasoning.clone())]);
        aliased.extend(message);
        aliased.insert("reasoning_content".to_owned(), reasoning);
        message = aliased;
    }
    Ok(message)
}

/// JSON as a template value.
pub(super) fn variable(value: &Value) -> Variable {
    match value {
        Value::Null => Variable::from(()),
        Value::Bool(it) => Variable::from(*it),
        Value::Number(it) => number(it),
        Value::String(it) => Variable::from(it.as_str()),
        Value::Array(items) => Variable::from(items.iter().map(variable).collect::<Vec<_>>()),
        Value::Object(fields) => object(fields),
    }
}

fn object(fields: &Map<String, Value>) -> Variable {
    Variable::from_pairs(fields.iter().map(|(name, value)| (name.as_str(), variable(value))))
}

fn number(number: &Number) -> Variable {
    if let Some(it) = number.as_i64() {
        return Variable::from(it);
    }
    if let Some(it) = number.as_u64() {
        return Variable::from(it);
    }
    Variable::from(number.as_f64().unwrap_or(f64::NAN))
}

/// The names of a message's reasoning, the one that most templates read first.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Marks where the message that is to be continued ends. A template may trim the space.
const TAG: &str = "CONTINUE_FINAL_MESSAGE_TAG ";
