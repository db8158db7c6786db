//! What Python's strings say about their letters, and how they change their case.

use super::{
    characters,
    error::{Result, failure},
    render::Run,
    text::{self, is_in, is_space},
    value::Value,
};

/// `isalpha` and its like.
pub(super) fn is(text: &str, name: &str) -> bool {
    let all = |test: fn(char) -> bool| !text.is_empty() && text.chars().all(test);
    let (upper, lower, titled) = (
        text.chars().any(char::is_uppercase),
        text.chars().any(char::is_lowercase),
        text.chars().any(is_titlecase),
    );
    match name {
        "isspace" => all(is_space),
        "isalpha" => all(|c| is_in(characters::ALPHABETIC, c)),
        "isdigit" => all(|c| is_in(characters::DIGITS, c)),
        "isdecimal" => all(|c| is_in(characters::DECIMALS, c)),
        "isnumeric" => all(|c| is_in(characters::NUMERIC, c)),
        "isalnum" => all(|c| is_in(characters::ALPHABETIC, c) || is_in(characters::NUMERIC, c)),
        "isascii" => text.is_ascii(),
        "isprintable" => text.chars().all(text::is_printable),
        "isidentifier" => {
            let mut chars = text.chars();
            chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
                && chars.all(|c| c == '_' || c.is_alphanumeric())
        }
        "islower" => lower && !upper && !titled,
        "isupper" => upper && !lower && !titled,
        _ => is_title(text),
    }
}

/// A digraph of which only the first letter is a capital.
fn is_titlecase(c: char) -> bool {
    is_in(characters::TITLE, c)
}

fn is_title(text: &str) -> bool {
    let (mut inside, mut found) = (false, false);
    for c in text.chars() {
        if c.is_uppercase() || is_titlecase(c) {
            if inside {
                return false;
            }
            (inside, found) = (true, true);
        } else if c.is_lowercase() {
            if !inside {
                return false;
            }
            found = true;
        } else {
            inside = false;
        }
    }
    found
}

pub(super) fn capitalize(text: &str) -> String {
    let Some(first) = text.chars().next() else { return String::new() };
    let mut out = String::with_capacity(text.len());
    push_title(first, &mut out);
    // All of it is made small, since the small form of a sigma depends on what is before it.
    let small = text.to_lowercase();
    let small_first: usize = first.to_lowercase().map(char::len_utf8).sum();
    out + small.get(small_first..).unwrap_or_default()
}

pub(super) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            'Σ' if inside => {
                let ends = chars.peek().is_none_or(|&next| !is_cased(next));
                out.push(if ends { 'ς' } else { 'σ' });
            }
            c if inside => out.extend(c.to_lowercase()),
            c => push_title(c, &mut out),
        }
        inside = is_cased(c);
    }
    out
}

/// Appends a character as it begins a word.
fn push_title(c: char, out: &mut String) {
    match characters::TITLES.binary_search_by_key(&c, |(it, _)| *it) {
        Ok(at) => out.push_str(characters::TITLES[at].1),
        Err(_) => out.extend(c.to_uppercase()),
    }
}

fn is_cased(c: char) -> bool {
    c.is_uppercase() || c.is_lowercase() || is_titlecase(c)
}

pub(super) fn swap_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The small form of a sigma depends on what is around it: it is taken from the whole text's.
    let small = text.to_lowercase();
    let mut at = 0;
    for c in text.chars() {
        let len: usize = c.to_lowercase().map(char::len_utf8).sum();
        let lower = small.get(at..at + len).unwrap_or_default();
        at += len;
        if c.is_uppercase() {
            out.push_str(lower);
        } else {
            out.extend(c.to_uppercase());
        }
    }
    out
}

/// `text.translate(table)`, where the table is a dictionary by code point.
pub(super) fn translate<'a>(run: &mut Run<'a>, text: &'a str, table: Value<'a>) -> Result<String> {
    if !table.is_dict() {
        return failure("str.translate is supported with a dictionary in chat templates");
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        run.spend(1)?;
        match run.field(table, Value::Int(u32::from(c).into()))? {
            None => out.push(c),
            Some(Value::None) => {}
            Some(value) => match (value.int(), value.text()) {
                (Some(code), _) => {
                    let code = u32::try_from(code).ok().and_then(char::from_u32);
                    let Some(c) = code else { return failure("the character is out of range") };
                    out.push(c);
                }
                (_, Some(text)) => {
                    run.spend_text(text.len())?;
                    out.push_str(text);
                }
                _ => {
                    return failure("character mapping must return integer, None or str");
                }
            },
        }
    }
    Ok(out)
}
