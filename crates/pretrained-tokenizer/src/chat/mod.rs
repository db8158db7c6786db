//! Chat templates: conversations to prompts.
//!
//! Templates are [Jinja](jinja), with the environment that transformers sets up and with Python's
//! methods and spelling. They come with the model, from anyone: rendering is bounded in time,
//! memory, depth and output, and reaches no file.

mod context;
mod jinja;
mod mask;
mod templates;
#[cfg(test)]
mod tests;
mod time;

use bumpalo::Bump;
use serde_json::{Map, Value};

pub(crate) use templates::ChatTemplates;

use jinja::{Failure, Rendered, Value as Variable};

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
    ///
    /// # Errors
    ///
    /// [`Error::Template`] where there is no template to take, or it is no Jinja, fails, or takes
    /// more steps or memory than is allowed; for an empty conversation, and a message, tool or
    /// document that is no object; for a message that cannot be continued, or should be beside
    /// `add_generation_prompt`. [`Error::TemplateRaised`] where the template itself refuses the
    /// conversation.
    pub fn apply_chat_template(
        &self,
        messages: &[Value],
        options: &ChatOptions,
    ) -> Result<String, Error> {
        Ok(self.render_chat(messages, options, false)?.text)
    }

    /// Renders and tokenizes a conversation. The template writes the special tokens itself, so
    /// none are added.
    ///
    /// # Errors
    ///
    /// As for [`AutoTokenizer::apply_chat_template`]; and [`Error::Text`] where the prompt cannot
    /// be tokenized.
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
        let assistant_mask = mask::tokens(&encoding, &mask::ranges(&chat));
        Ok(ChatEncoding { input_ids: encoding.get_ids().to_vec(), assistant_mask })
    }

    fn render_chat(
        &self,
        messages: &[Value],
        options: &ChatOptions,
        mark: bool,
    ) -> Result<Rendered, Error> {
        let name = options.chat_template.as_deref();
        let template = self.chat_templates().select(name, options.tools.is_some())?;
        let program = self.chat_templates().program(&template)?;
        let arena = Bump::new();
        let context = context::Context::new(messages, options, &template, &arena)?;
        let mut variables = Vec::new();
        for (name, token) in self.special_tokens().all_named() {
            variables.push((name, Variable::Str(token)));
        }
        for (name, value) in &options.variables {
            variables.push((name, Variable::from_json(value)));
        }
        variables.extend(context.variables());
        let rendered = caught(|| program.render(&arena, &variables, mark))?;
        Ok(Rendered { text: context.finish(rendered.text)?, ..rendered })
    }
}

/// A template is not to take the process down whatever it says, nor is a mistake in here to show
/// what it was given.
fn caught<T>(f: impl FnOnce() -> Result<T, Box<Failure>>) -> Result<T, Error> {
    let result = guarded(f)
        .map_err(|_| Error::template("this template cannot be rendered; please report it"))?;
    result.map_err(|failure| match *failure {
        Failure { reason, raised: true, .. } => Error::TemplateRaised { message: reason },
        Failure { reason, line: 0, .. } => Error::template(reason),
        Failure { reason, line, .. } => Error::template(format!("line {line}: {reason}")),
    })
}
