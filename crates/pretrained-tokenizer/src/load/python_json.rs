//! JSON as Python reads it: with `NaN` and infinities, numbers of any size, halves of surrogate
//! pairs.
//!
//! transformers reads with Python what it does not hand to the `tokenizers` crate. None of this
//! means anything to a tokenizer, but the file around it does.

use serde_json::Value;

/// A document. Numbers that no `f64` holds become the largest one, which is "no limit" where a
/// number means something; half a pair becomes U+FFFD.
pub(crate) fn parse(json: &[u8]) -> Result<Value, String> {
    let strict = match serde_json::from_slice(json) {
        Ok(value) => return Ok(value),
        Err(e) => e.to_string(),
    };
    let Some(rewritten) = rewrite(json) else { return Err(strict) };
    let value: Value = serde_json::from_str(&rewritten.json).map_err(|_| strict)?;
    let is_token = |(key, value): (&String, &Value)| {
        let holds = key.ends_with("_token") || TOKENS.contains(&key.as_str());
        holds && value.to_string().contains(char::REPLACEMENT_CHARACTER)
    };
    if rewritten.has_halves && value.as_object().is_some_and(|it| it.iter().any(is_token)) {
        return Err("a token holds half a surrogate pair".to_owned());
    }
    Ok(value)
}

struct Rewritten {
    json: String,
    has_halves: bool,
}

/// The document in strict JSON, if Python's liberties were all that kept it from that.
fn rewrite(json: &[u8]) -> Option<Rewritten> {
    let mut rest = std::str::from_utf8(json).ok()?;
    let mut out = Rewritten { json: String::with_capacity(rest.len()), has_halves: false };
    while let Some(c) = rest.chars().next() {
        let len = match c {
            '"' => string(rest, &mut out)?,
            '0'..='9' => number(rest, &mut out.json)?,
            'N' | 'I' => {
                let word = ["NaN", "Infinity"].into_iter().find(|word| rest.starts_with(word))?;
                out.json.push_str(LARGEST);
                word.len()
            }
            c => {
                out.json.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    Some(out)
}

/// Copies the string that the text begins with; its length.
fn string(text: &str, out: &mut Rewritten) -> Option<usize> {
    let mut at = 1;
    out.json.push('"');
    loop {
        let end = at + text[at..].find(['"', '\\'])?;
        out.json.push_str(&text[at..end]);
        if text.as_bytes()[end] == b'"' {
            out.json.push('"');
            return Some(end + 1);
        }
        let Some(high) = unit(&text[end..]) else {
            // Any other escape, of a character that may be longer than one byte.
            at = end + 1 + text[end + 1..].chars().next()?.len_utf8();
            out.json.push_str(&text[end..at]);
            continue;
        };
        at = end + UNIT_LEN;
        let low = unit(&text[at..]);
        match (high, low) {
            (0xd800..0xdc00, Some(0xdc00..0xe000)) => {
                at += UNIT_LEN;
                out.json.push_str(&text[end..at]);
            }
            (0xd800..0xe000, _) => {
                out.has_halves = true;
                out.json.push(char::REPLACEMENT_CHARACTER);
            }
            _ => out.json.push_str(&text[end..at]),
        }
    }
}

/// The unit of UTF-16 that `\uXXXX` stands for.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let all = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    all.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// Copies the number that the text begins with; its length.
fn number(text: &str, out: &mut String) -> Option<usize> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    let len = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let number = &text[..len];
    if number.parse::<f64>().is_ok_and(f64::is_finite) {
        out.push_str(number);
        return Some(len);
    }
    let is_whole = number.bytes().all(|digit| digit.is_ascii_digit());
    out.push_str(LARGEST);
    (!is_whole || len <= MAX_DIGITS).then_some(len)
}

/// `f64::MAX`.
const LARGEST: &str = "1.7976931348623157e308";

/// The longest integer that Python reads.
const MAX_DIGITS: usize = 4300;

const UNIT_LEN: usize = "\\u0000".len();

/// Where tokens are, beside `*_token`.
const TOKENS: [&str; 3] =
    ["added_tokens_decoder", "additional_special_tokens", "extra_special_tokens"];
