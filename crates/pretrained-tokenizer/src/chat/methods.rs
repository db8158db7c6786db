//! Python's methods: which there are, and those of strings.

use minijinja::{
    Error, ErrorKind, State, Value,
    formatting::{FormatStyle, format},
    value::{Kwargs, ValueKind, from_args},
};

use super::collections;

/// Called for every `value.method(…)` in a template.
pub(super) fn call(
    _: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => string(value.as_str().unwrap_or_default(), method, args),
        ValueKind::Map => collections::dict(value, method, args),
        ValueKind::Seq => collections::list(value, method, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn string(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let each = |test: fn(char) -> bool| -> Result<Value, Error> {
        () = from_args(args)?;
        Ok(Value::from(!text.is_empty() && text.chars().all(test)))
    };
    Ok(match method {
        "strip" => Value::from(strip(text, args, true, true)?),
        "lstrip" => Value::from(strip(text, args, true, false)?),
        "rstrip" => Value::from(strip(text, args, false, true)?),
        "split" => split(text, args)?,
        "rsplit" => rsplit(text, args)?,
        "splitlines" => {
            let (keep_ends,): (Option<bool>,) = from_args(args)?;
            split_lines(text, keep_ends.unwrap_or(false))
        }
        "partition" => {
            let (separator,): (&str,) = from_args(args)?;
            match text.split_once(filled(separator)?) {
                Some((before, after)) => Value::from((before, separator, after)),
                None => Value::from((text, "", "")),
            }
        }
        "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            match text.rsplit_once(filled(separator)?) {
                Some((before, after)) => Value::from((before, separator, after)),
                None => Value::from(("", "", text)),
            }
        }
        "startswith" => Value::from(affix(text, args, |text, affix| text.starts_with(affix))?),
        "endswith" => Value::from(affix(text, args, |text, affix| text.ends_with(affix))?),
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "replace" => {
            let (old, new, count, kwargs): (&str, &str, Option<Value>, Kwargs) = from_args(args)?;
            let count = option(count, &kwargs, "count")?;
            let count =
                count.map(i64::try_from).transpose()?.and_then(|it| usize::try_from(it).ok());
            replace(text, old, new, count)?
        }
        "find" | "index" | "rfind" | "rindex" => {
            let (needle, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            let (window, offset) = window(text, start, end);
            let found =
                if method.starts_with('r') { window.rfind(needle) } else { window.find(needle) };
            match found {
                Some(at) => Value::from(offset + window[..at].chars().count()),
                None if method.ends_with("find") => Value::from(-1),
                None => return Err(invalid("substring not found")),
            }
        }
        "count" => {
            let (needle, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            let (window, _) = window(text, start, end);
            Value::from(window.matches(needle).count())
        }
        "join" => {
            let (items,): (Value,) = from_args(args)?;
            let mut out = String::new();
            for (i, item) in items.try_iter()?.enumerate() {
                let Some(item) = item.as_str() else {
                    return Err(invalid("join expects strings"));
                };
                if out.len() + text.len() + item.len() > MAX_STRING {
                    return Err(invalid("the string becomes too long"));
                }
                if i > 0 {
                    out.push_str(text);
                }
                out.push_str(item);
            }
            Value::from(out)
        }
        "upper" => Value::from(text.to_uppercase()),
        "lower" | "casefold" => Value::from(text.to_lowercase()),
        "capitalize" => {
            let mut chars = text.chars();
            let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
            Value::from(first + &chars.as_str().to_lowercase())
        }
        "title" => Value::from(title(text)),
        "swapcase" => {
            let swap = |c: char| -> String {
                if c.is_uppercase() {
                    c.to_lowercase().collect()
                } else {
                    c.to_uppercase().collect()
                }
            };
            Value::from(text.chars().map(swap).collect::<String>())
        }
        "isdigit" | "isdecimal" | "isnumeric" => each(char::is_numeric)?,
        "isalpha" => each(char::is_alphabetic)?,
        "isalnum" => each(char::is_alphanumeric)?,
        "isspace" => each(is_space)?,
        "isascii" => Value::from(text.is_ascii()),
        "islower" => Value::from(
            text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase),
        ),
        "isupper" => Value::from(
            text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase),
        ),
        "zfill" | "ljust" | "rjust" | "center" => justify(text, method, args)?,
        "format" => {
            if args.iter().any(Value::is_kwargs) {
                return Err(invalid("format() takes positional arguments only in chat templates"));
            }
            // A width is allocated before anyone asks what it costs.
            let wide = |run: &str| run.len() > MAX_WIDTH_DIGITS;
            if text.split(|c: char| !c.is_ascii_digit()).any(wide) || text.contains(":{") {
                return Err(invalid("the string becomes too long"));
            }
            Value::from(format(FormatStyle::StrFormat, text, args)?)
        }
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

fn strip<'a>(text: &'a str, args: &[Value], left: bool, right: bool) -> Result<&'a str, Error> {
    let (chars,): (Option<&str>,) = from_args(args)?;
    let strip = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if left { text.trim_start_matches(strip) } else { text };
    Ok(if right { text.trim_end_matches(strip) } else { text })
}

fn split(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, limit) = split_args(args)?;
    let mut parts = Vec::new();
    let mut rest = text;
    let Some(separator) = separator else {
        rest = rest.trim_start_matches(is_space);
        while !rest.is_empty() {
            let end = if parts.len() < limit { rest.find(is_space) } else { None };
            let Some(end) = end else {
                // The last part keeps its inner spaces; the outer ones go only if all was split.
                parts.push(Value::from(if parts.len() < limit {
                    rest
                } else {
                    rest.trim_end_matches(is_space)
                }));
                break;
            };
            parts.push(Value::from(&rest[..end]));
            rest = rest[end..].trim_start_matches(is_space);
        }
        return Ok(Value::from(parts));
    };
    while parts.len() < limit {
        let Some((part, after)) = rest.split_once(separator.as_str()) else { break };
        parts.push(Value::from(part));
        rest = after;
    }
    parts.push(Value::from(rest));
    Ok(Value::from(parts))
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, limit) = split_args(args)?;
    let mut parts = Vec::new();
    let mut rest = text;
    if let Some(separator) = separator {
        while parts.len() < limit {
            let Some((before, part)) = rest.rsplit_once(separator.as_str()) else { break };
            parts.push(Value::from(part));
            rest = before;
        }
        parts.push(Value::from(rest));
    } else {
        rest = rest.trim_end_matches(is_space);
        while !rest.is_empty() {
            let start = if parts.len() < limit { rest.rfind(is_space) } else { None };
            let Some(start) = start else {
                parts.push(Value::from(rest.trim_start_matches(is_space)));
                break;
            };
            let after = start + rest[start..].chars().next().map_or(1, char::len_utf8);
            parts.push(Value::from(&rest[after..]));
            rest = rest[..start].trim_end_matches(is_space);
        }
    }
    parts.reverse();
    Ok(Value::from(parts))
}

/// The separator, `None` for runs of spaces, and how often to split at most.
fn split_args(args: &[Value]) -> Result<(Option<String>, usize), Error> {
    let (separator, limit, kwargs): (Option<Value>, Option<Value>, Kwargs) = from_args(args)?;
    let separator = match option(separator, &kwargs, "sep")? {
        Some(value) if !value.is_none() => {
            let separator = value.as_str().ok_or_else(|| invalid("sep must be a string"))?;
            Some(filled(separator)?.to_owned())
        }
        _ => None,
    };
    let limit = option(limit, &kwargs, "maxsplit")?.map(i64::try_from).transpose()?.unwrap_or(-1);
    Ok((separator, usize::try_from(limit).unwrap_or(usize::MAX)))
}

/// An optional argument, given by position or by name.
fn option(given: Option<Value>, kwargs: &Kwargs, name: &str) -> Result<Option<Value>, Error> {
    if given.is_some() { Ok(given) } else { kwargs.get(name) }
}

fn split_lines(text: &str, keep_ends: bool) -> Value {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if !is_line_end(c) {
            continue;
        }
        let mut end = at + c.len_utf8();
        if c == '\r' && chars.next_if(|&(_, next)| next == '\n').is_some() {
            end += 1;
        }
        lines.push(Value::from(&text[start..if keep_ends { end } else { at }]));
        start = end;
    }
    if start < text.len() {
        lines.push(Value::from(&text[start..]));
    }
    Value::from(lines)
}

fn affix(text: &str, args: &[Value], test: fn(&str, &str) -> bool) -> Result<bool, Error> {
    let (affixes, start, end): (Value, Option<i64>, Option<i64>) = from_args(args)?;
    let (text, _) = window(text, start, end);
    if let Some(affix) = affixes.as_str() {
        return Ok(test(text, affix));
    }
    if !affixes.is_tuple() {
        return Err(invalid("expected a string or a tuple of strings"));
    }
    Ok(affixes.try_iter()?.any(|affix| affix.as_str().is_some_and(|affix| test(text, affix))))
}

fn replace(text: &str, old: &str, new: &str, count: Option<usize>) -> Result<Value, Error> {
    let found = text.matches(old).take(count.unwrap_or(usize::MAX)).count();
    let len = found.checked_mul(new.len()).and_then(|len| len.checked_add(text.len()));
    if len.is_none_or(|len| len > MAX_STRING) {
        return Err(invalid("the string becomes too long"));
    }
    Ok(Value::from(match count {
        Some(count) => text.replacen(old, new, count),
        None => text.replace(old, new),
    }))
}

fn justify(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, space): (i64, Option<char>) = from_args(args)?;
    let space = space.unwrap_or(' ');
    let len = text.chars().count();
    let width = usize::try_from(width).unwrap_or(0);
    if width > MAX_STRING {
        return Err(invalid("the string becomes too long"));
    }
    let missing = width.saturating_sub(len);
    let fill = |n: usize, c: char| std::iter::repeat_n(c, n).collect::<String>();
    Ok(Value::from(match method {
        "zfill" => {
            let (sign, digits) = match text.strip_prefix(['+', '-']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text),
            };
            format!("{sign}{}{digits}", fill(missing, '0'))
        }
        "ljust" => format!("{text}{}", fill(missing, space)),
        "rjust" => format!("{}{text}", fill(missing, space)),
        _ => {
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", fill(left, space), fill(missing - left, space))
        }
    }))
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        inside = c.is_alphabetic();
    }
    out
}

/// `text[start:end]` in characters, and the character it begins at.
fn window(text: &str, start: Option<i64>, end: Option<i64>) -> (&str, usize) {
    if start.is_none() && end.is_none() {
        return (text, 0);
    }
    let len = text.chars().count() as i64;
    let clamp = |at: i64| if at < 0 { (at + len).max(0) } else { at.min(len) } as usize;
    let (start, end) = (clamp(start.unwrap_or(0)), clamp(end.unwrap_or(len)));
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    if start >= end { ("", start) } else { (&text[byte(start)..byte(end)], start) }
}

fn filled(separator: &str) -> Result<&str, Error> {
    if separator.is_empty() { Err(invalid("empty separator")) } else { Ok(separator) }
}

/// `str.isspace`, which counts four separators that Unicode's White_Space does not.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

pub(super) fn invalid(reason: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// What Jinja's sandbox says to a method that would change its object.
pub(super) fn unsafe_call(method: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("access to attribute '{method}' is unsafe"))
}

/// The longest string that a method or `tojson` makes.
pub(super) const MAX_STRING: usize = 16 << 20;
const MAX_WIDTH_DIGITS: usize = 5;
