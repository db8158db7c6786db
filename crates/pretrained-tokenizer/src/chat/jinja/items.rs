//! Going through the items of a value.

use serde_json::Value as Json;

use super::{
    error::{Result, failure},
    render::Run,
    value::{Fields, Generator, Object, Range, Undefined, Value, View, fields},
};

/// What an iterator still has to give.
#[derive(Clone, Debug)]
pub(in crate::chat) enum Items<'a> {
    Values(std::slice::Iter<'a, Value<'a>>),
    Json(std::slice::Iter<'a, Json>),
    Fields(Fields<'a>, View),
    Chars(&'a str),
    Range(Range, usize),
    /// Takes what a generator has.
    Generator(&'a Generator<'a>),
    Backwards(&'a [Value<'a>]),
}

impl<'a> Items<'a> {
    pub(super) fn next(&mut self, run: &mut Run<'a>) -> Result<Option<Value<'a>>> {
        run.spend(1)?;
        Ok(match self {
            Items::Values(items) => items.next().copied(),
            Items::Json(items) => items.next().map(Value::from_json),
            Items::Fields(fields, view) => {
                let Some((key, value)) = fields.next() else { return Ok(None) };
                Some(match view {
                    View::Keys => key,
                    View::Values => value,
                    View::Items => Value::Tuple(run.arena.alloc_slice_copy(&[key, value])),
                })
            }
            Items::Chars(text) => {
                let Some(c) = text.chars().next() else { return Ok(None) };
                let (first, rest) = text.split_at(c.len_utf8());
                *text = rest;
                Some(Value::Str(first))
            }
            Items::Range(range, at) => {
                *at += 1;
                range.get(*at - 1).map(Value::Int)
            }
            Items::Backwards(items) => {
                let Some((last, rest)) = items.split_last() else { return Ok(None) };
                *items = rest;
                Some(*last)
            }
            Items::Generator(generator) => return generator.next(run),
        })
    }
}

impl<'a> Generator<'a> {
    pub(super) fn next(&self, run: &mut Run<'a>) -> Result<Option<Value<'a>>> {
        let Ok(mut items) = self.items.try_borrow_mut() else {
            return failure("generator already executing");
        };
        let next = items.next(run)?;
        match (next, self.broken) {
            (None, Some(reason)) => failure(reason),
            (next, _) => Ok(next),
        }
    }
}

impl<'a> Run<'a> {
    /// `iter(value)`.
    pub(super) fn items(&self, value: Value<'a>) -> Result<Items<'a>> {
        Ok(match value {
            Value::Undefined(_) => Items::Values([].iter()),
            Value::Str(text) | Value::Markup(text) => Items::Chars(text),
            Value::List(items) | Value::Tuple(items) => Items::Values(items.iter()),
            Value::JsonList(items) => Items::Json(items.iter()),
            Value::Dict(_) | Value::JsonDict(_) => Items::Fields(fields(value), View::Keys),
            Value::Object(object) => match object {
                Object::Range(range) => Items::Range(*range, 0),
                Object::View(view, dict) => Items::Fields(fields(*dict), *view),
                Object::Generator(generator) => Items::Generator(generator),
                Object::Group(items) => Items::Values(items.iter()),
                _ => return self.not_iterable(value),
            },
            _ => return self.not_iterable(value),
        })
    }

    fn not_iterable<T>(&self, value: Value<'a>) -> Result<T> {
        failure(format!("'{}' object is not iterable", value.type_name()))
    }

    /// `list(value)`.
    pub(super) fn collect(&mut self, value: Value<'a>) -> Result<&'a [Value<'a>]> {
        if let Value::List(items) | Value::Tuple(items) = value {
            self.spend(items.len() / 8)?;
            return Ok(items);
        }
        let mut items = self.items(value)?;
        let mut list = Vec::with_capacity(value.len().unwrap_or(0).min(1000));
        while let Some(item) = items.next(self)? {
            list.push(item);
        }
        Ok(self.arena.alloc_slice_copy(&list))
    }

    pub(super) fn generator(&self, items: Items<'a>, broken: Option<&'a str>) -> Value<'a> {
        let items = std::cell::RefCell::new(items);
        self.object(Object::Generator(Generator { items, broken }))
    }

    /// A generator of what `make` finds. It is made ahead of time; an error shows when the items
    /// before it have been taken.
    pub(super) fn generate(
        &mut self,
        make: impl FnOnce(&mut Self, &mut Vec<Value<'a>>) -> Result<()>,
    ) -> Result<Value<'a>> {
        let mut found = Vec::new();
        let broken = match make(self, &mut found) {
            Ok(()) => None,
            // What the budget or the template itself refuses ends everything at once.
            Err(failure) if failure.raised || self.is_spent() => return Err(failure),
            Err(failure) => Some(&*self.arena.alloc_str(&failure.reason)),
        };
        let items = Items::Values(self.arena.alloc_slice_copy(&found).iter());
        Ok(self.generator(items, broken))
    }

    /// `reversed(value)`.
    pub(super) fn reversed(&mut self, value: Value<'a>) -> Result<Option<Items<'a>>> {
        let reversible = match value {
            Value::Object(Object::View(..) | Object::Range(_)) => true,
            value => value.is_dict() || value.text().is_some() || value.sequence().is_some(),
        };
        Ok(if reversible { Some(Items::Backwards(self.collect(value)?)) } else { None })
    }

    pub(super) fn object(&self, object: Object<'a>) -> Value<'a> {
        Value::Object(self.arena.alloc(object))
    }

    pub(super) fn undefined(because: &'static str) -> Value<'a> {
        Value::Undefined(Undefined::Because(because))
    }
}
