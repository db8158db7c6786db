use super::{Object, Value};

/// How an object at the top spells its `id2label`: transformers keeps its keys as integers and
/// sorts them as such.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum IdOrder {
    Numbers,
    Text,
}

/// `json.dumps(value, indent=2, sort_keys=True)`, and a newline.
pub(crate) fn to_json(object: &Object, ids: IdOrder) -> String {
    let mut out = String::new();
    write_object(&mut out, object, 0, |out, key, value, depth| match (ids, key, numbered(value)) {
        (IdOrder::Numbers, "id2label", Some(entries)) => write_entries(out, &entries, depth),
        _ => write_value(out, value, depth),
    });
    out.push('\n');
    out
}

/// A value in one line, for messages.
pub(crate) fn to_line(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, 0);
    let line: Vec<&str> = out.lines().map(str::trim).collect();
    let mut line = line.join(" ");
    if line.chars().count() > 60 {
        line = line.chars().take(57).chain("...".chars()).collect();
    }
    line
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(int) => out.push_str(&int.to_string()),
        Value::Float(float) => write_float(out, *float, depth),
        Value::String(text) => write_string(out, text),
        Value::Array(values) if values.is_empty() => out.push_str("[]"),
        Value::Array(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                out.push_str(if i == 0 { "\n" } else { ",\n" });
                indent(out, depth + 1);
                write_value(out, value, depth + 1);
            }
            out.push('\n');
            indent(out, depth);
            out.push(']');
        }
        Value::Object(object) => write_object(out, object, depth, |out, _, value, depth| {
            write_value(out, value, depth);
        }),
    }
}

fn write_object(
    out: &mut String,
    object: &Object,
    depth: usize,
    write: impl FnMut(&mut String, &str, &Value, usize),
) {
    let mut entries: Vec<(&str, &Value)> = object.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    write_with(out, &entries, depth, write);
}

fn write_entries(out: &mut String, entries: &[(&str, &Value)], depth: usize) {
    write_with(out, entries, depth, |out, _, value, depth| write_value(out, value, depth));
}

fn write_with(
    out: &mut String,
    entries: &[(&str, &Value)],
    depth: usize,
    mut write: impl FnMut(&mut String, &str, &Value, usize),
) {
    if entries.is_empty() {
        return out.push_str("{}");
    }
    out.push('{');
    for (i, (key, value)) in entries.iter().enumerate() {
        out.push_str(if i == 0 { "\n" } else { ",\n" });
        indent(out, depth + 1);
        write_string(out, key);
        out.push_str(": ");
        write(out, key, value, depth + 1);
    }
    out.push('\n');
    indent(out, depth);
    out.push('}');
}

/// The entries in the order of their keys as numbers, if all of them are.
fn numbered(value: &Value) -> Option<Vec<(&str, &Value)>> {
    let entries = value.as_object()?.iter();
    let mut entries: Vec<(i64, (&str, &Value))> =
        entries.map(|it| Some((it.0.parse().ok()?, it))).collect::<Option<_>>()?;
    entries.sort_by_key(|(id, _)| *id);
    Some(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// `repr(float)`: the shortest digits that read back the same, with an exponent below 1e-4 and
/// from 1e16. What is not finite is an object, as transformers writes it.
fn write_float(out: &mut String, float: f64, depth: usize) {
    if !float.is_finite() {
        let name = match float {
            _ if float.is_nan() => "NaN",
            _ if float > 0.0 => "Infinity",
            _ => "-Infinity",
        };
        return write_entries(out, &[("__float__", &Value::from(name))], depth);
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("{digits}e{sign}{:02}", exponent.abs()));
    } else if float.fract() == 0.0 {
        out.push_str(&format!("{float:.1}"));
    } else {
        out.push_str(&float.to_string());
    }
}

/// Text in ASCII.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}
