//! What a tokenizer class is constructed with: options, special tokens, added tokens, each from
//! the file that has the last word on it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::{document::AddedTokenEntry, python_json};
use crate::{
    Error, SpecialTokens, TokenizerFiles,
    bundle::{ADDED_TOKENS, CONFIG, SPECIAL_TOKENS_MAP, TOKENIZER},
};

/// A special token: only its text, or with options.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Named {
    Text(String),
    Token(AddedToken),
}

/// The arguments of a tokenizer class.
#[derive(Debug, Default)]
pub(crate) struct Init {
    /// tokenizer_config.json, and the options that special_tokens_map.json overrides.
    pub(crate) options: Map<String, Value>,
    /// Tokens with a role; `None` where a file says null.
    pub(crate) named: BTreeMap<String, Option<Named>>,
    /// Tokens with a role of the model's own, in the order of the file.
    pub(crate) model_specific: Vec<(String, Named)>,
    /// Special tokens without a role.
    pub(crate) extra: Vec<Named>,
    /// Whether a file lists such tokens, if only as an empty list.
    pub(crate) has_extra: bool,
    /// Tokens that go on top of the vocabulary, by the id a file gives them.
    pub(crate) added: BTreeMap<u64, AddedToken>,
}

impl Named {
    pub(crate) fn content(&self) -> &str {
        match self {
            Named::Text(text) => text,
            Named::Token(token) => &token.content,
        }
    }

    /// The token that is added for it. Given as text only, it is special.
    pub(crate) fn to_added(&self) -> AddedToken {
        match self {
            Named::Text(text) => AddedToken::from(text.clone(), true),
            Named::Token(token) => token.clone(),
        }
    }
}

impl Init {
    /// Reads the configuration files. `json_tokens` are those of tokenizer.json.
    pub(crate) fn read(
        files: &TokenizerFiles,
        json_tokens: &[AddedTokenEntry],
    ) -> Result<Init, Error> {
        let mut options = read_object(files, CONFIG)?.unwrap_or_default();
        check_versions(&options)?;
        if files.get(TOKENIZER).is_some() {
            // The post-processor of tokenizer.json has the last word.
            options.remove("add_bos_token");
            options.remove("add_eos_token");
        }
        move_additional(&mut options);
        let mut init = Init::default();
        init.take_model_specific(&mut options)?;
        match options.remove("added_tokens_decoder") {
            Some(Value::Object(decoder)) => {
                for (id, token) in &decoder {
                    let id = id.parse().map_err(|_| {
                        Error::invalid(CONFIG, format!("added_tokens_decoder: {id:?} is no id"))
                    })?;
                    let token = added_token(token).ok_or_else(|| {
                        Error::invalid(CONFIG, format!("added_tokens_decoder: {id} is no token"))
                    })?;
                    init.added.insert(id, token);
                }
            }
            None => {
                init.read_special_tokens_map(files, &mut options)?;
                init.read_added_tokens(files, &options)?;
                // The old name in special_tokens_map.json is understood only now: its tokens are
                // not special to added_tokens.json.
                if !options.contains_key("extra_special_tokens") {
                    move_additional(&mut options);
                }
                for entry in json_tokens {
                    init.added.insert(u64::from(entry.id), entry.token.clone());
                }
            }
            Some(_) => {
                return Err(Error::invalid(CONFIG, "added_tokens_decoder is no object"));
            }
        }
        init.take_named(&mut options)?;
        init.options = options;
        Ok(init)
    }

    /// The roles of `defaults` that no file sets.
    pub(crate) fn default_tokens(&mut self, defaults: &[(&str, &str)]) {
        for (role, token) in defaults {
            self.named
                .entry((*role).to_owned())
                .or_insert_with(|| Some(Named::Text((*token).to_owned())));
        }
    }

    pub(crate) fn token(&self, role: &str) -> Option<&str> {
        self.named.get(role)?.as_ref().map(Named::content)
    }

    /// The named tokens in transformers' order, then the model's own.
    pub(crate) fn named_tokens(&self) -> impl Iterator<Item = &Named> {
        let roles = ROLES.iter().filter_map(|role| self.named.get(*role)?.as_ref());
        roles.chain(self.model_specific.iter().map(|(_, token)| token))
    }

    pub(crate) fn special_tokens(&self) -> SpecialTokens {
        let mut special = SpecialTokens::default();
        for (name, token) in &self.named {
            if let Some(role) = special.role(name) {
                *role = token.as_ref().map(|token| token.content().to_owned());
            }
        }
        special.extra = self.extra.iter().map(|token| token.content().to_owned()).collect();
        special.model_specific = self
            .model_specific
            .iter()
            .map(|(name, token)| (name.clone(), token.content().to_owned()))
            .collect();
        special
    }

    fn take_model_specific(&mut self, options: &mut Map<String, Value>) -> Result<(), Error> {
        let own = |(name, value): (&String, &Value)| {
            let own = name.ends_with("_token") && !ROLES.contains(&name.as_str());
            (own && value.is_string()).then(|| name.clone())
        };
        let names: Vec<String> = options.iter().filter_map(own).collect();
        let mut tokens: Map<String, Value> = Map::new();
        for name in names {
            if let Some(token) = options.remove(&name) {
                tokens.insert(name, token);
            }
        }
        if let Some(Value::Object(_)) = options.get("extra_special_tokens")
            && let Some(Value::Object(object)) = options.remove("extra_special_tokens")
        {
            tokens.extend(object);
        }
        // Spelled out, they are those, unless there are others.
        match options.remove("model_specific_special_tokens") {
            Some(Value::Object(object)) if tokens.is_empty() => tokens = object,
            None | Some(Value::Null | Value::Object(_)) => {}
            Some(_) => {
                let reason = "model_specific_special_tokens is no object";
                return Err(Error::invalid(CONFIG, reason));
            }
        }
        for (name, token) in tokens {
            let Some(token) = named(&token) else { continue };
            match self.model_specific.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = token,
                None => self.model_specific.push((name, token)),
            }
        }
        Ok(())
    }

    fn read_special_tokens_map(
        &mut self,
        files: &TokenizerFiles,
        options: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        let Some(map) = read_object(files, SPECIAL_TOKENS_MAP)? else { return Ok(()) };
        for (key, value) in map {
            if key == "extra_special_tokens" && value.is_array() {
                let mut extra = match options.remove(&key) {
                    Some(Value::Array(extra)) => extra,
                    _ => Vec::new(),
                };
                for token in value.as_array().into_iter().flatten() {
                    if !extra.contains(token) {
                        extra.push(special(token));
                    }
                }
                options.insert(key, Value::Array(extra));
            } else if key == "extra_special_tokens" {
                options.insert(key, value);
            } else {
                options.insert(key, special(&value));
            }
        }
        self.take_model_specific(options)
    }

    fn read_added_tokens(
        &mut self,
        files: &TokenizerFiles,
        options: &Map<String, Value>,
    ) -> Result<(), Error> {
        let Some(tokens) = read_object(files, ADDED_TOKENS)? else { return Ok(()) };
        let content = |value: &Value| named(value).map(|it| it.content().to_owned());
        let mut specials: Vec<String> =
            ROLES.iter().filter_map(|role| content(options.get(*role)?)).collect();
        let extra = options.get("extra_special_tokens").and_then(Value::as_array);
        specials.extend(extra.into_iter().flatten().filter_map(content));
        for (text, id) in &tokens {
            let id = id.as_u64().ok_or_else(|| {
                Error::invalid(ADDED_TOKENS, format!("the id of {text:?} is no id"))
            })?;
            self.added.insert(id, AddedToken::from(text.clone(), specials.contains(text)));
        }
        Ok(())
    }

    fn take_named(&mut self, options: &mut Map<String, Value>) -> Result<(), Error> {
        for role in ROLES {
            let Some(value) = options.remove(*role) else { continue };
            let token = match &value {
                Value::Null => None,
                value => Some(named(value).ok_or_else(|| {
                    Error::invalid(CONFIG, format!("{role} is neither text nor a token"))
                })?),
            };
            // An added token of the same text brings its options along.
            let known = token.as_ref().and_then(|token| {
                self.added.values().find(|it| it.content == token.content()).cloned()
            });
            self.named.insert((*role).to_owned(), known.map(Named::Token).or(token));
        }
        let extra = options.remove("extra_special_tokens");
        self.has_extra = extra.is_some();
        for value in extra.as_ref().and_then(Value::as_array).into_iter().flatten() {
            let token = named(value).ok_or_else(|| {
                Error::invalid(CONFIG, "extra_special_tokens: neither text nor a token")
            })?;
            self.extra.push(token);
        }
        Ok(())
    }
}

/// Refuses files for versions of transformers, one of which it would open for tokenizer.json.
fn check_versions(options: &Map<String, Value>) -> Result<(), Error> {
    let files = options.get("fast_tokenizer_files").and_then(Value::as_array);
    let mut names = files.into_iter().flatten().filter_map(Value::as_str);
    match names.find(|name| *name != TOKENIZER && name.starts_with("tokenizer.")) {
        Some(name) => Err(Error::invalid(
            CONFIG,
            format!(
                "fast_tokenizer_files: {name:?} is for some versions of transformers, which is not supported: \
                 name it {TOKENIZER} if it is the one, and leave the field out"
            ),
        )),
        None => Ok(()),
    }
}

pub(crate) fn read_object(
    files: &TokenizerFiles,
    name: &str,
) -> Result<Option<Map<String, Value>>, Error> {
    let Some(bytes) = files.get(name) else { return Ok(None) };
    match python_json::parse(bytes) {
        Ok(Value::Object(object)) => Ok(Some(object)),
        Ok(_) => Err(Error::invalid(name, "not a JSON object")),
        Err(e) => Err(Error::invalid(name, e)),
    }
}

/// `additional_special_tokens` is the old name of `extra_special_tokens`.
fn move_additional(options: &mut Map<String, Value>) {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    if options.get("extra_special_tokens").is_none_or(empty)
        && let Some(tokens) = options.remove("additional_special_tokens")
    {
        options.insert("extra_special_tokens".to_owned(), tokens);
    }
}

/// A token of special_tokens_map.json is special whatever it says.
fn special(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        object.insert("special".to_owned(), Value::Bool(true));
    }
    value
}

fn named(value: &Value) -> Option<Named> {
    match value {
        Value::String(text) => Some(Named::Text(text.clone())),
        value => added_token(value).map(Named::Token),
    }
}

/// `AddedToken(**value)`: special tokens are not normalized unless it says so.
fn added_token(value: &Value) -> Option<AddedToken> {
    let object = value.as_object()?;
    let flag = |key: &str| object.get(key).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    Some(AddedToken {
        content: object.get("content")?.as_str()?.to_owned(),
        single_word: flag("single_word").unwrap_or(false),
        lstrip: flag("lstrip").unwrap_or(false),
        rstrip: flag("rstrip").unwrap_or(false),
        normalized: flag("normalized").unwrap_or(!special),
        special,
    })
}

/// The roles that transformers knows, in its order.
pub(crate) const ROLES: &[&str] =
    &["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
