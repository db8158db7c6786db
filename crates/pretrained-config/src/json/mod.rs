//! JSON as Python reads and writes it.
//!
//! An integer has any number of digits, `1.0` is not `1`, `NaN` and `Infinity` are numbers, text
//! may hold half a surrogate pair, an object keeps the order of its keys, and of two equal keys the
//! last one counts. Half a pair in a key is refused.

mod parse;
mod write;

#[cfg(test)]
mod tests;

pub use parse::{MAX_DEPTH, MAX_DIGITS, MAX_LEN, ParseError};

pub(crate) use parse::parse;
pub(crate) use write::{Dialect, to_json, to_line};

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction and exponent.
    Int(Int),
    /// A number with fraction or exponent, or one of `NaN`, `Infinity` and `-Infinity`.
    Float(f64),
    /// Text.
    String(String),
    /// Text that Python holds and Rust cannot: its UTF-16 has half of a surrogate pair in it.
    Utf16(Box<[u16]>),
    /// A list.
    Array(Vec<Value>),
    /// Keys with values.
    Object(Object),
}

/// An integer of any size.
///
/// Invariant: decimal digits as Python prints them: no leading zeros, no `-0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Int(Repr);

// Nearly all integers are small; one that is not keeps its digits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Repr {
    Small(i64),
    Big(Box<str>),
}

/// Keys with values, in the order in which they were written.
///
/// Invariant: no key occurs twice.
#[derive(Debug, Clone, Default)]
pub struct Object {
    entries: Vec<(String, Value)>,
}

impl Value {
    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, if it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(int) => int.as_i64(),
            _ => None,
        }
    }

    /// The number, integer or not, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(int) => int.to_string().parse().ok(),
            Value::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn as_object_mut(&mut self) -> Option<&mut Object> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Whether Python's `==` holds: numbers and truth values are equal across types.
    pub(crate) fn equals(&self, other: &Value) -> bool {
        let number = |value: &Value| match value {
            Value::Bool(value) => Some(f64::from(u8::from(*value))),
            value => value.as_f64(),
        };
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b))
            }
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| a.equals(b)))
            }
            _ => match (number(self), number(other)) {
                (Some(a), Some(b)) => a == b,
                _ => self == other,
            },
        }
    }

    /// Whether Python's `if` takes it as true.
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Int(int) => int.as_i64() != Some(0),
            Value::Float(float) => *float != 0.0,
            Value::String(text) => !text.is_empty(),
            Value::Utf16(units) => !units.is_empty(),
            Value::Array(values) => !values.is_empty(),
            Value::Object(object) => !object.is_empty(),
        }
    }
}

impl Int {
    /// The integer, if it fits.
    pub fn as_i64(&self) -> Option<i64> {
        match self.0 {
            Repr::Small(int) => Some(int),
            Repr::Big(_) => None,
        }
    }

    /// From decimal digits with an optional minus sign.
    fn from_digits(digits: &str) -> Int {
        match digits.parse() {
            Ok(small) => Int(Repr::Small(small)),
            Err(_) => Int(Repr::Big(digits.into())),
        }
    }
}

impl std::fmt::Display for Int {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Repr::Small(int) => int.fmt(f),
            Repr::Big(digits) => digits.fmt(f),
        }
    }
}

impl Object {
    /// No keys.
    pub fn new() -> Object {
        Object::default()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(it, _)| it == key).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.entries.iter_mut().find(|(it, _)| it == key).map(|(_, value)| value)
    }

    /// Whether the key is there.
    pub fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets a key: in its place if it is there, else at the end.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let key = key.into();
        match self.get_mut(&key) {
            Some(slot) => *slot = value.into(),
            None => self.entries.push((key, value.into())),
        }
    }

    /// Adds a key that is not there.
    pub(crate) fn push(&mut self, key: &str, value: Value) {
        self.entries.push((key.to_owned(), value));
    }

    /// Sets a key unless it is there.
    pub(crate) fn set_default(&mut self, key: &str, value: Value) {
        if !self.contains(key) {
            self.entries.push((key.to_owned(), value));
        }
    }

    /// Removes a key; its value, if it was there.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let index = self.entries.iter().position(|(it, _)| it == key)?;
        Some(self.entries.remove(index).1)
    }

    /// Removes the keys that `keep` does not want.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Value) -> bool) {
        self.entries.retain(|(key, value)| keep(key, value));
    }

    /// Keys with values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        self.entries.iter_mut().map(|(key, value)| (key.as_str(), value))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The order of keys does not count.
impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        fn sorted(object: &Object) -> Vec<&(String, Value)> {
            let mut entries: Vec<_> = object.entries.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries
        }
        self.len() == other.len() && sorted(self) == sorted(other)
    }
}

/// Of equal keys, the last one counts.
impl FromIterator<(String, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Object {
        // A map beside the list, since looking each key up in a list takes hours on a hostile file.
        let mut places = std::collections::HashMap::new();
        let mut object = Object::new();
        for (key, value) in entries {
            match places.get(&key) {
                Some(&place) => {
                    let (_, slot): &mut (String, Value) = &mut object.entries[place];
                    *slot = value;
                }
                None => {
                    places.insert(key.clone(), object.len());
                    object.entries.push((key, value));
                }
            }
        }
        object
    }
}

impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(Int(Repr::Small(value)))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::String(value)
    }
}

impl From<Object> for Value {
    fn from(value: Object) -> Value {
        Value::Object(value)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Value {
        Value::Array(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// Reads `{"__float__": "Infinity"}` and the like as the numbers that transformers writes so.
pub(crate) fn decode_floats(object: Object) -> Object {
    fn decode(value: Value) -> Value {
        match value {
            Value::Array(values) => Value::Array(values.into_iter().map(decode).collect()),
            Value::Object(object) => match tagged(&object) {
                Some(float) => Value::Float(float),
                None => Value::Object(decode_floats(object)),
            },
            value => value,
        }
    }
    Object { entries: object.entries.into_iter().map(|(key, it)| (key, decode(it))).collect() }
}

fn tagged(object: &Object) -> Option<f64> {
    match object.entries.as_slice() {
        [(key, Value::String(name))] if key == "__float__" => match name.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}
