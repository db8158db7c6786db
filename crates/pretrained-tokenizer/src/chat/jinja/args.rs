//! What a call, a filter or a test is given.

use super::{
    error::{Result, failure},
    value::Value,
};

#[derive(Clone, Copy, Debug, Default)]
pub(in crate::chat) struct Args<'a> {
    pub(super) values: &'a [Value<'a>],
    pub(super) named: &'a [(&'a str, Value<'a>)],
}

impl<'a> Args<'a> {
    /// The arguments in the order of their names, as Python binds them to parameters.
    pub(super) fn bind<const N: usize>(
        &self,
        names: [&'static str; N],
    ) -> Result<[Option<Value<'a>>; N]> {
        let mut bound = [None; N];
        if self.values.len() > N {
            return failure(format!("takes {N} arguments, but {} were given", self.values.len()));
        }
        for (slot, value) in bound.iter_mut().zip(self.values) {
            *slot = Some(*value);
        }
        for (name, value) in self.named {
            let Some(at) = names.iter().position(|known| known == name) else {
                return failure(format!("got an unexpected keyword argument '{name}'"));
            };
            if bound[at].replace(*value).is_some() {
                return failure(format!("got multiple values for argument '{name}'"));
            }
        }
        Ok(bound)
    }

    /// Arguments that have no names, the first `required` of them needed.
    pub(super) fn positional<const N: usize>(
        &self,
        required: usize,
    ) -> Result<[Option<Value<'a>>; N]> {
        if !self.named.is_empty() {
            return failure("takes no keyword arguments");
        }
        if self.values.len() < required {
            return failure(format!("takes {required} arguments"));
        }
        self.bind([""; N])
    }

    /// The one argument.
    pub(super) fn one(&self) -> Result<Value<'a>> {
        let [value] = self.positional(1)?;
        required(value)
    }

    pub(super) fn none(&self) -> Result<()> {
        let [] = self.positional(0)?;
        Ok(())
    }
}

/// An argument that has no default.
pub(super) fn required<'a>(value: Option<Value<'a>>) -> Result<Value<'a>> {
    match value {
        Some(value) => Ok(value),
        None => failure("missing a required argument"),
    }
}

/// A whole number.
pub(super) fn int(value: Value<'_>) -> Result<i128> {
    match value.int() {
        Some(number) => Ok(number),
        None => {
            let kind = value.type_name();
            failure(format!("'{kind}' object cannot be interpreted as an integer"))
        }
    }
}

/// A string.
pub(super) fn text<'a>(value: Value<'a>) -> Result<&'a str> {
    match value.text() {
        Some(text) => Ok(text),
        None => failure(format!("must be str, not {}", value.type_name())),
    }
}
