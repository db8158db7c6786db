//! How much the stages of a tokenizer.json can make of a text: a few lines of one stage after the
//! other would make gigabytes of a sentence.

use serde_json::Value;

/// Refuses stages that make more than [`MAX`] times a text, or put more than [`MAX`] tokens around it.
pub(super) fn check(name: &str, stage: &Value) -> Result<(), String> {
    let growth = growth(stage);
    if growth.factor > MAX || growth.added > MAX {
        return Err(format!(
            "{name}: it could make over {MAX} times a text of it, or put over {MAX} tokens around it"
        ));
    }
    Ok(())
}

/// What a stage makes of a text at most.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Growth {
    /// So many times its length.
    factor: usize,
    /// So many tokens beside it.
    added: usize,
}

fn growth(stage: &Value) -> Growth {
    let len = |field: &str| stage[field].as_str().map_or(0, str::len);
    let factor = match stage["type"].as_str() {
        Some("Sequence") => {
            let lists = ["normalizers", "pretokenizers", "processors", "decoders"];
            let stages = lists.iter().filter_map(|list| stage[list].as_array()).flatten();
            return stages.map(growth).fold(Growth { factor: 1, added: 0 }, |all, one| Growth {
                factor: all.factor.saturating_mul(one.factor),
                added: all.added.saturating_add(one.added),
            });
        }
        Some("TemplateProcessing") => return template(stage),
        Some("Prepend") => 1 + len("prepend"),
        // Two bytes for most of the bytes.
        Some("ByteLevel") => 2,
        Some("Replace") => match stage["pattern"]["String"].as_str().map(str::len) {
            Some(pattern) if pattern > 0 => len("content").div_ceil(pattern),
            // What matches nothing matches everywhere.
            _ => 1 + len("content"),
        },
        _ => 1,
    };
    Growth { factor: factor.max(1), added: 0 }
}

fn template(stage: &Value) -> Growth {
    let mut worst = Growth { factor: 1, added: 0 };
    for pieces in ["single", "pair"].iter().filter_map(|it| stage[it].as_array()) {
        let mut all = Growth { factor: 0, added: 0 };
        for piece in pieces {
            let ids = piece["SpecialToken"]["id"]
                .as_str()
                .map(|id| stage["special_tokens"][id]["ids"].as_array().map_or(0, Vec::len));
            match ids {
                Some(ids) => all.added = all.added.saturating_add(ids),
                None => all.factor += 1,
            }
        }
        worst = Growth { factor: worst.factor.max(all.factor), added: worst.added.max(all.added) };
    }
    worst
}

/// Far from what any tokenizer does: they write three bytes for a space.
const MAX: usize = 1024;
