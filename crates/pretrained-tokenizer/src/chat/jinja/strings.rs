//! The methods of strings.

use super::{
    args::{self, Args, required},
    attribute::byte,
    error::{Result, failure},
    format,
    letters::{capitalize, is, swap_case, title, translate},
    render::Run,
    text::{self, is_space},
    value::Value,
    widths::{expand_tabs, justify},
};

/// Calls a method, if there is one of that name.
pub(super) fn call<'a>(
    run: &mut Run<'a>,
    text: &'a str,
    name: &str,
    args: &Args<'a>,
) -> Result<Option<Value<'a>>> {
    if !METHODS.contains(&name) {
        return Ok(None);
    }
    run.spend_text(text.len())?;
    Ok(Some(match name {
        "strip" => Value::Str(strip(run, text, args, true, true)?),
        "lstrip" => Value::Str(strip(run, text, args, true, false)?),
        "rstrip" => Value::Str(strip(run, text, args, false, true)?),
        "startswith" => Value::Bool(affix(run, text, args, |text, it| text.starts_with(it))?),
        "endswith" => Value::Bool(affix(run, text, args, |text, it| text.ends_with(it))?),
        "split" => split(run, text, args)?,
        "rsplit" => rsplit(run, text, args)?,
        "splitlines" => {
            let [keep_ends] = args.bind(["keepends"])?;
            let lines = text::lines(text, keep_ends.is_some_and(Value::is_true));
            list(run, lines.into_iter())?
        }
        "partition" => {
            let separator = filled(args::text(args.one()?)?)?;
            let (before, between, after) = match text.split_once(separator) {
                Some((before, after)) => (before, separator, after),
                None => (text, "", ""),
            };
            Value::Tuple(run.arena.alloc_slice_copy(&[before, between, after].map(Value::Str)))
        }
        "rpartition" => {
            let separator = filled(args::text(args.one()?)?)?;
            let (before, between, after) = match text.rsplit_once(separator) {
                Some((before, after)) => (before, separator, after),
                None => ("", "", text),
            };
            Value::Tuple(run.arena.alloc_slice_copy(&[before, between, after].map(Value::Str)))
        }
        "removeprefix" => Value::Str(text.strip_prefix(args::text(args.one()?)?).unwrap_or(text)),
        "removesuffix" => Value::Str(text.strip_suffix(args::text(args.one()?)?).unwrap_or(text)),
        "replace" => {
            let [old, new, count] = args.positional(2)?;
            let (old, new) = (args::text(required(old)?)?, args::text(required(new)?)?);
            let count = count.map_or(Ok(-1), args::int)?;
            Value::Str(replace(run, text, old, new, count)?)
        }
        "find" | "index" | "rfind" | "rindex" => find(text, name, args)?,
        "count" => {
            let [part, start, end] = args.positional(1)?;
            let part = args::text(required(part)?)?;
            let (window, _) = window(text, start, end)?;
            let count = match window {
                Some(window) if part.is_empty() => window.chars().count() + 1,
                Some(window) => window.matches(part).count(),
                None => 0,
            };
            run.spend(count)?;
            Value::Int(count as i128)
        }
        "join" => {
            let items = run.collect(args.one()?)?;
            let mut parts = Vec::with_capacity(items.len() * 2);
            for (i, item) in items.iter().enumerate() {
                let Some(item) = item.text() else {
                    let kind = item.type_name();
                    return failure(format!("sequence item {i}: expected str, {kind} found"));
                };
                if i > 0 {
                    parts.push(text);
                }
                parts.push(item);
            }
            run.spend(parts.len())?;
            Value::Str(run.join(&parts)?)
        }
        "upper" | "lower" | "casefold" | "capitalize" | "title" | "swapcase" => {
            args.none()?;
            run.spend_chars(text)?;
            let changed = match name {
                "upper" => text.to_uppercase(),
                "lower" => text.to_lowercase(),
                "casefold" => text.to_lowercase().replace('ß', "ss").replace('ς', "σ"),
                "capitalize" => capitalize(text),
                "title" => title(text),
                _ => swap_case(text),
            };
            Value::Str(run.alloc_str(&changed)?)
        }
        "zfill" | "ljust" | "rjust" | "center" => justify(run, text, name, args)?,
        "expandtabs" => {
            let [size] = args.bind(["tabsize"])?;
            let size = size.map_or(Ok(8), args::int)?;
            expand_tabs(run, text, size)?
        }
        "format" | "format_map" => {
            let formatted = format(run, text, name, args, false)?;
            Value::Str(run.alloc_str(&formatted)?)
        }
        "translate" => {
            let translated = translate(run, text, args.one()?)?;
            Value::Str(run.alloc_str(&translated)?)
        }
        "encode" | "maketrans" => {
            return failure(format!("str.{name} is not supported in chat templates"));
        }
        _ => {
            args.none()?;
            run.spend_chars(text)?;
            Value::Bool(is(text, name))
        }
    }))
}

/// `text.format(…)` and `text.format_map(…)`.
pub(super) fn format<'a>(
    run: &mut Run<'a>,
    text: &'a str,
    name: &str,
    args: &Args<'a>,
    escapes: bool,
) -> Result<String> {
    if name == "format" {
        return format::braces(run, text, args, escapes);
    }
    let mapping = args.one()?;
    if !mapping.is_dict() {
        return failure("format_map() takes a mapping");
    }
    let named: Vec<(&'a str, Value<'a>)> = super::value::fields(mapping)
        .filter_map(|(name, value)| Some((name.text()?, value)))
        .collect();
    let args = Args { values: &[], named: run.arena.alloc_slice_copy(&named) };
    format::braces(run, text, &args, escapes)
}

fn strip<'a>(
    run: &mut Run<'a>,
    text: &'a str,
    args: &Args<'a>,
    left: bool,
    right: bool,
) -> Result<&'a str> {
    let [chars] = args.positional(0)?;
    trim(run, text, chars.unwrap_or(Value::None), left, right)
}

/// Takes away space, or the characters of `chars`.
pub(super) fn trim<'a>(
    run: &mut Run<'a>,
    text: &'a str,
    chars: Value<'a>,
    left: bool,
    right: bool,
) -> Result<&'a str> {
    let chars = match chars {
        Value::None => None,
        chars => Some(args::text(chars)?),
    };
    if let Some(chars) = chars.filter(|chars| chars.len() > 16) {
        run.spend_text(text.len().saturating_mul(chars.len()))?;
    }
    let goes = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if left { text.trim_start_matches(goes) } else { text };
    Ok(if right { text.trim_end_matches(goes) } else { text })
}

pub(super) fn list<'a>(
    run: &mut Run<'a>,
    parts: impl Iterator<Item = &'a str>,
) -> Result<Value<'a>> {
    // One more than can be paid for: what a text falls into is more than the text.
    let parts: Vec<Value<'a>> = parts.map(Value::Str).take(run.fuel + 1).collect();
    run.spend(parts.len())?;
    Ok(Value::List(run.arena.alloc_slice_copy(&parts)))
}

/// The separator, `None` for runs of spaces, and how often to split at most.
fn split_args<'a>(args: &Args<'a>) -> Result<(Option<&'a str>, usize)> {
    let [separator, limit] = args.bind(["sep", "maxsplit"])?;
    let separator = match separator.unwrap_or(Value::None) {
        Value::None => None,
        separator => Some(filled(args::text(separator)?)?),
    };
    let limit = limit.map_or(Ok(-1), args::int)?;
    Ok((separator, usize::try_from(limit).unwrap_or(usize::MAX)))
}

fn split<'a>(run: &mut Run<'a>, text: &'a str, args: &Args<'a>) -> Result<Value<'a>> {
    let (separator, limit) = split_args(args)?;
    if let Some(separator) = separator {
        return list(run, text.splitn(limit.saturating_add(1), separator));
    }
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        run.spend(1)?;
        let end = if parts.len() < limit { rest.find(is_space) } else { None };
        let Some(end) = end else {
            parts.push(rest);
            break;
        };
        parts.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_space);
    }
    list(run, parts.into_iter())
}

fn rsplit<'a>(run: &mut Run<'a>, text: &'a str, args: &Args<'a>) -> Result<Value<'a>> {
    let (separator, limit) = split_args(args)?;
    let mut parts = Vec::new();
    if let Some(separator) = separator {
        parts.extend(text.rsplitn(limit.saturating_add(1), separator).take(run.fuel + 1));
    } else {
        let mut rest = text.trim_end_matches(is_space);
        while !rest.is_empty() {
            run.spend(1)?;
            let start = if parts.len() < limit { rest.rfind(is_space) } else { None };
            let Some(start) = start else {
                parts.push(rest);
                break;
            };
            let after = start + rest[start..].chars().next().map_or(1, char::len_utf8);
            parts.push(&rest[after..]);
            rest = rest[..start].trim_end_matches(is_space);
        }
    }
    list(run, parts.into_iter().rev())
}

fn affix<'a>(
    run: &mut Run<'a>,
    text: &'a str,
    args: &Args<'a>,
    test: fn(&str, &str) -> bool,
) -> Result<bool> {
    let [affixes, start, end] = args.positional(1)?;
    let affixes = required(affixes)?;
    let (text, _) = window(text, start, end)?;
    if let Some(affix) = affixes.text() {
        return Ok(text.is_some_and(|text| test(text, affix)));
    }
    let Some(affixes) = affixes.tuple() else {
        return failure("the first argument must be str or a tuple of str");
    };
    run.spend(affixes.len())?;
    for affix in affixes {
        let affix = args::text(*affix)?;
        run.spend_text(affix.len())?;
        if text.is_some_and(|text| test(text, affix)) {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn replace<'a>(
    run: &mut Run<'a>,
    text: &'a str,
    old: &str,
    new: &str,
    count: i128,
) -> Result<&'a str> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let found = text.matches(old).take(count).count();
    run.spend(found)?;
    run.spend_text(text.len().saturating_add(found.saturating_mul(new.len())))?;
    if found == 0 {
        return Ok(text);
    }
    Ok(run.arena.alloc_str(&text.replacen(old, new, count)))
}

fn find<'a>(text: &'a str, name: &str, args: &Args<'a>) -> Result<Value<'a>> {
    let [part, start, end] = args.positional(1)?;
    let part = args::text(required(part)?)?;
    let (window, offset) = window(text, start, end)?;
    let found = window.and_then(|window| {
        let at = if name.starts_with('r') { window.rfind(part) } else { window.find(part) };
        at.map(|at| window[..at].chars().count())
    });
    match found {
        Some(at) => Ok(Value::Int((offset + at) as i128)),
        None if name.ends_with("find") => Ok(Value::Int(-1)),
        None => failure("substring not found"),
    }
}

/// `text[start:end]`, and the character it begins at; `None` if it begins behind its end.
fn window<'a>(
    text: &'a str,
    start: Option<Value<'a>>,
    end: Option<Value<'a>>,
) -> Result<(Option<&'a str>, usize)> {
    if start.is_none() && end.is_none() {
        return Ok((Some(text), 0));
    }
    let len = text.chars().count() as i128;
    let bound = |at: Option<Value<'a>>, default: i128| -> Result<i128> {
        let at = match at {
            None | Some(Value::None) => default,
            Some(at) => args::int(at)?,
        };
        Ok(if at < 0 { at.saturating_add(len).max(0) } else { at })
    };
    let (start, end) = (bound(start, 0)?, bound(end, len)?.min(len));
    if start > end {
        return Ok((None, 0));
    }
    let (start, end) = (start as usize, end as usize);
    Ok((Some(&text[byte(text, start)..byte(text, end)]), start))
}

fn filled(separator: &str) -> Result<&str> {
    if separator.is_empty() { failure("empty separator") } else { Ok(separator) }
}

pub(super) const METHODS: [&str; 47] = [
    "strip",
    "split",
    "startswith",
    "replace",
    "endswith",
    "lstrip",
    "rstrip",
    "join",
    "upper",
    "lower",
    "title",
    "capitalize",
    "format",
    "find",
    "rfind",
    "index",
    "rindex",
    "count",
    "rsplit",
    "splitlines",
    "partition",
    "rpartition",
    "removeprefix",
    "removesuffix",
    "zfill",
    "ljust",
    "rjust",
    "center",
    "isdigit",
    "isalpha",
    "isalnum",
    "isspace",
    "isupper",
    "islower",
    "istitle",
    "isnumeric",
    "isdecimal",
    "isascii",
    "isprintable",
    "isidentifier",
    "swapcase",
    "casefold",
    "expandtabs",
    "format_map",
    "encode",
    "translate",
    "maketrans",
];
