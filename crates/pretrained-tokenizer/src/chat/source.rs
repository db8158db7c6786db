//! `{% generation %}` blocks, which transformers adds to Jinja's language.

use std::borrow::Cow;

/// Rewrites `{% generation %}…{% endgeneration %}` to a call of [`GENERATION`] with the block as
/// its body, which is what transformers' extension makes of it too.
pub(super) fn rewrite(template: &str) -> Cow<'_, str> {
    if !template.contains("generation") {
        return Cow::Borrowed(template);
    }
    let mut out = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some(open) = rest.find(['{']) {
        let (before, tag) = rest.split_at(open);
        out.push_str(before);
        let end = match tag.as_bytes().get(1) {
            Some(b'#') => tag.find("#}").map(|at| at + 2),
            Some(b'{') => code_end(tag, "}}"),
            Some(b'%') => code_end(tag, "%}"),
            _ => Some(1),
        };
        let end = end.unwrap_or(tag.len());
        let (tag, mut after) = tag.split_at(end);
        match tag.starts_with("{%").then(|| word(tag)).flatten() {
            Some("generation") => out.push_str(&tag.replacen("generation", &open_tag(), 1)),
            Some("endgeneration") => out.push_str(&tag.replacen("endgeneration", "endcall", 1)),
            Some("raw") => {
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
    Cow::Owned(out)
}

fn open_tag() -> String {
    format!("call {GENERATION}()")
}

/// The only word of a block tag, or its first.
fn word(tag: &str) -> Option<&str> {
    let inner = tag.strip_prefix("{%")?.strip_suffix("%}")?;
    let inner = inner.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
    let word = inner.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    (word == inner).then_some(word)
}

/// Where a tag ends, strings in it being skipped.
fn code_end(tag: &str, end: &str) -> Option<usize> {
    let bytes = tag.as_bytes();
    let mut at = 2;
    while at < bytes.len() {
        if tag.get(at..).is_some_and(|rest| rest.starts_with(end)) {
            return Some(at + end.len());
        }
        if let quote @ (b'"' | b'\'') = bytes[at] {
            at += 1;
            while at < bytes.len() && bytes[at] != quote {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
        }
        at += 1;
    }
    None
}

/// What follows the next `{% endraw %}`, the tag included.
fn raw_end(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(at) = rest.find("{%") {
        rest = &rest[at..];
        let end = rest.find("%}").map_or(rest.len(), |end| end + 2);
        if word(&rest[..end]) == Some("endraw") {
            return Some(rest);
        }
        rest = &rest[2..];
    }
    None
}

pub(super) const GENERATION: &str = "__generation";

/// Whether a template has a generation block.
pub(super) fn marks_generation(template: &str) -> bool {
    matches!(rewrite(template), Cow::Owned(text) if text.contains(GENERATION))
}
