//! Long names made to fit, each still unlike the others.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// At most `width` characters of a text: its start and its end, where names differ.
pub(crate) fn shortened(text: &str, width: usize) -> Cow<'_, str> {
    match text.chars().nth(width) {
        None => text.into(),
        Some(_) => Name::new(text, width).shown().into(),
    }
}

/// At most so many characters of each text. Those that are different stay so: what tells them apart
/// is kept before their starts and ends, and where there is no room for that, they are numbered.
pub(crate) fn distinct<'a>(texts: &[(&'a str, usize)]) -> Vec<Cow<'a, str>> {
    if texts.iter().all(|(text, width)| text.chars().nth(*width).is_none()) {
        return texts.iter().map(|it| it.0.into()).collect();
    }
    let mut names: Vec<Name> = texts.iter().map(|(text, width)| Name::new(text, *width)).collect();
    let mut shown: Vec<Cow<'a, str>> =
        texts.iter().map(|(text, width)| shortened(text, *width)).collect();
    for _ in 0..MOST_ROUNDS {
        let mut has_changed = false;
        for group in alike(texts, &shown) {
            for (i, parts) in telling_parts(&names, &group) {
                if names[i].keep(parts) {
                    shown[i] = names[i].shown().into();
                    has_changed = true;
                }
            }
        }
        if !has_changed {
            break;
        }
    }
    number(texts, &mut shown);
    shown
}

/// A text and what of it is shown.
struct Name {
    chars: Vec<char>,
    width: usize,
    /// Parts that are kept, in order and apart from each other.
    kept: Vec<Range<usize>>,
}

impl Name {
    fn new(text: &str, width: usize) -> Name {
        Name { chars: text.chars().collect(), width, kept: Vec::new() }
    }

    /// Keeps these parts as well, if there is room for all. Whether that changes anything.
    fn keep(&mut self, parts: [Range<usize>; 2]) -> bool {
        let kept = merged(self.kept.iter().cloned().chain(parts));
        let changes = kept != self.kept && self.cost(&kept) <= self.width;
        if changes {
            self.kept = kept;
        }
        changes
    }

    /// The parts that are kept, and as much of the end and the start as there is room for.
    fn shown(&self) -> String {
        let len = self.chars.len();
        if len <= self.width {
            return self.chars.iter().collect();
        }
        let with = |start: usize, end: usize| {
            merged([0..start, len - end..len].into_iter().chain(self.kept.iter().cloned()))
        };
        let (mut start, mut end) = (0, 0);
        loop {
            let (next_start, next_end) =
                if end > start { (start + 1, end) } else { (start, end + 1) };
            if self.cost(&with(next_start, next_end)) > self.width {
                break;
            }
            (start, end) = (next_start, next_end);
        }
        let (mut text, mut at) = (String::new(), 0);
        for part in with(start, end) {
            if part.start > at {
                text.push('…');
            }
            text.extend(&self.chars[part.clone()]);
            at = part.end;
        }
        if at < len {
            text.push('…');
        }
        text
    }

    /// How many characters these parts are, with a mark for each gap.
    fn cost(&self, parts: &[Range<usize>]) -> usize {
        let mut at = 0;
        let mut cost = 0;
        for part in parts {
            cost += usize::from(part.start > at) + part.len();
            at = part.end;
        }
        cost + usize::from(at < self.chars.len())
    }

    /// The part between dots that a character is in; if that is long, what is near it, of which so much
    /// is in front.
    fn part_at(&self, at: usize, lead: usize) -> Range<usize> {
        let start = (0..at).rev().take(lead).take_while(|it| self.chars[*it] != '.').last();
        let start = start.unwrap_or(at);
        let end = (at + 1..self.chars.len()).find(|it| self.chars[*it] == '.');
        start..end.unwrap_or(self.chars.len()).min(start + MOST_KEPT)
    }
}

/// Parts in order, none of which touches another. A gap of one character is no shorter than its mark.
fn merged(parts: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = parts.filter(|it| !it.is_empty()).collect();
    parts.sort_by_key(|it| it.start);
    let mut res: Vec<Range<usize>> = Vec::new();
    for part in parts {
        match res.last_mut().filter(|it| part.start <= it.end + 1) {
            Some(last) => last.end = last.end.max(part.end),
            None => res.push(part),
        }
    }
    res
}

/// The texts that are different and shown alike.
fn alike(texts: &[(&str, usize)], shown: &[Cow<'_, str>]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, it) in shown.iter().enumerate() {
        groups.entry(it).or_default().push(i);
    }
    let differ = |it: &Vec<usize>| it.iter().any(|i| texts[*i].0 != texts[it[0]].0);
    groups.into_values().filter(differ).collect()
}

/// Of each name of a group, the first and the last part in which they are not all the same.
fn telling_parts(names: &[Name], group: &[usize]) -> Vec<(usize, [Range<usize>; 2])> {
    let first = &names[group[0]].chars;
    let (mut from_start, mut from_end) = (usize::MAX, usize::MAX);
    for i in group {
        let chars = &names[*i].chars;
        let same = |(a, b): &(&char, &char)| a == b;
        if chars != first {
            from_start = from_start.min(first.iter().zip(chars).take_while(same).count());
            let ends = first.iter().rev().zip(chars.iter().rev());
            from_end = from_end.min(ends.take_while(same).count());
        }
    }
    let parts = |name: &Name| {
        let last = name.chars.len().saturating_sub(1);
        // What follows the one is another text, and so is what leads to the other.
        let first = name.part_at(from_start.min(last), MOST_KEPT / 3);
        [first, name.part_at(last.saturating_sub(from_end), 2 * MOST_KEPT / 3)]
    };
    group.iter().map(|i| (*i, parts(&names[*i]))).collect()
}

/// Puts numbers behind those that are still shown alike.
fn number(texts: &[(&str, usize)], shown: &mut [Cow<'_, str>]) {
    let mut taken: BTreeSet<String> = shown.iter().map(|it| it.to_string()).collect();
    for group in alike(texts, shown) {
        let mut numbered: BTreeMap<&str, String> = BTreeMap::new();
        for i in group {
            let (text, width) = texts[i];
            let free = || {
                let mut candidates = (1..).map(|n| {
                    let n = format!(" ({n})");
                    shortened(text, width.saturating_sub(n.len())).into_owned() + &n
                });
                candidates.find(|it| taken.insert(it.clone())).unwrap_or_default()
            };
            shown[i] = numbered.entry(text).or_insert_with(free).clone().into();
        }
    }
}

/// What is kept of a part at most.
const MOST_KEPT: usize = 12;
/// How often it is asked what else tells names apart: more than there is room for.
const MOST_ROUNDS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown is short enough, and as many different texts as there are.
    #[track_caller]
    fn check(texts: &[&str], width: usize, expected: &[&str]) {
        let cells: Vec<(&str, usize)> = texts.iter().map(|it| (*it, width)).collect();
        let shown = distinct(&cells);
        if !expected.is_empty() {
            assert_eq!(shown, expected);
        }
        let count = |it: BTreeSet<&str>| it.len();
        assert_eq!(
            count(shown.iter().map(|it| &**it).collect()),
            count(texts.iter().copied().collect())
        );
        for it in shown {
            assert!(it.chars().count() <= width, "{it}");
        }
    }

    #[test]
    fn what_tells_names_apart_is_kept() {
        check(
            &["model.layers.10.mlp.up_proj.weight", "model.layers.11.mlp.up_proj.weight"],
            20,
            &["model.la…10…j.weight", "model.la…11…j.weight"],
        );
        check(
            &[
                "model.layers.10.mlp.up_proj.weight",
                "model.layers.10.self_attn.q_proj.weight",
                "model.layers.9.mlp.up_proj.weight",
                "lm_head.weight",
            ],
            24,
            &[
                "model.…10…up_proj.weight",
                "model.l…10…q_proj.weight",
                "model.l…9…up_proj.weight",
                "lm_head.weight",
            ],
        );
        // Nothing is the same, and nothing has to be kept.
        check(&["a.long.name.of.something", "lm_head"], 12, &["a.lon…ething", "lm_head"]);
    }

    #[test]
    fn the_experts_of_a_large_model_stay_apart() {
        let mut names = Vec::new();
        for layer in 0..32 {
            for expert in 0..16 {
                for part in ["gate_proj", "up_proj", "down_proj"] {
                    names.push(format!("model.layers.{layer}.mlp.experts.{expert}.{part}.weight"));
                }
            }
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for width in [16, 20, 24, 32, 40] {
            check(&names, width, &[]);
        }
        let cells: Vec<(&str, usize)> = names.iter().map(|it| (*it, 32)).collect();
        let numbered = distinct(&cells).iter().filter(|it| it.ends_with(')')).count();
        assert_eq!(numbered, 0, "there is room for what tells them apart");
    }

    #[test]
    fn names_that_cannot_be_told_apart_are_numbered() {
        let name = |c: char| {
            format!(
                "{}{c}{}{c}{}{c}{}",
                "x".repeat(99),
                "y".repeat(99),
                "z".repeat(99),
                "x".repeat(99)
            )
        };
        let names: Vec<String> = ('a'..='z').map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        check(&names, 16, &[]);
        let (long, longer) = ("a".repeat(9), "a".repeat(10));
        let shown = distinct(&[(long.as_str(), 8), (longer.as_str(), 8), (long.as_str(), 8)]);
        assert_eq!(shown, ["a…aa (1)", "a…aa (2)", "a…aa (1)"], "the same text is the same name");
    }

    #[test]
    fn a_number_is_not_another_name() {
        let long = "a".repeat(40);
        let longer = "a".repeat(41);
        let taken = shortened(&long, 12).into_owned() + " (1)";
        check(&[&long, &longer, &taken], 16, &[]);
    }
}
