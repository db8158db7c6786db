//! Chat templates: conversations to prompts.
//!
//! Templates are Jinja, run by minijinja with the environment that transformers sets up and with
//! Python's methods and spelling. They come with the model, from anyone: rendering is bounded in
//! time, memory, depth and output, and reaches no file.

mod collections;
mod context;
mod environment;
mod filters;
mod mask;
mod methods;
mod python;
mod source;
mod templates;
#[cfg(test)]
mod tests;
mod time;

use minijinja::Value as Variable;
use serde_json::{Map, Value};

pub(crate) use templates::ChatTemplates;

use crate::{AutoTokenizer, Error, guard::guarded};

/// What a template is given beside the conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatOptions {
    /// The functions the model may call, as JSON schemas.
    pub tools: Option<Vec<Value>>,
    /// Documents to answer from, each with a `title` and a `text`.
    pub documents: Option<Vec<Value>>,
    /// The name of one of the tokenizer's templates, or a template itself. Without it, `tool_use`
    /// is taken if there are tools, else `default`.
    pub chat_template: Option<String>,
    /// Ends the prompt with the beginning of the assistant's answer.
    pub add_generation_prompt: bool,
    /// Leaves the last message open, to be continued: the name of the field to continue,
    /// `content` as a rule.
    pub continue_final_message: Option<String>,
    /// More variables for the template, such as `enable_thinking`.
    pub variables: Map<String, Value>,
}

/// A rendered and tokenized conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatEncoding {
    /// The token ids.
    pub input_ids: Vec<u32>,
    /// 1 for the tokens that the assistant wrote, as the template's generation blocks mark them.
    pub assistant_mask: Vec<u8>,
}

impl AutoTokenizer {
    /// Renders a conversation: messages with a `role` and a `content`, the way the model was
    /// taught to read them.
    pub fn apply_chat_template(
        &self,
        messages: &[Value],
        options: &ChatOptions,
    ) -> Result<String, Error> {
        Ok(self.render_chat(messages, options, false)?.text)
    }

    /// Renders and tokenizes a conversation. The template writes the special tokens itself, so
    /// none are added.
    pub fn encode_chat(
        &self,
        messages: &[Value],
        options: &ChatOptions,
    ) -> Result<ChatEncoding, Error> {
        if options.continue_final_message.is_some() {
            let input_ids = self.encode(&self.apply_chat_template(messages, options)?, false)?;
            return Ok(ChatEncoding { assistant_mask: vec![0; input_ids.len()], input_ids });
        }
        let chat = self.render_chat(messages, options, true)?;
        let encoding = self.encode_chars(&chat.text)?;
        let assistant_mask = mask::tokens(&encoding, &chat.generated);
        Ok(ChatEncoding { input_ids: encoding.get_ids().to_vec(), assistant_mask })
    }

    fn render_chat(
        &self,
        messages: &[Value],
        options: &ChatOptions,
        mark: bool,
    ) -> Result<mask::Marked, Error> {
        let name = options.chat_template.as_deref();
        let template = self.chat_templates().select(name, options.tools.is_some())?;
        let context = context::Context::new(messages, options, &template)?;
        let mut variables: Vec<(&str, Variable)> = Vec::new();
        for (name, token) in self.special_tokens().all_named() {
            variables.push((name, Variable::from(token)));
        }
        for (name, value) in &options.variables {
            variables.push((name, context::variable(value)));
        }
        variables.extend(context.variables());
        let marker = if mark && source::marks_generation(&template) {
            Some(mask::marker(&template, messages, options))
        } else {
            None
        };
        if let Some(marker) = marker {
            variables.push((environment::MARKER, Variable::from_object(marker)));
        }
        let program = self.chat_templates().program(&template)?;
        let render = || program.render(Variable::from_pairs(variables));
        let rendered = if nests(&template) { bounded(render) } else { caught(render) }?;
        Ok(mask::unmark(context.finish(rendered)?, marker))
    }
}

/// Runs minijinja where neither a panic nor deep nesting can take the process down. Programs and
/// values nest as deep as fuel and [`templates::MAX_LEN`] allow, and are freed by recursion.
fn bounded<T>(f: impl FnOnce() -> Result<T, minijinja::Error>) -> Result<T, Error> {
    caught(|| stacker::grow(STACK, f))
}

fn caught<T>(f: impl FnOnce() -> Result<T, minijinja::Error>) -> Result<T, Error> {
    guarded(f).map_err(Error::template)?.map_err(template_error)
}

/// Whether a template could nest values deeply: in a loop only a namespace carries a value from
/// one round to the next, and without one each level takes a few bytes of template.
fn nests(template: &str) -> bool {
    template.contains("namespace") || template.len() > SHORT
}

fn template_error(error: minijinja::Error) -> Error {
    let raised = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<environment::Raised>());
    if let Some(environment::Raised(message)) = raised {
        return Error::TemplateRaised { message: message.clone() };
    }
    let reason = match (error.detail(), error.line()) {
        (Some(detail), Some(line)) => format!("line {line}: {}: {detail}", error.kind()),
        (None, Some(line)) => format!("line {line}: {}", error.kind()),
        (detail, None) => format!("{}: {}", error.kind(), detail.unwrap_or("no details")),
    };
    Error::template(reason)
}

/// Reserved, not used, unless a template is hostile.
const STACK: usize = 256 << 20;
const SHORT: usize = 16 << 10;
