//! Which tokens of a conversation the assistant wrote.

use std::ops::Range;

use tokenizers::Encoding;

use super::jinja::Rendered;

/// What generation blocks produced, in characters.
pub(super) fn ranges(rendered: &Rendered) -> Vec<Range<usize>> {
    let (mut at, mut chars) = (0, 0);
    let mut ranges = Vec::with_capacity(rendered.generated.len());
    for &(start, len) in &rendered.generated {
        if start < at {
            (at, chars) = (0, 0);
        }
        chars += rendered.text[at..start].chars().count();
        at = start;
        ranges.push(chars..chars + len);
    }
    ranges
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
