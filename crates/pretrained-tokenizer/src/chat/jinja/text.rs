//! What Python knows about characters, and how it spells strings and numbers.

use std::fmt::Write;

use super::characters;

/// `str.isspace`, which counts four separators that Unicode's White_Space does not.
pub(in crate::chat) fn is_space(c: char) -> bool {
    match c {
        '\t'..='\r' | '\x1c'..=' ' => true,
        c if c.is_ascii() => false,
        c => c.is_whitespace(),
    }
}

pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Where `str.splitlines` ends a line.
pub(super) fn is_line_end(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// `text.splitlines()`.
pub(super) fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
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
        lines.push(&text[start..if keep_ends { end } else { at }]);
        start = end;
    }
    if start < text.len() {
        lines.push(&text[start..]);
    }
    lines
}

/// `repr(text)`.
pub(super) fn repr(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.reserve(text.len() + 2);
    out.push(quote);
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'\\' && byte != quote as u8;
    // What is written as it is goes in one piece: most texts have little else.
    let (mut start, mut at) = (0, 0);
    while let Some(ahead) = text.as_bytes()[at..].iter().position(|&byte| !is_plain(byte)) {
        at += ahead;
        let Some(c) = text[at..].chars().next() else { break };
        let end = at + c.len_utf8();
        if c.is_ascii() || !is_printable(c) {
            out.push_str(&text[start..at]);
            escape_char(c, out);
            start = end;
        }
        at = end;
    }
    out.push_str(&text[start..]);
    out.push(quote);
}

fn escape_char(c: char, out: &mut String) {
    let code = u32::from(c);
    // Writing to a string cannot fail.
    let _ = match c {
        '\\' => out.write_str("\\\\"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\'' | '"' => write!(out, "\\{c}"),
        _ if code < 0x100 => write!(out, "\\x{code:02x}"),
        _ if code < 0x10000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// `ascii(text)`, of a repr.
pub(super) fn ascii(repr: &str) -> String {
    let mut out = String::with_capacity(repr.len());
    for c in repr.chars() {
        let code = u32::from(c);
        let _ = match code {
            0..0x80 => out.write_char(c),
            0x80..0x100 => write!(out, "\\x{code:02x}"),
            0x100..0x10000 => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        };
    }
    out
}

/// Whether a character is one of those whose table of boundaries this is.
pub(super) fn is_in(boundaries: &[u32], c: char) -> bool {
    boundaries.partition_point(|&it| it <= u32::from(c)) % 2 == 1
}

/// `str.isprintable`: neither control, format, private use, unassigned, nor a space other than
/// U+0020.
pub(super) fn is_printable(c: char) -> bool {
    is_in(characters::PRINTABLE, c)
}

/// The value of a digit of one of the scripts that count by tens.
pub(super) fn decimal(c: char) -> Option<u32> {
    if c.is_ascii() {
        return c.to_digit(10);
    }
    // Their zeros begin the runs, some of which follow each other without a gap.
    let at = characters::DECIMALS.partition_point(|&it| it <= u32::from(c));
    let zero = characters::DECIMALS.get(at.checked_sub(1)?)?;
    (at % 2 == 1).then(|| (u32::from(c) - zero) % 10)
}

/// `repr(float)`: shortest, and always marked as a float.
pub(super) fn float(float: f64, out: &mut String) {
    if !float.is_finite() {
        let sign = if float < 0.0 { "-" } else { "" };
        let _ = write!(out, "{}{}", sign, if float.is_nan() { "nan" } else { "inf" });
        return;
    }
    if float == 0.0 || (1e-4..1e16).contains(&float.abs()) {
        let start = out.len();
        let _ = write!(out, "{float}");
        if !out[start..].contains('.') {
            out.push_str(".0");
        }
        return;
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs());
}

/// `markupsafe.escape(text)`.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(text, &mut out);
    out
}

/// Appends `markupsafe.escape(text)`.
pub(super) fn escape(text: &str, out: &mut String) {
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
}
