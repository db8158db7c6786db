//! The filter `wordwrap`: Python's `textwrap`, as Jinja calls it.

use super::super::{
    args::{self, Args},
    error::{Result, failure},
    render::Run,
    text,
    value::Value,
};

pub(super) fn wordwrap<'a>(
    run: &mut Run<'a>,
    value: Value<'a>,
    args: &Args<'a>,
) -> Result<Value<'a>> {
    let [width, break_long_words, wrapstring, break_on_hyphens] =
        args.bind(["width", "break_long_words", "wrapstring", "break_on_hyphens"])?;
    let width = width.map_or(Ok(79), args::int)?;
    let Some(width) = usize::try_from(width).ok().filter(|&width| width > 0) else {
        return failure("invalid width (must be > 0)");
    };
    run.check_defined(value)?;
    let text = args::text(value)?;
    let between = match wrapstring.unwrap_or(Value::None) {
        Value::None => "\n",
        between => args::text(between)?,
    };
    let breaks = |it: Option<Value<'a>>| it.is_none_or(Value::is_true);
    let (break_long, hyphens) = (breaks(break_long_words), breaks(break_on_hyphens));
    // A long word is gone through again for each line that it is cut into.
    let longest = text.split_whitespace().map(str::len).max().unwrap_or(0);
    run.spend_text(text.len().saturating_mul(4 + longest / width))?;
    let mut lines = Vec::new();
    for line in text::lines(text, false) {
        let wrapped = wrap(line, width, break_long, hyphens);
        // An empty line stays one.
        let wrapped = if wrapped.is_empty() { vec![String::new()] } else { wrapped };
        lines.extend(wrapped);
    }
    run.spend_text(between.len().saturating_mul(lines.len()))?;
    let text = lines.join(between);
    Ok(Value::Str(run.alloc_str(&text)?))
}

/// `textwrap.wrap` without expanding tabs and replacing whitespace.
fn wrap(line: &str, width: usize, break_long: bool, hyphens: bool) -> Vec<String> {
    let mut chunks: Vec<String> = chunks(line, hyphens);
    chunks.reverse();
    let mut lines = Vec::new();
    while !chunks.is_empty() {
        let mut current: Vec<String> = Vec::new();
        let mut len = 0;
        if !lines.is_empty() && chunks.last().is_some_and(|chunk| is_blank(chunk)) {
            chunks.pop();
        }
        while let Some(chunk) = chunks.last() {
            let chars = chunk.chars().count();
            if len + chars > width {
                break;
            }
            len += chars;
            current.extend(chunks.pop());
        }
        if chunks.last().is_some_and(|chunk| chunk.chars().count() > width) {
            let space = width.saturating_sub(len).max(usize::from(width < 1));
            if break_long {
                if let Some(chunk) = chunks.last_mut() {
                    current.push(cut(chunk, space, hyphens));
                }
            } else if current.is_empty() {
                current.extend(chunks.pop());
            }
        }
        if current.last().is_some_and(|chunk| is_blank(chunk)) {
            current.pop();
        }
        if !current.is_empty() {
            lines.push(current.concat());
        }
    }
    lines
}

/// Takes what fits off a long word.
fn cut(chunk: &mut String, space: usize, hyphens: bool) -> String {
    let chars: Vec<char> = chunk.chars().collect();
    let mut end = space.min(chars.len());
    if hyphens && chars.len() > space {
        let hyphen = chars[..space].iter().rposition(|&c| c == '-');
        if let Some(hyphen) = hyphen.filter(|&at| at > 0 && chars[..at].iter().any(|&c| c != '-')) {
            end = hyphen + 1;
        }
    }
    let taken = chars[..end].iter().collect();
    *chunk = chars[end..].iter().collect();
    taken
}

/// Words, the spaces between them, and the parts of words with hyphens.
fn chunks(line: &str, hyphens: bool) -> Vec<String> {
    let mut chunks: Vec<String> = Vec::new();
    let chars: Vec<char> = line.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        let space = is_blank_char(chars[at]);
        while at < chars.len() && is_blank_char(chars[at]) == space {
            at += 1;
        }
        let word = &chars[start..at];
        if space || !hyphens {
            chunks.push(word.iter().collect());
        } else {
            split_hyphens(word, &mut chunks);
        }
    }
    chunks
}

/// Splits after hyphens between letters, and around dashes.
fn split_hyphens(word: &[char], chunks: &mut Vec<String>) {
    let is_letter = |at: usize| word.get(at).is_some_and(|c| c.is_alphabetic() || *c == '_');
    let is_punctuation = |c: char| c.is_alphanumeric() || "_!\"'&.,?".contains(c);
    let (mut start, mut at) = (0, 0);
    while at < word.len() {
        if word[at] != '-' {
            at += 1;
            continue;
        }
        let end = at + word[at..].iter().take_while(|&&c| c == '-').count();
        let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
        let dash = end - at > 1
            && at > start
            && is_punctuation(word[at - 1])
            && word.get(end).is_some_and(is_word);
        let letters_before = at >= start + 2 && is_letter(at - 1) && is_letter(at - 2)
            || at >= 4 && is_letter(at - 1) && word[at - 2] == '-' && is_letter(at - 3);
        let letters_after = is_letter(at + 1)
            && (is_letter(at + 2) || (word.get(at + 2) == Some(&'-') && is_letter(at + 3)));
        if dash {
            chunks.push(word[start..at].iter().collect());
            chunks.push(word[at..end].iter().collect());
            start = end;
        } else if end - at == 1 && letters_before && letters_after {
            chunks.push(word[start..end].iter().collect());
            start = end;
        }
        at = end;
    }
    if start < word.len() {
        chunks.push(word[start..].iter().collect());
    }
}

/// What `textwrap` takes for space.
fn is_blank_char(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ')
}

fn is_blank(chunk: &str) -> bool {
    text::trim(chunk).is_empty()
}
