//! What transformers makes of a `config.json`, before anything reads it.
//!
//! A configuration class of transformers is a list of fields with types and defaults, and a few
//! steps that derive one field from others. [`Family`] is such a class as data, [`load`] runs it:
//! the result has every field of the class, in the form of transformers 5, and every field that
//! the class does not know.

use crate::{
    Error, base,
    json::{self, Object, Value},
    schema,
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
    let declared = || base::FIELDS.iter().chain(family.fields).chain(rope);
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
    base::complete(&mut a, &mut rest)?;
    for (key, value) in rest {
        base::set_rest(&mut a, key, value);
    }
    base::remap_layer_types(&mut a);
    base::validate(&mut a)?;
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

/// Layers that a list per layer is derived for; the deepest published network has some 150.
pub(crate) const MAX_LAYERS: i64 = 1 << 16;

/// Lists with an element per layer are made from this number, so it is looked at first.
fn check_layer_count(a: &Attributes) -> Result<(), Error> {
    let count = a.int("num_hidden_layers")?;
    match (0..=MAX_LAYERS).contains(&count) {
        true => Ok(()),
        false => Err(a.wrong("num_hidden_layers", "from 0 to 65536", &count.into())),
    }
}
