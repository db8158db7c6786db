//! The filter `tojson`: `json.dumps` as transformers calls it.

use std::fmt::Write;

use super::{
    args::Args,
    error::{Result, failure},
    render::Run,
    text,
    value::{Value, fields},
};

struct Style {
    ensure_ascii: bool,
    indent: Option<String>,
    between: String,
    colon: String,
    sort_keys: bool,
}

pub(super) fn tojson<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let [ensure_ascii, indent, separators, sort_keys] =
        args.bind(["ensure_ascii", "indent", "separators", "sort_keys"])?;
    let indent = match indent.unwrap_or(Value::None) {
        Value::None => None,
        Value::Str(text) | Value::Markup(text) => Some(text.to_owned()),
        value => match value.int() {
            Some(width) => Some(" ".repeat(usize::try_from(width).unwrap_or(0).min(MAX_LEN + 1))),
            None => return failure("indent must be a number or a string"),
        },
    };
    let (between, colon) = match separators.unwrap_or(Value::None) {
        Value::None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
        separators => match run.collect(separators)? {
            [between, colon] if between.text().is_some() && colon.text().is_some() => {
                (run.str(*between)?.to_owned(), run.str(*colon)?.to_owned())
            }
            _ => return failure("separators must be two strings"),
        },
    };
    let longest = indent.as_ref().map_or(0, String::len).max(between.len()).max(colon.len());
    if longest > MAX_LEN {
        return failure("the indent is too long");
    }
    let is_true = |it: Option<Value<'a>>| it.is_some_and(Value::is_true);
    let (ensure_ascii, sort_keys) = (is_true(ensure_ascii), is_true(sort_keys));
    let style = Style { ensure_ascii, indent, between, colon, sort_keys };
    let mut out = String::new();
    write(run, value, &style, 0, &mut out)?;
    Ok(Value::Str(run.alloc_str(&out)?))
}

fn write<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    style: &Style,
    depth: usize,
    out: &mut String,
) -> Result<()> {
    run.spend(1)?;
    run.check_depth(depth)?;
    match value {
        Value::None => out.push_str("null"),
        Value::Bool(it) => out.push_str(if it { "true" } else { "false" }),
        Value::Int(it) => {
            // Writing to a string cannot fail.
            let _ = write!(out, "{it}");
        }
        Value::Float(it) => float(it, out),
        Value::Str(text) | Value::Markup(text) => {
            run.spend_text(text.len())?;
            string(text, style, out);
        }
        Value::Dict(_) | Value::JsonDict(_) => {
            let mut all: Vec<(Value<'a>, Value<'a>)> = fields(value).collect();
            if all.is_empty() {
                out.push_str("{}");
                return Ok(());
            }
            if style.sort_keys {
                run.sort(&mut all, false, |_, (key, _)| Ok(*key))?;
            }
            out.push('{');
            for (i, (key, value)) in all.into_iter().enumerate() {
                separate(run, i, style, depth + 1, out)?;
                string(&self::key(key)?, style, out);
                out.push_str(&style.colon);
                write(run, value, style, depth + 1, out)?;
            }
            new_line(run, style, depth, out)?;
            out.push('}');
        }
        value => {
            let Some(items) = value.sequence() else {
                let reason = format!("object of type {} is not JSON", value.type_name());
                return failure(reason);
            };
            if items.len() == 0 {
                out.push_str("[]");
                return Ok(());
            }
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                separate(run, i, style, depth + 1, out)?;
                write(run, item, style, depth + 1, out)?;
            }
            new_line(run, style, depth, out)?;
            out.push(']');
        }
    }
    Ok(())
}

fn separate(
    run: &mut Run<'_>,
    i: usize,
    style: &Style,
    depth: usize,
    out: &mut String,
) -> Result<()> {
    if i > 0 {
        out.push_str(&style.between);
    }
    new_line(run, style, depth, out)
}

fn new_line(run: &mut Run<'_>, style: &Style, depth: usize, out: &mut String) -> Result<()> {
    run.spend_text(style.between.len() + style.colon.len())?;
    let Some(indent) = &style.indent else { return Ok(()) };
    run.spend_text(indent.len() * depth)?;
    out.push('\n');
    for _ in 0..depth {
        out.push_str(indent);
    }
    Ok(())
}

fn key(key: Value<'_>) -> Result<String> {
    let mut text = String::new();
    match key {
        Value::Str(it) | Value::Markup(it) => text.push_str(it),
        Value::None => text.push_str("null"),
        Value::Bool(it) => text.push_str(if it { "true" } else { "false" }),
        Value::Int(it) => text = it.to_string(),
        Value::Float(it) => float(it, &mut text),
        key => {
            let kind = key.type_name();
            let reason = format!("keys must be str, int, float, bool or None, not {kind}");
            return failure(reason);
        }
    }
    Ok(text)
}

fn float(float: f64, out: &mut String) {
    if float.is_nan() {
        out.push_str("NaN");
    } else if float.is_infinite() {
        out.push_str(if float < 0.0 { "-Infinity" } else { "Infinity" });
    } else {
        text::float(float, out);
    }
}

fn string(text: &str, style: &Style, out: &mut String) {
    out.push('"');
    let is_plain = |byte: u8| match byte {
        b'"' | b'\\' | 0..0x20 => false,
        0x7f.. => !style.ensure_ascii,
        _ => true,
    };
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !is_plain(byte)) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let Some(c) = special.chars().next() else { break };
        rest = &special[c.len_utf8()..];
        // Writing to a string cannot fail.
        let _ = match c {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            '\x08' => out.write_str("\\b"),
            '\x0c' => out.write_str("\\f"),
            c => {
                let mut units = [0; 2];
                let units = c.encode_utf16(&mut units);
                units.iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
            }
        };
    }
    out.push_str(rest);
    out.push('"');
}

/// The longest indent and separator.
const MAX_LEN: usize = 1000;
