//! What is changed in a template's text before minijinja compiles it.

use std::borrow::Cow;

/// Makes a template mean to minijinja what it means to transformers:
///
/// - every line end is `\n`, as Jinja reads them;
/// - `{% generation %}` blocks, which transformers adds to the language, become filter blocks;
/// - what a `for` loops over goes through [`EACH`], which refuses `None`;
/// - what a `set` keeps goes through [`KEPT`], which refuses lists grown out of all proportion.
pub(super) fn rewrite(template: &str) -> String {
    let template = newlines(template);
    let mut out = String::with_capacity(template.len() + 64);
    let mut rest = &*template;
    while let Some(open) = rest.find('{') {
        let (before, tag) = rest.split_at(open);
        out.push_str(before);
        let end = match tag.as_bytes().get(1) {
            Some(b'#') => tag.find("#}").map(|at| at + 2),
            Some(b'{') => code_end(tag, "}}"),
            Some(b'%') => code_end(tag, "%}"),
            _ => Some(1),
        };
        let (tag, mut after) = tag.split_at(end.unwrap_or(tag.len()));
        match statement(tag) {
            Some(("generation", "")) => {
                // The body has a scope of its own, as that of a call block has.
                let open = format!("with %}}{{% filter {GENERATION}");
                out.push_str(&tag.replacen("generation", &open, 1));
            }
            Some(("endgeneration", "")) => {
                out.push_str(&tag.replacen("endgeneration", "endfilter %}{% endwith", 1));
            }
            Some(("for", clause)) => match looped(clause) {
                Some((before, looped, after)) => {
                    let clause = tag.find(clause).map_or(tag.len(), |at| at + clause.len());
                    out.push_str(
                        &tag[..tag.len() - tag.trim_start_matches(['{', '%', '-', '+']).len()],
                    );
                    out.push_str(&format!(" for {before} ({looped})|{EACH} {after} "));
                    out.push_str(tag[clause..].trim_start());
                }
                None => out.push_str(tag),
            },
            Some(("set", clause)) => match assignment(clause) {
                Some((target, value)) => {
                    let clause = tag.find(clause).map_or(tag.len(), |at| at + clause.len());
                    out.push_str(&tag[..opening(tag)]);
                    out.push_str(&format!(" set {target} = ({value})|{KEPT} "));
                    out.push_str(tag[clause..].trim_start());
                }
                None => out.push_str(tag),
            },
            Some(("raw", "")) => {
                let raw = after.len() - raw_end(after).unwrap_or("").len();
                out.push_str(tag);
                out.push_str(&after[..raw]);
                after = &after[raw..];
            }
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whether a rewritten template has a generation block.
pub(super) fn marks_generation(template: &str) -> bool {
    template.contains("generation") && rewrite(template).contains(GENERATION)
}

/// Line ends as Python's text files and Jinja's lexer make them.
pub(super) fn newlines(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The first word of a statement tag, and what follows it.
fn statement(tag: &str) -> Option<(&str, &str)> {
    let inner = tag.strip_prefix("{%")?.strip_suffix("%}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner).trim();
    let end = inner.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inner.len());
    Some((&inner[..end], inner[end..].trim()))
}

/// The length of `{%-`.
fn opening(tag: &str) -> usize {
    tag.len() - tag.trim_start_matches(['{', '%', '-', '+']).len()
}

/// Splits `x = value`; a block assignment has no value.
fn assignment(clause: &str) -> Option<(&str, &str)> {
    let (target, value) = clause.split_once('=')?;
    let is_target = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ',' | ' ' | '(' | ')');
    let fits = !value.starts_with('=') && !value.trim().is_empty() && target.chars().all(is_target);
    fits.then(|| (target.trim(), value.trim()))
}

/// Splits `x in items if x recursive` into `x in`, `items` and `if x recursive`.
fn looped(clause: &str) -> Option<(&str, &str, &str)> {
    let mut words = Words { text: clause, at: 0 };
    let start = loop {
        let (word, start) = words.next()?;
        if word == "in" {
            break start + 2;
        }
    };
    let end = loop {
        match words.next() {
            Some(("if" | "recursive", at)) => break at,
            Some(_) => {}
            None => break clause.len(),
        }
    };
    let looped = clause[start..end].trim();
    (!looped.is_empty()).then(|| (&clause[..start], looped, &clause[end..]))
}

/// The words of an expression that are in no string and no brackets, and where they are.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Words<'a> {
    type Item = (&'a str, usize);

    fn next(&mut self) -> Option<(&'a str, usize)> {
        let bytes = self.text.as_bytes();
        let mut depth = 0usize;
        while self.at < bytes.len() {
            let start = self.at;
            match bytes[start] {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                b'"' | b'\'' => self.at = string_end(bytes, start),
                c if c == b'_' || c.is_ascii_alphanumeric() || !c.is_ascii() => {
                    let is_word = |c: &u8| *c == b'_' || c.is_ascii_alphanumeric() || !c.is_ascii();
                    let len = bytes[start..].iter().take_while(|&c| is_word(c)).count();
                    self.at += len;
                    // After a dot it is an attribute.
                    if depth == 0 && (start == 0 || bytes[start - 1] != b'.') {
                        return Some((&self.text[start..start + len], start));
                    }
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        None
    }
}

/// Where a tag ends, strings in it being skipped.
fn code_end(tag: &str, end: &str) -> Option<usize> {
    let bytes = tag.as_bytes();
    let mut at = 2;
    while at < bytes.len() {
        if bytes[at..].starts_with(end.as_bytes()) {
            return Some(at + end.len());
        }
        if matches!(bytes[at], b'"' | b'\'') {
            at = string_end(bytes, at);
        }
        at += 1;
    }
    None
}

/// The closing quote of the string that opens at `at`, or the end.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    end
}

/// What follows the raw text: the next `{% endraw %}` and on.
fn raw_end(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(at) = rest.find("{%") {
        rest = &rest[at..];
        let end = rest.find("%}").map_or(rest.len(), |end| end + 2);
        if statement(&rest[..end]) == Some(("endraw", "")) {
            return Some(rest);
        }
        rest = &rest[2..];
    }
    None
}

pub(super) const GENERATION: &str = "__generation";
pub(super) const EACH: &str = "__each";
pub(super) const KEPT: &str = "__kept";
