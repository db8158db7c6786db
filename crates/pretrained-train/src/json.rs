//! JSON as Python's `json` module reads and writes it.

use std::fmt::Write as _;

use serde_json::Value;

/// Parses JSON in which numbers may also be `NaN`, `Infinity` and `-Infinity`, as Python writes
/// them. Those three become strings, which [`to_python`] turns back.
pub(crate) fn parse(text: &str) -> serde_json::Result<Value> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return serde_json::from_str(text);
    }
    let mut quoted = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut len = c.len_utf8();
        if c == '"' {
            len = string_len(rest);
            quoted.push_str(&rest[..len]);
        } else if let Some(word) = NOT_FINITE.iter().find(|it| rest.starts_with(it.as_str())) {
            len = word.as_str().len();
            let _ = write!(quoted, "\"{}{}\"", MARK, word.as_str());
        } else {
            quoted.push(c);
        }
        rest = &rest[len..];
    }
    serde_json::from_str(&quoted)
}

/// Writes `value` as `json.dumps(value, indent=2)` does.
pub(crate) fn to_python(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, 0);
    out
}

/// The same with the keys of every object sorted, as `sort_keys=True` does.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(name, it)| (name, sorted(it))).collect();
            fields.sort_by_key(|it| it.0);
            Value::Object(fields.into_iter().map(|(name, it)| (name.clone(), it)).collect())
        }
        other => other.clone(),
    }
}

/// A number as JSON, numbers that are not finite included.
pub(crate) fn number(value: f64) -> Value {
    match serde_json::Number::from_f64(value) {
        Some(it) => Value::Number(it),
        None => {
            let word = if value.is_nan() {
                NotFinite::Nan
            } else if value > 0.0 {
                NotFinite::Infinity
            } else {
                NotFinite::MinusInfinity
            };
            Value::String(format!("{MARK}{}", word.as_str()))
        }
    }
}

/// The number that [`number`] or [`parse`] made.
pub(crate) fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(it) => it.as_f64(),
        Value::String(it) => match it.strip_prefix(MARK)? {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// A float as Python's `repr` spells it: the shortest digits that give it back, with an exponent
/// below 1e-4 and from 1e16.
pub(crate) fn float(value: f64) -> String {
    if value == 0.0 || (1e-4..1e16).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) =
                exponent.strip_prefix('-').map_or(('+', exponent), |it| ('-', it));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

fn write_value(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Object(fields) if fields.is_empty() => out.push_str("{}"),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                new_line(out, if i == 0 { "[" } else { "," }, indent + 2);
                write_value(out, item, indent + 2);
            }
            new_line(out, "", indent);
            out.push(']');
        }
        Value::Object(fields) => {
            for (i, (name, field)) in fields.iter().enumerate() {
                new_line(out, if i == 0 { "{" } else { "," }, indent + 2);
                write_text(out, name);
                out.push_str(": ");
                write_value(out, field, indent + 2);
            }
            new_line(out, "", indent);
            out.push('}');
        }
        Value::Number(it) if it.is_f64() => out.push_str(&float(it.as_f64().unwrap_or_default())),
        Value::String(it) => match it.strip_prefix(MARK) {
            Some(word) => out.push_str(word),
            None => write_text(out, it),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let _ = write!(out, "{value}");
        }
    }
}

fn new_line(out: &mut String, before: &str, indent: usize) {
    let _ = write!(out, "{before}\n{:indent$}", "");
}

/// Text in ASCII, as Python escapes it.
fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Bytes of the string literal at the start of `text`, up to the end of the text if it is open.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

enum NotFinite {
    Nan,
    Infinity,
    MinusInfinity,
}

impl NotFinite {
    fn as_str(&self) -> &'static str {
        match self {
            NotFinite::Nan => "NaN",
            NotFinite::Infinity => "Infinity",
            NotFinite::MinusInfinity => "-Infinity",
        }
    }
}

const NOT_FINITE: [NotFinite; 3] = [NotFinite::Nan, NotFinite::Infinity, NotFinite::MinusInfinity];

/// Marks a string that stands for a number. A noncharacter, so that no text starts with it.
const MARK: char = '\u{fdd0}';
