//! The fenced blocks of a document. (A module of `tests/it` too, by its path.)

/// The blocks in their order: the language that each is marked with, and its text.
pub(crate) fn fences(markdown: &str) -> Vec<(&str, String)> {
    let mut fences: Vec<(&str, String)> = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(mark), false) => {
                fences.push((mark.split(',').next().unwrap_or_default(), String::new()));
                inside = true;
            }
            (Some(_), true) => inside = false,
            (None, true) => {
                if let Some((_, text)) = fences.last_mut() {
                    *text += line;
                    text.push('\n');
                }
            }
            (None, false) => (),
        }
    }
    fences
}

/// A block's commands: its lines without comments and empty ones, joined where they go on.
pub(crate) fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::{commands, fences};

    #[test]
    fn a_block_has_a_language_and_commands() {
        let text = "text\n```sh\n# why\ncargo a \\\n  b\n\ncargo c\n```\ncargo d\n```rust,no_run\ne\n```\n";
        let found = fences(text);
        assert_eq!(commands(&found[0].1), ["cargo a    b", "cargo c"]);
        assert_eq!((found[0].0, &found[1]), ("sh", &("rust", "e\n".to_owned())));
    }
}
