//! Filters that make texts.

use super::super::{
    args::{self, Args, required},
    error::{Result, failure},
    format as formatting, letters,
    render::Run,
    strings,
    text::{self, is_space},
    value::{Value, fields},
    widths,
};

/// A text like the filtered one: marked if that is.
fn like<'a>(run: &mut Run<'a>, value: Value<'a>, text: &str) -> Result<Value<'a>> {
    let text = run.alloc_str(text)?;
    Ok(marked(value, text))
}

fn marked<'a>(value: Value<'a>, text: &'a str) -> Value<'a> {
    if matches!(value, Value::Markup(_)) { Value::Markup(text) } else { Value::Str(text) }
}

pub(super) fn string<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    args.none()?;
    let text = run.str(value)?;
    Ok(marked(value, text))
}

pub(super) fn trim<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let [chars] = args.bind(["chars"])?;
    let text = run.str(value)?;
    let text = strings::trim(run, text, chars.unwrap_or(Value::None), true, true)?;
    Ok(marked(value, text))
}

pub(super) fn upper<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    args.none()?;
    let text = run.str(value)?;
    run.spend_chars(text)?;
    let text = text.to_uppercase();
    like(run, value, &text)
}

pub(super) fn lower<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    args.none()?;
    let text = run.str(value)?;
    run.spend_chars(text)?;
    let text = text.to_lowercase();
    like(run, value, &text)
}

pub(super) fn capitalize<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    args.none()?;
    let text = run.str(value)?;
    run.spend_chars(text)?;
    let text = letters::capitalize(text);
    like(run, value, &text)
}

/// Words begin after spaces, hyphens and opening brackets.
pub(super) fn title<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    args.none()?;
    let text = run.str(value)?;
    run.spend_chars(text)?;
    let mut titled = String::with_capacity(text.len());
    let mut begins = true;
    for c in text.chars() {
        if is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<') {
            titled.push(c);
            begins = true;
        } else {
            if begins {
                titled.extend(c.to_uppercase());
            } else {
                titled.extend(c.to_lowercase());
            }
            begins = false;
        }
    }
    Ok(Value::Str(run.alloc_str(&titled)?))
}

pub(super) fn center<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let [width] = args.bind(["width"])?;
    let text = run.str(value)?;
    let width = width.map_or(Ok(80), args::int)?;
    Ok(marked(value, widths::center(run, text, width, ' ')?))
}

pub(super) fn replace<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let [old, new, count] = args.bind(["old", "new", "count"])?;
    let (text, old, new) = (run.str(value)?, run.str(required(old)?)?, run.str(required(new)?)?);
    let count = match count.unwrap_or(Value::None) {
        Value::None => -1,
        count => args::int(count)?,
    };
    Ok(Value::Str(strings::replace(run, text, old, new, count)?))
}

/// `value % args`.
pub(super) fn format<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let template = run.str(value)?;
    let given = match (args.values, args.named) {
        (values, []) => Value::Tuple(values),
        ([], named) => {
            let named: Vec<(Value<'a>, Value<'a>)> =
                named.iter().map(|(name, value)| (Value::Str(name), *value)).collect();
            Value::Dict(run.arena.alloc_slice_copy(&named))
        }
        _ => return failure("can't handle positional and keyword arguments at the same time"),
    };
    let escapes = matches!(value, Value::Markup(_));
    let text = formatting::percent(run, template, given, escapes)?;
    like(run, value, &text)
}

pub(super) fn indent<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let [width, first, blank] = args.bind(["width", "first", "blank"])?;
    let indent = match width.unwrap_or(Value::Int(4)) {
        Value::Str(text) | Value::Markup(text) => text.to_owned(),
        width => widths::padding(run, args::int(width)?, "", ' ')?,
    };
    run.check_defined(value)?;
    let text = args::text(value)?;
    let is_true = |it: Option<Value<'a>>| it.is_some_and(Value::is_true);
    let (first, blank) = (is_true(first), is_true(blank));
    let text = format!("{text}\n");
    let lines = text::lines(&text, false);
    run.spend_text(text.len().saturating_add(lines.len().saturating_mul(indent.len() + 1)))?;
    let mut out = String::new();
    for (i, line) in lines.into_iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if (i == 0 && first) || (i > 0 && (blank || !line.is_empty())) {
            out.push_str(&indent);
        }
        out.push_str(line);
    }
    like(run, value, &out)
}

pub(super) fn truncate<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let [length, kill_words, end, leeway] = args.bind(["length", "killwords", "end", "leeway"])?;
    let length = length.map_or(Ok(255), args::int)?;
    let end = end.map_or(Ok("..."), args::text)?;
    let leeway = match leeway.unwrap_or(Value::None) {
        Value::None => 5,
        leeway => args::int(leeway)?,
    };
    let kept = length - end.chars().count() as i128;
    if kept < 0 || leeway < 0 {
        return failure("the length or the leeway is too small");
    }
    let Some(len) = value.len() else {
        return failure(format!("object of type '{}' has no len()", value.type_name()));
    };
    if len as i128 <= length.saturating_add(leeway) {
        return Ok(value);
    }
    let text = args::text(value)?;
    run.spend_text(text.len())?;
    let at = super::super::attribute::byte(text, usize::try_from(kept).unwrap_or(usize::MAX));
    let mut kept = &text[..at];
    if !kill_words.is_some_and(Value::is_true) {
        kept = kept.rsplit_once(' ').map_or(kept, |(kept, _)| kept);
    }
    Ok(Value::Str(run.join(&[kept, end])?))
}

pub(super) fn wordcount<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    args.none()?;
    let text = run.str(value)?;
    run.spend_text(text.len())?;
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    Ok(Value::Int(words.filter(|word| !word.is_empty()).count() as i128))
}

/// `pprint.pformat(value)`, of what fits on one line.
pub(super) fn pprint<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    args.none()?;
    let value = sorted(run, value, 0)?;
    let mut out = String::new();
    run.repr(value, &mut out, 0)?;
    if out.chars().count() > 80
        && (value.sequence().is_some() || value.is_dict() || out.contains(' '))
    {
        return failure("pprint of more than a line is not supported in chat templates");
    }
    Ok(Value::Str(run.alloc_str(&out)?))
}

/// With all dictionaries in the order of their keys.
fn sorted<'a>(run: &mut Run<'a>, value: Value<'a>, depth: usize) -> Result<Value<'a>> {
    run.check_depth(depth)?;
    run.spend(1)?;
    if value.is_dict() {
        let mut all: Vec<(Value<'a>, Value<'a>)> = Vec::new();
        for (key, value) in fields(value) {
            all.push((key, sorted(run, value, depth + 1)?));
        }
        run.sort(&mut all, false, |_, (key, _)| Ok(*key))?;
        return Ok(Value::Dict(run.arena.alloc_slice_copy(&all)));
    }
    let (true, Some(items)) = (value.is_list() || value.tuple().is_some(), value.sequence()) else {
        return Ok(value);
    };
    let mut all = Vec::new();
    for item in items.iter() {
        all.push(sorted(run, item, depth + 1)?);
    }
    let all = run.arena.alloc_slice_copy(&all);
    Ok(if value.is_list() { Value::List(all) } else { Value::Tuple(all) })
}
