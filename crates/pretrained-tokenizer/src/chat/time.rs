//! `strftime_now`: the local time, as C's `strftime` spells it.

use std::fmt::Write;

use chrono::Local;

/// The time, or `None` if the format is longer than anyone's.
pub(super) fn strftime_now(format: &str) -> Option<String> {
    if format.len() > MAX_FORMAT {
        return None;
    }
    let now = Local::now();
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let spec = specifier(&rest[at..]);
        // A directive that does not exist stays as it is, as in the C library.
        if write!(out, "{}", now.format(spec)).is_err() {
            out.push_str(spec);
        }
        rest = &rest[at + spec.len()..];
    }
    out.push_str(rest);
    Some(out)
}

/// `%d`, `%-d`: a percent sign, an optional flag, a letter.
fn specifier(text: &str) -> &str {
    let chars = text.char_indices().skip(1);
    let mut end = text.len();
    for (at, c) in chars {
        if !matches!(c, '-' | '_' | '0' | '^' | '#') {
            end = at + c.len_utf8();
            break;
        }
    }
    &text[..end]
}

const MAX_FORMAT: usize = 1000;
