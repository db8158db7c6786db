//! The Jinja environment that transformers gives a chat template.

use std::{fmt, sync::Arc};

use minijinja::{
    Environment, Error, ErrorKind, State, UndefinedBehavior, Value,
    syntax::SyntaxConfig,
    value::{Kwargs, Object, ObjectRepr, ValueKind, ValueOrKwargs},
};

use super::{filters, methods, python, source};

/// A compiled template.
pub(super) struct Program {
    environment: Environment<'static>,
}

impl Program {
    pub(super) fn compile(template: &str) -> Result<Program, Error> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
        environment.set_syntax(syntax);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        environment.set_unknown_method_callback(methods::call);
        environment.set_formatter(|out, _, value| {
            match value.as_str() {
                Some(text) => out.write_str(text),
                None => out.write_str(&python::str(value)?),
            }
            .map_err(|_| too_long())
        });
        filters::add(&mut environment);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", super::time::strftime_now);
        environment.add_function("namespace", namespace);
        environment.add_function("dict", dict);
        environment.add_filter(source::GENERATION, generation);
        environment.add_filter(source::EACH, each);
        environment.add_filter(source::KEPT, kept);
        environment.remove_global("debug");
        environment.add_template_owned(NAME, source::rewrite(template))?;
        Ok(Program { environment })
    }

    /// Renders the template; a [`MARKER`] in the context goes around what generation blocks make.
    pub(super) fn render(&self, context: Value) -> Result<String, Error> {
        // Fuel bounds the output too: one unit pays for 64 bytes.
        self.environment.get_template(NAME)?.render(context)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

/// An exception that the template raised itself, so that its message can be told from others.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(pub(super) String);

fn raise_exception(message: Value) -> Result<Value, Error> {
    let message = python::str(&message)?;
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}

fn namespace(defaults: Option<ValueOrKwargs>) -> Result<Value, Error> {
    if let Some(defaults) = &defaults {
        let value: Value = defaults.clone().into_value();
        for name in value.try_iter().into_iter().flatten() {
            if let Some(name) = name.as_str().filter(|name| name.starts_with('_')) {
                let reason = format!(
                    "chat templates cannot store underscore-prefixed attributes on a namespace: \
                     '{name}'"
                );
                return Err(Error::new(ErrorKind::InvalidOperation, reason));
            }
        }
    }
    minijinja::functions::namespace(defaults)
}

/// `dict(pairs, key=value)`, where the pairs may be a list of tuples too.
fn dict(pairs: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let pairs = match pairs {
        Some(pairs) if pairs.kind() == ValueKind::Seq => {
            let mut fields = Vec::new();
            for pair in pairs.try_iter()? {
                let pair: Vec<Value> = pair.try_iter()?.collect();
                let [key, value] = pair.as_slice() else {
                    return Err(Error::new(ErrorKind::CannotUnpack, "dict takes pairs"));
                };
                fields.push((key.clone(), value.clone()));
            }
            Some(Value::from_pairs(fields))
        }
        pairs => pairs,
    };
    minijinja::functions::dict(pairs, kwargs)
}

/// Python cannot loop over `None`.
fn each(value: Value) -> Result<Value, Error> {
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "'NoneType' object is not iterable"));
    }
    Ok(value)
}

/// minijinja adds lists without copying them, and for free, so that a list can be doubled until
/// writing it out would take all memory.
fn kept(value: Value) -> Result<Value, Error> {
    let is_long = |value: &Value| {
        value.as_str().is_none() && value.len().is_some_and(|len| len > python::MAX_ITEMS)
    };
    let mut long = is_long(&value);
    if !long && value.as_str().is_none() && value.len().is_some_and(|len| len < FEW) {
        long = value.try_iter()?.any(|item| {
            is_long(&item) || value.get_item(&item).is_ok_and(|member| is_long(&member))
        });
    }
    if long {
        return Err(Error::new(ErrorKind::InvalidOperation, "the list is too long"));
    }
    Ok(value)
}

/// Marks what a generation block produces; [`super::mask`] finds the marks again.
fn generation(state: &mut State<'_, '_>, text: Value) -> Value {
    let Some(marker) = state.lookup(MARKER) else { return text };
    let Some(marker) = marker.downcast_object_ref::<Marker>() else { return text };
    Value::from(format!("{}{text}{}", marker.open, marker.close))
}

/// The characters that stand before and after a generation block while a mask is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marker {
    pub(super) open: char,
    pub(super) close: char,
}

impl Object for Marker {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

fn too_long() -> Error {
    Error::new(ErrorKind::WriteFailure, "the rendered conversation is too long")
}

/// A container whose members are looked at too.
const FEW: usize = 9;
pub(super) const MARKER: &str = "__marker";
const NAME: &str = "chat";

// One unit pays for one instruction or 64 bytes of data: enough for conversations of tens of
// megabytes, and used up in a fraction of a second.
const FUEL: u64 = 1_000_000;
const RECURSION: usize = 200;
