//! Numbers and texts in a width, with a sign, grouped, rounded.

use super::{
    error::{Result, failure},
    render::Run,
    text,
    widths::padding,
};

/// How to write a value: `[[fill]align][sign][#][0][width][,][.precision][kind]`.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) fill: char,
    pub(super) align: Option<char>,
    pub(super) sign: char,
    pub(super) alternate: bool,
    pub(super) width: usize,
    pub(super) group: Option<char>,
    pub(super) precision: Option<usize>,
    pub(super) kind: Option<char>,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            fill: ' ',
            align: None,
            sign: '-',
            alternate: false,
            width: 0,
            group: None,
            precision: None,
            kind: None,
        }
    }
}

impl Spec {
    pub(super) fn parse(text: &str) -> Result<Spec> {
        let mut spec = Spec::default();
        let mut chars = text.chars().peekable();
        let is_align = |c: char| matches!(c, '<' | '>' | '=' | '^');
        let mut ahead = text.chars();
        match (ahead.next(), ahead.next()) {
            (Some(fill), Some(align)) if is_align(align) => {
                (spec.fill, spec.align) = (fill, Some(align));
                chars.next();
                chars.next();
            }
            (Some(align), _) if is_align(align) => spec.align = chars.next(),
            _ => {}
        }
        if let Some(sign) = chars.next_if(|c| matches!(c, '+' | '-' | ' ')) {
            spec.sign = sign;
        }
        spec.alternate = chars.next_if_eq(&'#').is_some();
        if chars.next_if_eq(&'0').is_some() && spec.align.is_none() {
            (spec.fill, spec.align) = ('0', Some('='));
        }
        let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            (!digits.is_empty()).then(|| digits.parse().unwrap_or(usize::MAX))
        };
        spec.width = number(&mut chars).unwrap_or(0);
        spec.group = chars.next_if(|c| matches!(c, ',' | '_'));
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = number(&mut chars);
            if spec.precision.is_none() {
                return failure("format specifier missing precision");
            }
        }
        spec.kind = chars.next();
        if chars.next().is_some() {
            return failure("invalid format specifier");
        }
        Ok(spec)
    }

    pub(super) fn is_for_floats(&self) -> bool {
        matches!(self.kind, Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%'))
    }
}

/// Writes `prefix` (a sign) and `body` in their width.
pub(super) fn pad(
    run: &mut Run<'_>,
    spec: &Spec,
    prefix: &str,
    body: &str,
    out: &mut String,
) -> Result<()> {
    run.spend_text(prefix.len() + body.len())?;
    let width = i128::try_from(spec.width).unwrap_or(i128::MAX) - prefix.chars().count() as i128;
    let fill = padding(run, width, body, spec.fill)?;
    match spec.align.unwrap_or('>') {
        '<' => out.extend([prefix, body, &fill]),
        '=' => out.extend([prefix, &fill, body]),
        '^' => {
            let left: String = fill.chars().take(fill.chars().count() / 2).collect();
            let right = &fill[left.len()..];
            out.extend([&left, prefix, body, right]);
        }
        _ => out.extend([&fill, prefix, body]),
    }
    Ok(())
}

pub(super) fn write_int(
    run: &mut Run<'_>,
    number: i128,
    spec: &Spec,
    out: &mut String,
) -> Result<()> {
    let size = number.unsigned_abs();
    let (mark, mut digits) = match spec.kind {
        None | Some('d' | 'n') => ("", size.to_string()),
        Some('x') => ("0x", format!("{size:x}")),
        Some('X') => ("0X", format!("{size:X}")),
        Some('o') => ("0o", format!("{size:o}")),
        Some('b') => ("0b", format!("{size:b}")),
        Some('c') => {
            let c = u32::try_from(number).ok().and_then(char::from_u32);
            let Some(c) = c else { return failure("%c arg not in range") };
            ("", c.to_string())
        }
        Some(_) => return failure("unknown format code for a number"),
    };
    if let Some(precision) = spec.precision {
        // Of `%` only: a least number of digits.
        let zeros = padding(run, i128::try_from(precision).unwrap_or(i128::MAX), &digits, '0')?;
        digits.insert_str(0, &zeros);
    }
    if let Some(group) = spec.group {
        let size = if matches!(spec.kind, None | Some('d')) { 3 } else { 4 };
        digits = grouped(&digits, group, size);
    }
    let mark = if spec.alternate { mark } else { "" };
    pad(run, spec, &format!("{}{mark}", sign(number < 0, spec)), &digits, out)
}

pub(super) fn write_float(
    run: &mut Run<'_>,
    number: f64,
    spec: &Spec,
    out: &mut String,
) -> Result<()> {
    let precision = spec.precision.unwrap_or(6);
    if precision > MAX_PRECISION {
        return failure("precision too big");
    }
    let size = number.abs();
    let mut body = String::new();
    match spec.kind {
        _ if !number.is_finite() => body.push_str(if number.is_nan() { "nan" } else { "inf" }),
        None if spec.precision.is_none() => text::float(size, &mut body),
        None => {
            body = general(size, precision, false, true);
        }
        Some('f' | 'F') => body = format!("{size:.precision$}"),
        Some('%') => body = format!("{:.precision$}%", size * 100.0),
        Some('e' | 'E') => body = scientific(size, precision),
        Some('g' | 'G' | 'n') => body = general(size, precision, spec.alternate, false),
        Some(_) => return failure("unknown format code for a number"),
    }
    if spec.kind.is_some_and(|kind| kind.is_ascii_uppercase()) {
        body = body.to_uppercase();
    }
    if let Some(group) = spec.group {
        let end = body.find(|c: char| !c.is_ascii_digit()).unwrap_or(body.len());
        body = grouped(&body[..end], group, 3) + &body[end..];
    }
    let negative = number.is_sign_negative() && !number.is_nan();
    pad(run, spec, sign(negative, spec), &body, out)
}

fn sign(negative: bool, spec: &Spec) -> &'static str {
    match spec.sign {
        _ if negative => "-",
        '+' => "+",
        ' ' => " ",
        _ => "",
    }
}

fn scientific(size: f64, precision: usize) -> String {
    let text = format!("{size:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// So many digits, plain or scientific, whichever is shorter. `keeps_point`: `3.0` stays one.
fn general(size: f64, precision: usize, keeps_zeros: bool, keeps_point: bool) -> String {
    let precision = precision.max(1);
    let text = format!("{size:.*e}", precision - 1);
    let exponent: i32 = text.split_once('e').and_then(|(_, it)| it.parse().ok()).unwrap_or(0);
    let plain_up_to = precision as i32 - i32::from(keeps_point);
    let plain = (-4..plain_up_to.max(if keeps_point { 1 } else { 0 })).contains(&exponent);
    let text = if plain {
        let decimals = usize::try_from(precision as i32 - 1 - exponent).unwrap_or(0);
        format!("{size:.decimals$}")
    } else {
        scientific(size, precision - 1)
    };
    if keeps_zeros {
        return text;
    }
    let (digits, end) = match text.split_once('e') {
        Some((digits, _)) => text.split_at(digits.len()),
        None => (&*text, ""),
    };
    let mut digits = digits.to_owned();
    if digits.contains('.') {
        digits.truncate(digits.trim_end_matches('0').trim_end_matches('.').len());
    }
    if keeps_point && plain && !digits.contains('.') {
        digits.push_str(".0");
    }
    digits + end
}

fn grouped(digits: &str, group: char, size: usize) -> String {
    let mut out = String::with_capacity(digits.len() * 2);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(size) {
            out.push(group);
        }
        out.push(digit);
    }
    out
}

const MAX_PRECISION: usize = 1000;
