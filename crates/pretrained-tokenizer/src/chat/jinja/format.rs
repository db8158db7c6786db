//! `'…' % values` and `'…'.format(…)`.

use super::{
    args::{self, Args},
    error::{Result, failure},
    render::Run,
    spec::{Spec, pad, write_float, write_int},
    text,
    value::Value,
};

/// `template % value`. A template that is marked text `escapes` what it is filled with.
pub(super) fn percent<'a>(
    run: &mut Run<'a>,
    template: &'a str,
    value: Value<'a>,
    escapes: bool,
) -> Result<String> {
    run.spend_text(template.len())?;
    let mut values = match value.tuple() {
        Some(values) => values.to_vec(),
        None => vec![value],
    }
    .into_iter();
    let by_name =
        value.tuple().is_none() && (value.is_dict() || value.is_list() || value.is_undefined());
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut named = None;
        if let Some(inner) = rest.strip_prefix('(') {
            let Some((name, after)) = inner.split_once(')') else {
                return failure("incomplete format key");
            };
            if !value.is_dict() {
                return failure("format requires a mapping");
            }
            let Some(found) = run.field(value, Value::Str(name))? else {
                return failure("the mapping lacks a key of the format");
            };
            (named, rest) = (Some(found), after);
        }
        let mut next = |named: &mut Option<Value<'a>>| match named.take() {
            Some(value) => Ok(value),
            None => match values.next() {
                Some(value) => Ok(value),
                None => failure("not enough arguments for format string"),
            },
        };
        let mut spec = Spec { align: Some('>'), ..Spec::default() };
        let flags = rest.len() - rest.trim_start_matches(['-', '+', ' ', '#', '0']).len();
        let (flags, after) = rest.split_at(flags);
        rest = after;
        spec.alternate = flags.contains('#');
        for (flag, sign) in [(' ', ' '), ('+', '+')] {
            if flags.contains(flag) {
                spec.sign = sign;
            }
        }
        let mut left = flags.contains('-');
        spec.width = match rest.strip_prefix('*') {
            Some(after) => {
                rest = after;
                let width = args::int(next(&mut None)?)?;
                left |= width < 0;
                usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX)
            }
            None => digits(&mut rest).unwrap_or(0),
        };
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            spec.precision = Some(match rest.strip_prefix('*') {
                Some(after) => {
                    rest = after;
                    usize::try_from(args::int(next(&mut None)?)?).unwrap_or(0)
                }
                None => digits(&mut rest).unwrap_or(0),
            });
        }
        rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
        let Some(kind) = rest.chars().next() else { return failure("incomplete format") };
        rest = &rest[kind.len_utf8()..];
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = next(&mut named)?;
        if left {
            spec.align = Some('<');
        } else if flags.contains('0') && !matches!(kind, 's' | 'r' | 'a' | 'c') {
            (spec.align, spec.fill) = (Some('='), '0');
        }
        conversion(run, value, kind, spec, escapes, &mut out)?;
    }
    if values.next().is_some() && !by_name {
        return failure("not all arguments converted during string formatting");
    }
    out.push_str(rest);
    Ok(out)
}

fn conversion<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    kind: char,
    mut spec: Spec,
    escapes: bool,
    out: &mut String,
) -> Result<()> {
    match kind {
        's' | 'r' | 'a' => {
            let mut text = String::new();
            if kind == 's' {
                run.write(value, &mut text)?;
            } else {
                run.repr(value, &mut text, 0)?;
            }
            if kind == 'a' {
                text = text::ascii(&text);
            }
            if escapes && !(kind == 's' && matches!(value, Value::Markup(_))) {
                text = text::escaped(&text);
            }
            if let Some(precision) = spec.precision {
                text = text.chars().take(precision).collect();
            }
            pad(run, &spec, "", &text, out)
        }
        'c' => match (value.int(), value.text()) {
            (Some(code), _) => {
                let c = u32::try_from(code).ok().and_then(char::from_u32);
                let Some(c) = c else { return failure("%c arg not in range") };
                pad(run, &spec, "", c.encode_utf8(&mut [0; 4]), out)
            }
            (_, Some(text)) if text.chars().count() == 1 => pad(run, &spec, "", text, out),
            _ => failure("%c requires int or char"),
        },
        'd' | 'i' | 'u' | 'o' | 'x' | 'X' => {
            let number = match (value.int(), value) {
                (Some(number), _) => number,
                (_, Value::Float(it)) if matches!(kind, 'd' | 'i' | 'u') && it.is_finite() => {
                    it as i128
                }
                _ => return failure(format!("%{kind} format: a number is required")),
            };
            spec.kind = Some(if matches!(kind, 'i' | 'u') { 'd' } else { kind });
            write_int(run, number, &spec, out)
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let Some(number) = value.float() else { return failure("must be a real number") };
            spec.kind = Some(kind);
            write_float(run, number, &spec, out)
        }
        _ => failure("unsupported format character"),
    }
}

/// The number that the text begins with, which is taken off.
fn digits(text: &mut &str) -> Option<usize> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(len);
    *text = rest;
    // What is too large for a number is too large for the budget.
    (len > 0).then(|| digits.parse().unwrap_or(usize::MAX))
}

/// `template.format(…)`. A template that is marked text `escapes` what it is filled with.
pub(super) fn braces<'a>(
    run: &mut Run<'a>,
    template: &'a str,
    args: &Args<'a>,
    escapes: bool,
) -> Result<String> {
    let mut out = String::new();
    let mut fields = Fields { args, next: Some(0), escapes };
    fields.write(run, template, &mut out, 0)?;
    Ok(out)
}

struct Fields<'f, 'a> {
    args: &'f Args<'a>,
    /// The number of the next field without one; `None` once fields have numbers.
    next: Option<usize>,
    escapes: bool,
}

impl<'a> Fields<'_, 'a> {
    fn write(
        &mut self,
        run: &mut Run<'a>,
        template: &str,
        out: &mut String,
        depth: usize,
    ) -> Result<()> {
        run.spend_text(template.len())?;
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            out.push_str(&rest[..at]);
            let brace = rest.as_bytes()[at];
            rest = &rest[at + 1..];
            if rest.as_bytes().first() == Some(&brace) && (brace == b'}' || depth == 0) {
                out.push(char::from(brace));
                rest = &rest[1..];
                continue;
            }
            if brace == b'}' {
                return failure("single '}' encountered in format string");
            }
            let Some(end) = closing(rest) else {
                return failure("expected '}' before end of string");
            };
            let field = &rest[..end];
            rest = &rest[end + 1..];
            self.field(run, field, out, depth)?;
        }
        out.push_str(rest);
        Ok(())
    }

    fn field(
        &mut self,
        run: &mut Run<'a>,
        field: &str,
        out: &mut String,
        depth: usize,
    ) -> Result<()> {
        if depth > 1 {
            return failure("max string recursion exceeded");
        }
        // A subscript may hold anything but its own end.
        let mut inside = false;
        let end = field.find(|c| {
            inside = (inside || c == '[') && c != ']';
            !inside && matches!(c, ':' | '!')
        });
        let (name, mut rest) = field.split_at(end.unwrap_or(field.len()));
        let value = self.value(run, name)?;
        let mut conversion = None;
        if let Some(after) = rest.strip_prefix('!') {
            conversion = after.chars().next();
            rest = &after[conversion.map_or(0, char::len_utf8)..];
            if !rest.is_empty() && !rest.starts_with(':') {
                return failure("expected ':' after conversion specifier");
            }
        }
        let mut spec = String::new();
        self.write(run, rest.strip_prefix(':').unwrap_or(""), &mut spec, depth + 1)?;
        let value = match conversion {
            None if end.is_none() || !rest.is_empty() => value,
            None => value,
            Some('s') => Value::Str(run.str(value)?),
            Some(kind @ ('r' | 'a')) => {
                let mut text = String::new();
                run.repr(value, &mut text, 0)?;
                if kind == 'a' {
                    text = text::ascii(&text);
                }
                Value::Str(run.alloc_str(&text)?)
            }
            Some(_) => return failure("unknown conversion specifier"),
        };
        if !self.escapes {
            return formatted(run, value, &spec, out);
        }
        if matches!(value, Value::Markup(_)) && !spec.is_empty() {
            return failure("marked text has no format");
        }
        let mut text = String::new();
        formatted(run, value, &spec, &mut text)?;
        match value {
            Value::Markup(_) => out.push_str(&text),
            _ => text::escape(&text, out),
        }
        Ok(())
    }

    /// What `0.name[key]` stands for.
    fn value(&mut self, run: &mut Run<'a>, name: &str) -> Result<Value<'a>> {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut rest) = name.split_at(end);
        let is_number = !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit());
        let mut value = if first.is_empty() || is_number {
            let at = match (&mut self.next, first.is_empty()) {
                (Some(next), true) => {
                    *next += 1;
                    *next - 1
                }
                (None, true) => return failure("cannot mix numbered and unnumbered fields"),
                (Some(next), false) if *next > 0 => {
                    return failure("cannot mix numbered and unnumbered fields");
                }
                (_, false) => {
                    self.next = None;
                    first.parse().unwrap_or(usize::MAX)
                }
            };
            match self.args.values.get(at) {
                Some(value) => *value,
                None => return failure("format index out of range"),
            }
        } else {
            match self.args.named.iter().find(|(known, _)| *known == first) {
                Some((_, value)) => *value,
                None => return failure("format() lacks a keyword argument"),
            }
        };
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let name = run.alloc_str(&after[..end])?;
                value = run.attribute(value, name)?;
                rest = &after[end..];
            } else {
                let key = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
                let Some((key, after)) = key.filter(|(key, _)| !key.is_empty()) else {
                    return failure("missing ']' or empty attribute in format string");
                };
                let key = match key.parse::<u32>() {
                    Ok(index) if key.bytes().all(|b| b.is_ascii_digit()) => {
                        Value::Int(index.into())
                    }
                    _ => Value::Str(run.alloc_str(key)?),
                };
                value = run.item(value, key)?;
                rest = after;
            }
        }
        Ok(value)
    }
}

/// Where the field that has been opened is closed.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0;
    for (at, b) in text.bytes().enumerate() {
        match b {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

/// `format(value, spec)`.
fn formatted<'a>(run: &mut Run<'a>, value: Value<'a>, spec: &str, out: &mut String) -> Result<()> {
    if spec.is_empty() {
        return run.write(value, out);
    }
    let spec = Spec::parse(spec)?;
    if let Some(text) = value.text() {
        if spec.align == Some('=') || spec.sign != '-' || spec.alternate || spec.group.is_some() {
            return failure("this format is not for strings");
        }
        if spec.kind.is_some_and(|kind| kind != 's') {
            return failure("unknown format code for a string");
        }
        let text: String = text.chars().take(spec.precision.unwrap_or(usize::MAX)).collect();
        run.spend_text(text.len())?;
        let align = spec.align.or(Some('<'));
        return pad(run, &Spec { align, ..spec }, "", &text, out);
    }
    match (value.int(), value.float()) {
        (Some(number), _) if !spec.is_for_floats() => {
            if spec.precision.is_some() {
                return failure("precision not allowed in integer format specifier");
            }
            write_int(run, number, &spec, out)
        }
        (_, Some(number)) => write_float(run, number, &spec, out),
        _ => {
            let kind = value.type_name();
            failure(format!("unsupported format string passed to {kind}.__format__"))
        }
    }
}
