//! Jinja's filters and tests where minijinja's differ from them, or has none.

use minijinja::{
    Environment, Error, ErrorKind, Value,
    value::{Kwargs, ObjectRepr, Rest, ValueKind},
};

use super::{
    methods::is_space,
    python::{self, JsonStyle},
};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("tojson", tojson);
    environment.add_filter("string", |value: &Value| python::str(value));
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("attr", attr);
    environment.add_filter("wordcount", |text: &str| {
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|it| !it.is_empty()).count()
    });
    environment.add_filter("center", center);
    environment.add_filter("truncate", truncate);
    for name in ["e", "escape", "forceescape"] {
        environment.add_filter(name, escape);
    }
    environment.add_test("sequence", |value: &Value| {
        use ValueKind::{Map, Seq, String, Undefined};
        matches!(value.kind(), Seq | Map | String | Undefined)
    });
    environment.add_test("callable", |value: &Value| {
        value.as_object().is_some_and(|object| object.repr() == ObjectRepr::Plain)
    });
}

fn tojson(value: &Value, given: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let option = |position: usize, name: &str| -> Result<Option<Value>, Error> {
        let value = match given.get(position) {
            Some(value) => Some(value.clone()),
            None => kwargs.get(name)?,
        };
        Ok(value.filter(|value| !value.is_none()))
    };
    let mut style = JsonStyle {
        ensure_ascii: option(0, "ensure_ascii")?.is_some_and(|it| it.is_true()),
        sort_keys: option(3, "sort_keys")?.is_some_and(|it| it.is_true()),
        ..JsonStyle::default()
    };
    if let Some(indent) = option(1, "indent")? {
        style.indent = Some(match indent.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(usize::try_from(i64::try_from(indent)?).unwrap_or(0).min(64)),
        });
    }
    if let Some(separators) = option(2, "separators")? {
        let parts: Vec<Value> = separators.try_iter()?.collect();
        let [between, colon] = parts.as_slice() else {
            return Err(Error::new(ErrorKind::CannotUnpack, "separators takes two strings"));
        };
        style.separators = Some((python::str(between)?, python::str(colon)?));
    }
    kwargs.assert_all_used()?;
    let (between, colon) = style.separators.as_ref().map_or((0, 0), |it| (it.0.len(), it.1.len()));
    if style.indent.as_ref().map_or(0, String::len).max(between).max(colon) > MAX_SEPARATOR {
        return Err(Error::new(ErrorKind::InvalidOperation, "the indent is too long"));
    }
    python::json(value, &style)
}

/// `int(value)`, and `default` for what is no number.
fn int(value: &Value, default: Option<Value>) -> Result<Value, Error> {
    let default = default.unwrap_or_else(|| Value::from(0));
    Ok(match value.kind() {
        ValueKind::Bool => Value::from(i64::from(value.is_true())),
        ValueKind::Number if value.is_integer() => value.clone(),
        ValueKind::Number => truncated(f64::try_from(value.clone())?).unwrap_or(default),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().trim_matches(is_space);
            let integer = text.parse::<i128>().ok().map(Value::from);
            let float = || text.parse::<f64>().ok().and_then(truncated);
            integer.or_else(float).unwrap_or(default)
        }
        _ => default,
    })
}

fn truncated(float: f64) -> Option<Value> {
    (float.abs() < 1e38).then(|| Value::from(float as i128))
}

/// `float(value)`, and `default` for what is no number.
fn float(value: &Value, default: Option<Value>) -> Result<Value, Error> {
    let default = default.unwrap_or_else(|| Value::from(0.0));
    Ok(match value.kind() {
        ValueKind::Bool => Value::from(if value.is_true() { 1.0 } else { 0.0 }),
        ValueKind::Number => Value::from(f64::try_from(value.clone())?),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().trim_matches(is_space);
            text.parse::<f64>().map_or(default, Value::from)
        }
        _ => default,
    })
}

/// Looks at attributes only, which the keys of a dictionary are not.
fn attr(value: &Value, name: &str) -> Result<Value, Error> {
    if value.kind() == ValueKind::Map
        && value.as_object().is_some_and(|it| it.repr() == ObjectRepr::Map)
    {
        return Ok(Value::UNDEFINED);
    }
    value.get_attr(name)
}

fn center(text: &str, width: Option<usize>) -> Result<String, Error> {
    let width = width.unwrap_or(80);
    if width > MAX_WIDTH {
        return Err(Error::new(ErrorKind::InvalidOperation, "the string becomes too long"));
    }
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2 + (missing & width & 1);
    Ok(format!("{}{text}{}", " ".repeat(left), " ".repeat(missing - left)))
}

fn truncate(
    text: &str,
    length: Option<usize>,
    kill_words: Option<bool>,
    end: Option<&str>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let length = length.or(kwargs.get("length")?).unwrap_or(255);
    let kill_words = kill_words.or(kwargs.get("killwords")?).unwrap_or(false);
    let end = end.or(kwargs.get("end")?).unwrap_or("...");
    let leeway = kwargs.get::<Option<usize>>("leeway")?.unwrap_or(5);
    kwargs.assert_all_used()?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text.to_owned());
    }
    let Some(kept) = length.checked_sub(end.chars().count()) else {
        return Err(Error::new(ErrorKind::InvalidOperation, "the length is too small"));
    };
    let kept: String = text.chars().take(kept).collect();
    let kept = if kill_words { &kept } else { kept.rsplit_once(' ').map_or(&*kept, |it| it.0) };
    Ok(format!("{kept}{end}"))
}

fn escape(value: &Value) -> Result<String, Error> {
    let text = python::str(value)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Ok(out)
}

const MAX_SEPARATOR: usize = 1000;
const MAX_WIDTH: usize = 1 << 20;
