//! From files to a running tokenizer, the way transformers goes.

mod charsmap;
mod class;
mod classes;
mod document;
mod growth;
mod init;
mod model;
pub(crate) mod python_json;
mod rebuild;
mod registered;
mod sentencepiece;
mod settings;
mod vocabulary;

use serde_json::{Map, Value, json};
use tokenizers::{AddedToken, ModelWrapper, PostProcessorWrapper, Tokenizer};

pub use settings::Side;
pub(crate) use {class::Class, document::Stages, settings::Settings};

use self::{document::Document, init::Init};
use crate::{
    Error, TokenizerFiles,
    bundle::{CONFIG, TOKENIZER},
    guard::guarded,
};

/// A tokenizer without its added tokens, and what is left to do about its post-processor.
pub(crate) struct Parts {
    pub(crate) model: ModelWrapper,
    pub(crate) stages: Stages,
    /// Tokens that tokenizer.json adds, if it is taken as it is.
    pub(crate) tokens: Vec<AddedToken>,
}

/// Makes a tokenizer of its files. `config` is the model's config.json, which names the family.
pub(crate) fn load(
    files: &TokenizerFiles,
    config: &Map<String, Value>,
) -> Result<(Tokenizer, Settings), Error> {
    let tokenizer_config = init::read_object(files, CONFIG)?.unwrap_or_default();
    let class = Class::resolve(config, &tokenizer_config, files.get(TOKENIZER))
        .map_err(|class| Error::invalid(CONFIG, format!("the tokenizer is {class}; {WAY_OUT}")))?;
    let document = files.get(TOKENIZER).map(Document::parse).transpose();
    let mut document = document.map_err(|reason| Error::invalid(TOKENIZER, reason))?;
    let mut init = Init::read(files, document.as_ref().map_or(&[], |it| &it.added_tokens))?;
    init.default_tokens(rebuild::default_tokens(class));
    if class == Class::Gpt2 {
        // Its constructor says "none" where others say nothing.
        init.named.entry("pad_token".to_owned()).or_insert(None);
    }
    settings::take_defaults(&mut init, document.as_ref());
    let source = if document.is_some() { TOKENIZER } else { CONFIG };
    let parts = match document.take() {
        Some(document) if class == Class::AsIs => {
            as_is(document).map_err(|reason| Error::invalid(TOKENIZER, reason))?
        }
        Some(document) => rebuild::from_document(class, document, &init)
            .map_err(|reason| Error::invalid(TOKENIZER, reason))?,
        None => vocabulary::from_files(class, files, &mut init)?,
    };
    let tokenizer = guarded(|| assemble(class, parts, &init))
        .and_then(|assembled| assembled)
        .map_err(|reason| Error::invalid(source, reason))?;
    let settings = Settings::new(class, &init, tokenizer_config, &tokenizer)?;
    Ok((tokenizer, settings))
}

fn as_is(document: Document) -> Result<Parts, String> {
    let stages = document.stages()?;
    let tokens = document.added_tokens.into_iter().map(|entry| entry.token).collect();
    // The crate may panic on a model that passes all checks.
    let model = guarded(|| model::as_is(document.model)).and_then(|model| model)?;
    Ok(Parts { model, stages, tokens })
}

/// Puts the parts together and adds the tokens that the files ask for.
fn assemble(class: Class, parts: Parts, init: &Init) -> Result<Tokenizer, String> {
    let text = |e: tokenizers::Error| e.to_string();
    let mut tokenizer = Tokenizer::new(parts.model);
    tokenizer.with_normalizer(parts.stages.normalizer).map_err(text)?;
    tokenizer.with_pre_tokenizer(parts.stages.pre_tokenizer);
    tokenizer.with_decoder(parts.stages.decoder);
    tokenizer.add_tokens(parts.tokens).map_err(text)?;

    let add_bos = init.options.get("add_bos_token").and_then(Value::as_bool);
    let add_eos = init.options.get("add_eos_token").and_then(Value::as_bool);
    let regenerate = add_bos.is_some()
        || add_eos.is_some()
        || parts.stages.post_processor.is_none()
        || class == Class::GptNeoX;
    tokenizer.with_post_processor(parts.stages.post_processor);

    let tokens = missing_tokens(&tokenizer, init);
    tokenizer.add_tokens(tokens).map_err(text)?;
    if class == Class::Qwen2 {
        let special = init.named_tokens().chain(&init.extra);
        let special = special.map(|token| AddedToken::from(token.content(), true));
        tokenizer.add_tokens(special.collect::<Vec<_>>()).map_err(text)?;
    }
    if class == Class::Bert {
        let processor = rebuild::bert_post_processor(&tokenizer, init)?;
        tokenizer.with_post_processor(Some(processor));
    } else if regenerate {
        let template = bos_eos(&tokenizer, init, add_bos, add_eos);
        let processor: Option<PostProcessorWrapper> =
            document::stage("post_processor", &Some(template))?;
        tokenizer.with_post_processor(processor);
    }
    let split = init.options.get("split_special_tokens").and_then(Value::as_bool);
    tokenizer.set_encode_special_tokens(split.unwrap_or(false));
    Ok(tokenizer)
}

/// The tokens of the files that the tokenizer does not have yet: first those with ids, by id, then
/// the special ones.
fn missing_tokens(tokenizer: &Tokenizer, init: &Init) -> Vec<AddedToken> {
    let present = tokenizer.get_added_tokens_decoder();
    let mut tokens: Vec<AddedToken> = init
        .added
        .values()
        .filter(|token| !present.values().any(|it| it == *token))
        .cloned()
        .collect();
    let named: Vec<&str> = init.named_tokens().map(init::Named::content).collect();
    let known = |tokens: &[AddedToken], content: &str| {
        present.values().any(|it| it.content == content)
            || tokens.iter().any(|it| it.content == content)
    };
    for token in init.named_tokens().chain(&init.extra) {
        if !known(&tokens, token.content()) {
            tokens.push(token.to_added());
        }
    }
    for token in &mut tokens {
        token.special |= named.contains(&token.content.as_str());
    }
    tokens
}

/// `<s> A </s>`, with the parts that are asked for.
fn bos_eos(
    tokenizer: &Tokenizer,
    init: &Init,
    add_bos: Option<bool>,
    add_eos: Option<bool>,
) -> Value {
    let wanted = |add: Option<bool>, role: &str| {
        if add == Some(true) { init.token(role).map(str::to_owned) } else { None }
    };
    let (bos, eos) = (wanted(add_bos, "bos_token"), wanted(add_eos, "eos_token"));
    let unk = init.token("unk_token").and_then(|unk| tokenizer.token_to_id(unk));
    let part = |name: &str, sequence: u8| {
        let mut pieces = Vec::new();
        let special = |token: &String| json!({"SpecialToken": {"id": token, "type_id": sequence}});
        pieces.extend(bos.as_ref().map(special));
        pieces.push(json!({"Sequence": {"id": name, "type_id": sequence}}));
        pieces.extend(eos.as_ref().map(special));
        pieces
    };
    let mut special = Map::new();
    for token in bos.iter().chain(&eos) {
        let id = tokenizer.token_to_id(token).or(unk);
        special.insert(token.clone(), json!({"id": token, "ids": [id], "tokens": [token]}));
    }
    let mut pair = part("A", 0);
    pair.extend(part("B", 1));
    json!({
        "type": "TemplateProcessing",
        "single": part("A", 0),
        "pair": pair,
        "special_tokens": special,
    })
}

const WAY_OUT: &str =
    "if tokenizer.json holds all of it, set tokenizer_class to \"PreTrainedTokenizerFast\"";
