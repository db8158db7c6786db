//! What transformers makes of a `config.json`, before anything reads it.
//!
//! A configuration class of transformers is a list of fields with types and defaults, and a few
//! steps that derive one field from others. [`Family`] is such a class as data, [`load`] runs it:
//! the result has every field of the class, in the form of transformers 5, and every field that
//! the class does not know.

use crate::{
    Error, dtype,
    json::{self, Object, Value},
    rope, schema,
};

/// A configuration class of transformers.
pub(crate) struct Family {
    pub(crate) model_type: &'static str,
    /// The class that `AutoModelForCausalLM` makes.
    pub(crate) causal_lm: &'static str,
    pub(crate) fields: &'static [Field],
    /// Names that stand for another field (`attribute_map`).
    pub(crate) aliases: &'static [(&'static str, &'static str)],
    /// Derives fields from others, before RoPE is looked at (`__post_init__`).
    pub(crate) derive: Derive,
    /// Brings the RoPE parameters into the form of transformers 5 (`convert_rope_params_to_dict`),
    /// if the class has them.
    pub(crate) rope: Option<Derive>,
    /// What else has to hold (`validate_*`).
    pub(crate) validate: fn(&Attributes) -> Result<(), Error>,
    /// Undoes what reading the file again would do again (`to_dict`).
    pub(crate) before_save: fn(&mut Attributes) -> Result<(), Error>,
}

/// Derives fields from others and from those of the document that the class does not declare, of
/// which it may take some away.
pub(crate) type Derive = fn(&mut Attributes, &mut Object) -> Result<(), Error>;

/// A field of a configuration class.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Default,
    /// What a number must be for this crate's types; transformers has no bounds.
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// A type as a configuration class declares it. A field of another type is refused: no `64.0` or
/// `"64"` for an integer, no `1` for a float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Bool,
    OptionalBool,
    Int,
    OptionalInt,
    Float,
    OptionalFloat,
    /// `int | float`
    Number,
    /// `int | float | None`
    OptionalNumber,
    Text,
    OptionalText,
    /// `int | list[int] | None`
    TokenIds,
    /// `list[int] | None`
    Ints,
    /// `list[str] | None`
    Texts,
    /// `dict | None`
    Rope,
    /// Declared in a way that is not checked.
    Any,
}

/// What a field is if the document does not have it.
#[derive(Clone, Copy)]
pub(crate) enum Default {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'static str),
}

/// The fields of a configuration, all of them.
pub(crate) struct Attributes {
    pub(crate) family: &'static Family,
    fields: Object,
}

/// Reads a document as transformers does.
pub(crate) fn load(family: &'static Family, document: &Object) -> Result<Attributes, Error> {
    let rope = family.rope.map(|_| &schema::ROPE);
    let declared = || BASE.iter().chain(family.fields).chain(rope);
    let (mut given, mut rest) = (Object::new(), Object::new());
    for (key, value) in document.iter() {
        let known = declared().any(|field| field.name == key);
        // Keys of a document are unique, so that there is nothing to replace.
        if known { &mut given } else { &mut rest }.push(key, value.clone());
    }

    let mut a = Attributes { family, fields: Object::new() };
    for field in declared() {
        let value = given.remove(field.name).unwrap_or_else(|| field.default.into());
        if !field.kind.admits(&value) {
            return Err(a.wrong(field.name, field.kind.expected(), &value));
        }
        a.set(field.name, value);
    }
    check_layer_count(&a)?;
    (family.derive)(&mut a, &mut rest)?;
    base_steps(&mut a, &mut rest)?;
    for (key, value) in rest {
        set_rest(&mut a, key, value);
    }
    remap_layer_types(&mut a);
    validate(&mut a)?;
    Ok(a)
}

impl Attributes {
    /// A field, by its name or an alias.
    pub(crate) fn get(&self, name: &str) -> &Value {
        self.fields.get(self.resolve(name)).unwrap_or(&Value::Null)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        let name = self.resolve(name).to_owned();
        self.fields.get_mut(&name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains(self.resolve(name))
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        let name = self.resolve(name).to_owned();
        self.fields.set(name, value);
    }

    pub(crate) fn fields(&self) -> &Object {
        &self.fields
    }

    /// An integer that fits, for the steps that compute with it.
    pub(crate) fn int(&self, name: &str) -> Result<i64, Error> {
        let value = self.get(name);
        value.as_i64().ok_or_else(|| self.wrong(name, "an integer of 64 bits", value))
    }

    /// An error that says what a field should be.
    pub(crate) fn wrong(&self, name: &str, expected: &str, got: &Value) -> Error {
        self.invalid(name, format!("must be {expected}, got {}", json::to_line(got)))
    }

    /// An error in a field.
    pub(crate) fn invalid(&self, field: &str, reason: impl Into<String>) -> Error {
        Error::Invalid {
            model_type: self.family.model_type,
            field: field.to_owned(),
            reason: reason.into(),
        }
    }

    fn resolve<'a>(&self, name: &'a str) -> &'a str {
        self.family.aliases.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name)
    }
}

impl Kind {
    fn admits(self, value: &Value) -> bool {
        let all = |values: &[Value], of: fn(&Value) -> bool| values.iter().all(of);
        match (self, value) {
            (Kind::Any, _) => true,
            (
                Kind::OptionalBool
                | Kind::OptionalInt
                | Kind::OptionalFloat
                | Kind::OptionalNumber
                | Kind::OptionalText
                | Kind::TokenIds
                | Kind::Ints
                | Kind::Texts
                | Kind::Rope,
                Value::Null,
            ) => true,
            (Kind::Bool | Kind::OptionalBool, Value::Bool(_)) => true,
            (Kind::Int | Kind::OptionalInt | Kind::TokenIds, Value::Int(_)) => true,
            (Kind::Float | Kind::OptionalFloat, Value::Float(_)) => true,
            (Kind::Number | Kind::OptionalNumber, Value::Int(_) | Value::Float(_)) => true,
            (Kind::Text | Kind::OptionalText, Value::String(_)) => true,
            (Kind::TokenIds | Kind::Ints, Value::Array(values)) => {
                all(values, |it| matches!(it, Value::Int(_)))
            }
            (Kind::Texts, Value::Array(values)) => all(values, |it| matches!(it, Value::String(_))),
            (Kind::Rope, Value::Object(_)) => true,
            _ => false,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Kind::Any => "a value",
            Kind::Bool => "true or false",
            Kind::OptionalBool => "true, false or null",
            Kind::Int => "an integer (written without `.0` and quotes)",
            Kind::OptionalInt => "an integer (written without `.0` and quotes) or null",
            Kind::Float => "a float (`1.0`, not `1`)",
            Kind::OptionalFloat => "a float (`1.0`, not `1`) or null",
            Kind::Number => "a number",
            Kind::OptionalNumber => "a number or null",
            Kind::Text => "a string",
            Kind::OptionalText => "a string or null",
            Kind::TokenIds => "an integer, a list of integers or null",
            Kind::Ints => "a list of integers or null",
            Kind::Texts => "a list of strings or null",
            Kind::Rope => "an object or null",
        }
    }
}

impl From<Default> for Value {
    fn from(default: Default) -> Value {
        match default {
            Default::Null => Value::Null,
            Default::Bool(value) => value.into(),
            Default::Int(value) => value.into(),
            Default::Float(value) => value.into(),
            Default::Text(value) => value.into(),
        }
    }
}

/// The fields that every class has. Their types are not checked, as transformers does not.
pub(crate) const BASE: &[Field] = &[
    schema::any("transformers_version", Default::Null),
    schema::any("architectures", Default::Null),
    schema::any("output_hidden_states", Default::Bool(false)),
    schema::any("return_dict", Default::Bool(true)),
    schema::any("dtype", Default::Null),
    schema::any("chunk_size_feed_forward", Default::Int(0)),
    schema::any("is_encoder_decoder", Default::Bool(false)),
    schema::any("id2label", Default::Null),
    schema::any("label2id", Default::Null),
    schema::any("problem_type", Default::Null),
];

/// Layers that a list per layer is derived for; the deepest published network has some 150.
pub(crate) const MAX_LAYERS: i64 = 1 << 16;

/// More classes than any classifier has.
const MAX_LABELS: i64 = 1 << 20;

/// Lists with an element per layer are made from this number, so it is looked at first.
fn check_layer_count(a: &Attributes) -> Result<(), Error> {
    let count = a.int("num_hidden_layers")?;
    match (0..=MAX_LAYERS).contains(&count) {
        true => Ok(()),
        false => Err(a.wrong("num_hidden_layers", "from 0 to 65536", &count.into())),
    }
}

/// `PreTrainedConfig.__post_init__`
fn base_steps(a: &mut Attributes, rest: &mut Object) -> Result<(), Error> {
    let torch_dtype = rest.remove("torch_dtype").unwrap_or(Value::Null);
    if a.get("dtype").is_null() && !torch_dtype.is_null() {
        a.set("dtype", torch_dtype);
    }
    if let Some(name) = dtype::check(a.family.model_type, a.get("dtype"))?.map(str::to_owned) {
        a.set("dtype", name);
    }
    labels(a, rest)?;

    let says = |key| rest.get(key).is_some_and(Value::is_truthy);
    match a.family.rope {
        Some(convert) => convert(a, rest)?,
        None if says("rope_scaling") && says("rope_theta") => rope::convert(a, rest)?,
        None => {}
    }
    check_attention_outputs(a, rest)?;
    rest.retain(|key, _| !GENERATION.contains(&key) && !DROPPED.contains(&key));
    a.set("output_attentions", rest.remove("output_attentions").unwrap_or(Value::Bool(false)));
    Ok(())
}

/// `validate_output_attentions`
fn check_attention_outputs(a: &Attributes, rest: &Object) -> Result<(), Error> {
    let given = rest.get("_attn_implementation").or_else(|| rest.get("attn_implementation"));
    let is_eager = given.is_none_or(|it| it.is_null() || it.as_str() == Some("eager"));
    match rest.get("output_attentions").is_some_and(Value::is_truthy) && !is_eager {
        true => Err(a.invalid("output_attentions", "needs `_attn_implementation` to be eager")),
        false => Ok(()),
    }
}

/// `id2label`, `label2id` and `num_labels` say the same; the first wins, two labels are the default.
fn labels(a: &mut Attributes, rest: &mut Object) -> Result<(), Error> {
    let count = match rest.remove("num_labels") {
        None => None,
        Some(value) => match value.as_i64() {
            Some(count) if count <= MAX_LABELS => Some(count.max(0)),
            _ => return Err(a.wrong("num_labels", "an integer of at most 2^20", &value)),
        },
    };
    let names = match a.get("id2label") {
        Value::Null => None,
        Value::Object(names) => {
            let id = |key: &str| key.trim().parse::<i64>().ok();
            let names: Option<Object> = names
                .iter()
                .map(|(key, name)| Some((id(key)?.to_string(), name.clone())))
                .collect();
            Some(names.ok_or_else(|| a.invalid("id2label", "must have integers as keys"))?)
        }
        other => return Err(a.wrong("id2label", "an object or null", other)),
    };
    let n_names = names.as_ref().map(|names| names.len() as i64);
    match (names, count) {
        (Some(names), None) => a.set("id2label", names),
        (Some(names), Some(count)) if Some(count) == n_names => a.set("id2label", names),
        // A count that contradicts the names replaces them, as the last step of transformers does.
        (_, count) => {
            let labels = || (0..count.unwrap_or(2)).map(|i| (i, format!("LABEL_{i}")));
            let named = labels().map(|(i, label)| (i.to_string(), label.into()));
            a.set("id2label", named.collect::<Object>());
            let numbered = labels().map(|(i, label)| (label, i.into()));
            a.set("label2id", numbered.collect::<Object>());
        }
    }
    let one = a.get("id2label").as_object().is_some_and(|names| names.len() == 1);
    if one && a.get("problem_type").as_str() == Some("single_label_classification") {
        return Err(a.invalid("problem_type", "needs more than one label"));
    }
    Ok(())
}

/// Sets a field that the class does not declare.
fn set_rest(a: &mut Attributes, key: String, value: Value) {
    match key.as_str() {
        // A model without RoPE keeps the scaling under its new name.
        "rope_scaling" => a.set("rope_parameters", value),
        "_output_attentions" => a.set("output_attentions", value),
        _ => a.set(&key, value),
    }
}

/// Names of layer types that were changed.
fn remap_layer_types(a: &mut Attributes) {
    for name in ["layer_types", "mtp_layer_types"] {
        let Some(Value::Array(types)) = a.get_mut(name) else { continue };
        for layer_type in types {
            let new = match layer_type.as_str() {
                Some("mamba") => "linear_attention",
                Some("attention") => "full_attention",
                Some("deepseek_sparse_attention" | "qwen_sparse_attention") => "indexed_attention",
                _ => continue,
            };
            *layer_type = new.into();
        }
    }
}

fn validate(a: &mut Attributes) -> Result<(), Error> {
    validate_layer_types(a, "layer_types", ATTENTION_TYPES)?;
    if a.has("layer_types") {
        validate_layer_types(a, "mlp_layer_types", &["sparse", "dense"])?;
    }
    rope::validate(a)?;
    (a.family.validate)(a)
}

fn validate_layer_types(a: &Attributes, name: &str, allowed: &[&str]) -> Result<(), Error> {
    let types = match a.get(name) {
        Value::Null => return Ok(()),
        Value::Array(types) => types,
        other => return Err(a.wrong(name, "a list", other)),
    };
    for layer_type in types {
        if !layer_type.as_str().is_some_and(|it| allowed.contains(&it)) {
            return Err(a.wrong(name, "a list of known layer types", layer_type));
        }
    }
    let count = a.int("num_hidden_layers")?;
    if types.len() as i64 != count {
        let reason = format!("has {} entries for {count} layers (num_hidden_layers)", types.len());
        return Err(a.invalid(name, reason));
    }
    Ok(())
}

/// `ALLOWED_ATTN_LAYER_TYPES`
const ATTENTION_TYPES: &[&str] = &[
    "full_attention",
    "sliding_attention",
    "chunked_attention",
    "window_attention",
    "indexed_attention",
    "compressed_sparse_attention",
    "heavily_compressed_attention",
    "minimax_m3_sparse",
    "conv",
    "moe",
    "hybrid",
    "hybrid_sliding",
    "reference_sliding_attention",
    "linear_attention",
];

/// Parameters of generation, which older files have in `config.json`; they belong into
/// `generation_config.json` and are not kept here.
pub(crate) const GENERATION: &[&str] = &[
    "max_length",
    "min_length",
    "do_sample",
    "use_cache",
    "early_stopping",
    "num_beams",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "repetition_penalty",
    "length_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "num_return_sequences",
    "output_scores",
    "return_dict_in_generate",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "remove_invalid_values",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
    "epsilon_cutoff",
    "eta_cutoff",
    "encoder_repetition_penalty",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "assistant_confidence_threshold",
    "assistant_lookbehind",
    "target_lookbehind",
    "num_beam_groups",
    "diversity_penalty",
];

/// Fields that say where a file came from or how to run it, and are never kept.
const DROPPED: &[&str] = &[
    "name_or_path",
    "_name_or_path",
    "_commit_hash",
    "attn_implementation",
    "_attn_implementation",
    "_attn_implementation_internal",
    "experts_implementation",
    "_experts_implementation",
    "_experts_implementation_internal",
    "model_type",
    "kwargs",
];
