//! Where a tokenizer's chat templates are, and which one a call means.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value};

use super::{caught, jinja::Program};
use crate::{
    Error, TokenizerFiles,
    bundle::{CHAT_TEMPLATE, CONFIG, template_name},
};

/// The templates of a tokenizer, by name, and those that have been compiled.
#[derive(Debug, Default)]
pub(crate) struct ChatTemplates {
    /// A single template without a name is `Err`.
    named: BTreeMap<String, String>,
    single: Option<String>,
    programs: Mutex<Vec<(String, Arc<Program>)>>,
}

impl ChatTemplates {
    /// Template files go before the configuration's `chat_template`.
    pub(crate) fn read(
        files: &TokenizerFiles,
        config: &Map<String, Value>,
    ) -> Result<ChatTemplates, Error> {
        let mut named = BTreeMap::new();
        for file in files.names() {
            let name = if file == CHAT_TEMPLATE { Some("default") } else { template_name(file) };
            if let (Some(name), Some(bytes)) = (name, files.get(file)) {
                let text = std::str::from_utf8(bytes).map_err(|e| Error::invalid(file, e))?;
                named.insert(name.to_owned(), newlines(text).into_owned());
            }
        }
        if named.is_empty() {
            return ChatTemplates::from_config(config.get("chat_template"));
        }
        let single = if named.len() == 1 { named.remove("default") } else { None };
        Ok(ChatTemplates { named, single, ..ChatTemplates::default() })
    }

    fn from_config(value: Option<&Value>) -> Result<ChatTemplates, Error> {
        let mut templates = ChatTemplates::default();
        let wrong =
            || Error::invalid(CONFIG, "chat_template is neither text nor a list of templates");
        match value {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => templates.single = Some(text.clone()),
            Some(Value::Array(list)) => {
                for entry in list {
                    let text = |key: &str| entry.get(key).and_then(Value::as_str).ok_or_else(wrong);
                    templates.named.insert(text("name")?.to_owned(), text("template")?.to_owned());
                }
            }
            Some(Value::Object(object)) => {
                for (name, text) in object {
                    let text = text.as_str().ok_or_else(wrong)?;
                    templates.named.insert(name.clone(), text.to_owned());
                }
            }
            Some(_) => return Err(wrong()),
        }
        Ok(templates)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.single.is_none() && self.named.is_empty()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }

    /// The template that `wanted` names or is, or the one for a call with or without tools.
    pub(super) fn select<'a>(
        &'a self,
        wanted: Option<&'a str>,
        tools: bool,
    ) -> Result<Cow<'a, str>, Error> {
        if let Some(wanted) = wanted {
            return Ok(Cow::Borrowed(self.named.get(wanted).map_or(wanted, String::as_str)));
        }
        if let Some(single) = &self.single {
            return Ok(Cow::Borrowed(single));
        }
        if let Some(template) = self.named.get("tool_use").filter(|_| tools) {
            return Ok(Cow::Borrowed(template));
        }
        if let Some(template) = self.named.get("default") {
            return Ok(Cow::Borrowed(template));
        }
        if self.named.is_empty() {
            return Err(Error::template("the tokenizer has none; pass one"));
        }
        let names: Vec<&str> = self.names().collect();
        Err(Error::template(format!(
            "none of the tokenizer's templates is the default; pass one of {}",
            names.join(", ")
        )))
    }

    /// Compiles a template, once.
    pub(super) fn program(&self, template: &str) -> Result<Arc<Program>, Error> {
        let lock = || self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        // Few templates, and comparing them is faster than hashing one.
        if let Some((_, program)) = lock().iter().find(|(text, _)| text == template) {
            return Ok(Arc::clone(program));
        }
        if template.len() > MAX_LEN {
            return Err(Error::template(format!("longer than {} KiB", MAX_LEN >> 10)));
        }
        let program = Arc::new(caught(|| Program::compile(&newlines(template)))?);
        let mut programs = lock();
        if programs.len() >= MAX_PROGRAMS {
            programs.clear();
        }
        programs.push((template.to_owned(), Arc::clone(&program)));
        Ok(program)
    }
}

/// Line ends as Python's text files and Jinja's lexer make them.
fn newlines(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Four times the longest published template.
pub(super) const MAX_LEN: usize = 256 << 10;

/// Templates given with a call could be all different.
const MAX_PROGRAMS: usize = 64;
