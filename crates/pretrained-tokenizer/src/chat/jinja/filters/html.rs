//! Filters for web pages, which some templates use on text that is none.

use super::super::{
    args::{Args, required},
    error::{Result, failure},
    items::Items,
    render::Run,
    text::{self, is_space},
    value::{Value, View, fields},
};

pub(super) fn escape<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    args.none()?;
    if matches!(value, Value::Markup(_)) {
        return Ok(value);
    }
    forceescape(run, value, args)
}

pub(super) fn forceescape<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    args.none()?;
    let mut out = String::new();
    text::escape(run.str(value)?, &mut out);
    Ok(Value::Markup(run.alloc_str(&out)?))
}

pub(super) fn safe<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    args.none()?;
    Ok(Value::Markup(run.str(value)?))
}

/// Takes comments and tags out, and makes each run of space one space.
pub(super) fn striptags<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    args.none()?;
    let text = run.str(value)?;
    run.spend_text(text.len())?;
    let text = without(text, "<!--", "-->");
    let text = without(&text, "<", ">");
    let words: Vec<&str> = text.split(is_space).filter(|word| !word.is_empty()).collect();
    let text = unescape(&words.join(" "))?;
    Ok(Value::Str(run.alloc_str(&text)?))
}

/// A text without what stands between `open` and `close`.
fn without(text: &str, open: &str, close: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        let Some((_, after)) = after.split_once(close) else { break };
        out.push_str(before);
        rest = after;
    }
    out + rest
}

/// `html.unescape`, of the entities that `escape` makes.
fn unescape(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let known = [
            ("amp;", '&'),
            ("lt;", '<'),
            ("gt;", '>'),
            ("quot;", '"'),
            ("#34;", '"'),
            ("#39;", '\''),
            ("nbsp;", '\u{a0}'),
        ];
        match known.iter().find(|(name, _)| after.starts_with(name)) {
            Some((name, c)) => {
                out.push(*c);
                rest = &after[name.len()..];
            }
            None if after.starts_with(|c: char| c == '#' || c.is_ascii_alphabetic()) => {
                return failure("an HTML entity that is not supported in chat templates");
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    Ok(out + rest)
}

pub(super) fn urlencode<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    args.none()?;
    let mut out = String::new();
    let pairs = match (value.text(), value.is_dict()) {
        (None, true) => Some(Items::Fields(fields(value), View::Items)),
        (None, false) => run.items(value).ok(),
        (Some(_), _) => None,
    };
    let Some(mut pairs) = pairs else {
        quote(run, value, false, &mut out)?;
        return Ok(Value::Str(run.alloc_str(&out)?));
    };
    while let Some(pair) = pairs.next(run)? {
        let [key, value] = run.collect(pair)? else { return failure("urlencode takes pairs") };
        if !out.is_empty() {
            out.push('&');
        }
        quote(run, *key, true, &mut out)?;
        out.push('=');
        quote(run, *value, true, &mut out)?;
    }
    Ok(Value::Str(run.alloc_str(&out)?))
}

fn quote<'a>(run: &mut Run<'a>, value: Value<'a>, query: bool, out: &mut String) -> Result<()> {
    let text = run.str(value)?;
    run.spend_text(3 * text.len())?;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b'/' if !query => out.push('/'),
            b' ' if query => out.push('+'),
            byte => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                out.extend([byte >> 4, byte & 15].map(|digit| char::from(HEX[usize::from(digit)])));
            }
        }
    }
    Ok(())
}

pub(super) fn xmlattr<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let [autospace] = args.bind(["autospace"])?;
    run.check_defined(value)?;
    if !value.is_dict() {
        return failure(format!("'{}' object has no attribute 'items'", value.type_name()));
    }
    let mut out = String::new();
    for (key, value) in fields(value) {
        if matches!(value, Value::None | Value::Undefined(_)) {
            continue;
        }
        let Some(name) = required(Some(key))?.text() else {
            return failure("expected string or bytes-like object");
        };
        let is_bad = |c: char| c.is_ascii_whitespace() || matches!(c, '\x0b' | '/' | '>' | '=');
        if name.contains(is_bad) {
            return failure("invalid character in attribute name");
        }
        if !out.is_empty() {
            out.push(' ');
        }
        let escaped = escape(run, key, &Args::default())?;
        run.write(escaped, &mut out)?;
        out.push_str("=\"");
        let escaped = escape(run, value, &Args::default())?;
        run.write(escaped, &mut out)?;
        out.push('"');
    }
    if autospace.is_none_or(Value::is_true) && !out.is_empty() {
        out.insert(0, ' ');
    }
    Ok(Value::Str(run.alloc_str(&out)?))
}

pub(super) fn urlize<'a>(_: &mut Run<'a>, _: Value<'a>, _: &Args<'a>) -> Result<Value<'a>> {
    failure("urlize makes links, which no prompt needs")
}
