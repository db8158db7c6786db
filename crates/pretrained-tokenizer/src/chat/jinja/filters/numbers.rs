//! Filters that make numbers, and that spell them.

use super::super::{
    args::{self, Args, required},
    error::{Result, failure},
    math::whole,
    render::Run,
    text,
    value::Value,
};

pub(super) fn abs<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    args.none()?;
    run.check_defined(value)?;
    match (value.int(), value) {
        (Some(it), _) => whole(it.checked_abs()),
        (None, Value::Float(it)) => Ok(Value::Float(it.abs())),
        _ => failure(format!("bad operand type for abs(): '{}'", value.type_name())),
    }
}

/// `int(value)`, and `default` for what is no number.
pub(super) fn int<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let [default, base] = args.bind(["default", "base"])?;
    let default = default.unwrap_or(Value::Int(0));
    let base = base.map_or(Ok(10), args::int)?;
    run.check_defined(value)?;
    if let Some(text) = value.text() {
        run.spend_text(text.len())?;
        if base != 0 && !(2..=36).contains(&base) {
            return failure("int() base must be >= 2 and <= 36, or 0");
        }
        match parse_int(text, base as u32) {
            Some(Some(number)) => return Ok(Value::Int(number)),
            Some(None) => return failure("the number is too large"),
            None => {}
        }
    } else if let Some(number) = value.int() {
        return Ok(Value::Int(number));
    }
    if matches!(value, Value::Float(float) if float.is_infinite()) {
        return failure("cannot convert float infinity to integer");
    }
    match as_float(run, value)? {
        Some(float) if float.is_finite() && float.abs() < 1e38 => Ok(Value::Int(float as i128)),
        Some(float) if float.is_finite() => failure("the number is too large"),
        _ => Ok(default),
    }
}

/// `int(text, base)`: `None` for no number, `Some(None)` for one that is too large.
fn parse_int(text: &str, base: u32) -> Option<Option<i128>> {
    let text = text::trim(text);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let prefix = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => 16,
        [b'0', b'o' | b'O', ..] => 8,
        [b'0', b'b' | b'B', ..] => 2,
        _ => 0,
    };
    let (base, rest) = match base {
        0 if prefix == 0 => (10, digits),
        base if prefix > 0 && (base == prefix || base == 0) => {
            (prefix, digits[2..].strip_prefix('_').unwrap_or(&digits[2..]))
        }
        base => (base, digits),
    };
    let mut number = Some(0i128);
    let mut after_digit = false;
    for c in rest.chars() {
        if c == '_' && after_digit {
            after_digit = false;
            continue;
        }
        let digit = match text::decimal(c) {
            Some(digit) => Some(digit).filter(|&digit| digit < base),
            None => c.to_digit(base),
        }?;
        number = number
            .and_then(|it| it.checked_mul(base.into()))
            .and_then(|it| it.checked_add(digit.into()));
        after_digit = true;
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    after_digit.then(|| number.map(|it| it * sign))
}

/// `float(value)`, and `default` for what is no number.
pub(super) fn float<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let [default] = args.bind(["default"])?;
    run.check_defined(value)?;
    Ok(as_float(run, value)?.map_or(default.unwrap_or(Value::Float(0.0)), Value::Float))
}

/// What `float()` makes of a value.
fn as_float<'a>(run: &mut Run<'a>, value: Value<'a>) -> Result<Option<f64>> {
    let Some(text) = value.text() else { return Ok(value.float()) };
    // It is spelled anew, character by character.
    run.spend(text.len())?;
    Ok(parse_float(text))
}

fn parse_float(text: &str) -> Option<f64> {
    let text: String = text::trim(text)
        .chars()
        .map(|c| text::decimal(c).and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c))
        .collect();
    let bytes = text.as_bytes();
    // An underscore stands between digits.
    for (at, _) in text.match_indices('_') {
        let is_digit =
            |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
        if !is_digit(at.checked_sub(1)) || !is_digit(Some(at + 1)) {
            return None;
        }
    }
    text.replace('_', "").parse().ok()
}

pub(super) fn round<'a>(run: &mut Run<'a>, value: Value<'a>, args: &Args<'a>) -> Result<Value<'a>> {
    let [precision, method] = args.bind(["precision", "method"])?;
    run.check_defined(value)?;
    let method = method.map_or(Ok("common"), args::text)?;
    let precision = precision.map_or(Ok(0), args::int)?;
    let Some(number) = value.float() else {
        return failure(format!("type {} cannot be rounded", value.type_name()));
    };
    if !(-300..=300).contains(&precision) {
        return failure("the precision is out of range");
    }
    match method {
        "common" => match value.int() {
            Some(number) if precision >= 0 => Ok(Value::Int(number)),
            Some(number) => {
                let unit = u32::try_from(-precision).ok().and_then(|it| 10i128.checked_pow(it));
                let Some(unit) = unit else { return Ok(Value::Int(0)) };
                let rest = number.rem_euclid(unit);
                let down = number - rest;
                let up = rest * 2 > unit || (rest * 2 == unit && (down / unit) % 2 != 0);
                whole(if up { down.checked_add(unit) } else { Some(down) })
            }
            None if !number.is_finite() => Ok(value),
            None if precision >= 0 => {
                // Formatting rounds the exact value, half to even, as Python does.
                let digits = precision as usize;
                Ok(Value::Float(format!("{number:.digits$}").parse().unwrap_or(number)))
            }
            None => {
                let unit = 10f64.powi(-precision as i32);
                Ok(Value::Float((number / unit).round_ties_even() * unit))
            }
        },
        "ceil" | "floor" => {
            let unit = 10f64.powi(precision as i32);
            let scaled = number * unit;
            if !scaled.is_finite() {
                return failure("cannot convert float to integer");
            }
            let rounded = if method == "ceil" { scaled.ceil() } else { scaled.floor() };
            Ok(Value::Float((rounded + 0.0) / unit))
        }
        _ => failure("method must be common, ceil or floor"),
    }
}

pub(super) fn filesizeformat<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let [binary] = args.bind(["binary"])?;
    run.check_defined(value)?;
    let binary = binary.is_some_and(Value::is_true);
    let Some(bytes) = as_float(run, value)? else { return failure("could not convert to float") };
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    if bytes == 1.0 {
        return Ok(Value::Str("1 Byte"));
    }
    if bytes < base {
        let text = format!("{} Bytes", bytes.trunc() as i128);
        return run.alloc_str(&text).map(Value::Str);
    }
    let mut unit = base;
    let mut text = String::new();
    for letter in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
        unit *= base;
        let letter = if binary && letter == "k" { "K" } else { letter };
        let end = if binary { "iB" } else { "B" };
        text = format!("{:.1} {letter}{end}", base * bytes / unit);
        if bytes < unit {
            break;
        }
    }
    run.alloc_str(&text).map(Value::Str)
}

/// The one required number of a filter.
pub(super) fn count(value: Option<Value<'_>>) -> Result<i128> {
    args::int(required(value)?)
}
