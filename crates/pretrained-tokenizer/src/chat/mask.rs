//! Which tokens of a conversation the assistant wrote.

use std::ops::Range;

use serde_json::Value;
use tokenizers::Encoding;

use super::{ChatOptions, environment::Marker};

/// A rendered conversation, and what of it generation blocks produced, in characters.
#[derive(Debug)]
pub(super) struct Marked {
    pub(super) text: String,
    pub(super) generated: Vec<Range<usize>>,
}

/// Two characters that occur neither in the template nor in what it is given.
pub(super) fn marker(template: &str, messages: &[Value], options: &ChatOptions) -> Marker {
    let taken = |c: char| {
        template.contains(c)
            || messages.iter().any(|it| contains(it, c))
            || options.tools.iter().flatten().any(|it| contains(it, c))
            || options.documents.iter().flatten().any(|it| contains(it, c))
            || options.variables.values().any(|it| contains(it, c))
    };
    // Private use characters; nobody uses all of them.
    let mut free = ('\u{f0000}'..='\u{ffffd}').filter(|&c| !taken(c));
    Marker { open: free.next().unwrap_or('\u{f0000}'), close: free.next().unwrap_or('\u{f0001}') }
}

/// Takes the marks out and remembers where they were.
pub(super) fn unmark(text: String, marker: Option<Marker>) -> Marked {
    let Some(marker) = marker else { return Marked { text, generated: Vec::new() } };
    let mut plain = String::with_capacity(text.len());
    let (mut generated, mut open) = (Vec::new(), Vec::new());
    let mut at = 0;
    for c in text.chars() {
        if c == marker.open {
            open.push(at);
        } else if c == marker.close {
            generated.extend(open.pop().map(|start| start..at));
        } else {
            plain.push(c);
            at += 1;
        }
    }
    Marked { text: plain, generated }
}

/// 1 for each token of `encoding` that touches a generated range.
pub(super) fn tokens(encoding: &Encoding, generated: &[Range<usize>]) -> Vec<u8> {
    let mut mask = vec![0; encoding.len()];
    for range in generated {
        let Some(first) = encoding.char_to_token(range.start, 0) else { break };
        let last = range.end.checked_sub(1).and_then(|last| encoding.char_to_token(last, 0));
        // As transformers has it: a block without a last token reaches to the end.
        let end = last.filter(|&last| last > 0).map_or(mask.len(), |last| last + 1);
        mask[first.min(end)..end].fill(1);
    }
    mask
}

fn contains(value: &Value, c: char) -> bool {
    match value {
        Value::String(text) => text.contains(c),
        Value::Array(items) => items.iter().any(|it| contains(it, c)),
        Value::Object(fields) => {
            fields.iter().any(|(name, it)| name.contains(c) || contains(it, c))
        }
        _ => false,
    }
}
