//! Which of transformers' tokenizer classes opens a directory.

use serde_json::{Map, Value};

use super::{
    classes::CLASSES,
    registered::{INCORRECT, REGISTERED},
};

/// A class that does more than run tokenizer.json as it is, or the one that does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Class {
    /// `TokenizersBackend`: the file is the tokenizer.
    #[default]
    AsIs,
    /// `BertTokenizer`.
    Bert,
    /// `GemmaTokenizer`.
    Gemma,
    /// `GPT2Tokenizer`.
    Gpt2,
    /// `GPTNeoXTokenizer`.
    GptNeoX,
    /// `LlamaTokenizer`.
    Llama,
    /// `Qwen2Tokenizer`.
    Qwen2,
}

impl Class {
    /// Follows `AutoTokenizer.from_pretrained` of transformers 5.23, which is asked for no remote
    /// code. The error names a class that is not known here.
    pub(crate) fn resolve(
        config: &Map<String, Value>,
        tokenizer_config: &Map<String, Value>,
        tokenizer_json: Option<&[u8]>,
    ) -> Result<Class, String> {
        let declared = |document: &Map<String, Value>| {
            let class = document.get("tokenizer_class")?.as_str()?;
            (!class.is_empty()).then(|| class.to_owned())
        };
        let word = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
        let model_type = word("model_type");
        let registered = REGISTERED.iter().find(|(name, ..)| *name == model_type);
        let incorrect = INCORRECT.contains(&model_type) || INCORRECT.contains(&word("model_name"));
        let (own, of_model) = (declared(tokenizer_config), declared(config));
        let has_remote_code = names_code(tokenizer_config);

        if let Some(hub) = own.as_deref().or(of_model.as_deref())
            && !has_remote_code
        {
            if plain(hub) == "LlamaTokenizer"
                && !incorrect
                && tokenizer_json.is_some_and(is_byte_level)
            {
                // Llama 3's files say LlamaTokenizer, which would undo their byte level.
                return Ok(Class::AsIs);
            }
            if let Some((_, registered, _)) = registered
                && *registered != plain(hub)
            {
                let chosen = if incorrect { *registered } else { hub };
                return match known_as(chosen) {
                    Some(class) if *registered != BACKEND => Class::named(class),
                    _ => Ok(Class::AsIs),
                };
            }
        }
        // The configuration of gpt-sw3 is GPT-2's, by which transformers goes from here on.
        let of_config = if model_type == "gpt-sw3" { "gpt2" } else { model_type };
        let registered =
            REGISTERED.iter().find(|(name, _, has_config)| *has_config && *name == of_config);
        if has_remote_code
            && !incorrect
            && registered.is_none()
            && own.as_deref().and_then(known_as).is_none()
        {
            return Err("a class of its own code (`auto_map`), which is not run here".to_owned());
        }
        match (own, of_model) {
            (Some(own), _) => known_as(&own).map_or(Ok(Class::AsIs), Class::named),
            (None, Some(class)) => Class::named(known_as(&class).unwrap_or(&class)),
            (None, None) => registered.map_or(Ok(Class::AsIs), |(_, class, _)| {
                Class::named(known_as(class).unwrap_or(*class))
            }),
        }
    }

    /// What Python calls the class.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Class::AsIs => BACKEND,
            Class::Bert => "BertTokenizer",
            Class::Gemma => "GemmaTokenizer",
            Class::Gpt2 => "GPT2Tokenizer",
            Class::GptNeoX => "GPTNeoXTokenizer",
            Class::Llama => "LlamaTokenizer",
            Class::Qwen2 => "Qwen2Tokenizer",
        }
    }

    fn named(name: &str) -> Result<Class, String> {
        let known = [
            Class::AsIs,
            Class::Bert,
            Class::Gemma,
            Class::Gpt2,
            Class::GptNeoX,
            Class::Llama,
            Class::Qwen2,
        ];
        let found = known.into_iter().find(|class| class.name() == name);
        found.ok_or_else(|| format!("`{name}`, a class that is not known here"))
    }
}

/// The class that transformers takes a name for; `None` if it knows no such class.
fn known_as(name: &str) -> Option<&'static str> {
    let find = |name: &str| CLASSES.iter().find(|(it, _)| *it == name).map(|(_, class)| *class);
    find(name).or_else(|| find(plain(name)))
}

/// The name without `Fast` at its end.
fn plain(name: &str) -> &str {
    name.strip_suffix("Fast").unwrap_or(name)
}

/// Whether the files name Python code that makes the tokenizer.
fn names_code(tokenizer_config: &Map<String, Value>) -> bool {
    match tokenizer_config.get("auto_map") {
        Some(Value::Array(_)) => true,
        Some(Value::Object(map)) => map.get("AutoTokenizer").is_some_and(|it| !it.is_null()),
        _ => false,
    }
}

fn is_byte_level(tokenizer_json: &[u8]) -> bool {
    const NEEDLE: &[u8] = b"\"ByteLevel\"";
    tokenizer_json.windows(NEEDLE.len()).any(|window| window == NEEDLE)
}

const BACKEND: &str = "TokenizersBackend";
