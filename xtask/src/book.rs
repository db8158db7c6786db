//! `cargo xtask book`: builds the book in docs/ and checks every link of every document.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

use crate::process::{self, cargo};
use crate::workspace;

pub(crate) fn run() -> Result<()> {
    links()?;
    let manifest = workspace::root().join("book/Cargo.toml");
    let docs = workspace::root().join("docs");
    let target = workspace::target_dir().join("book-builder");
    let mut build = cargo(["run", "--quiet", "--locked", "--manifest-path"]);
    build.arg(manifest).arg("--target-dir").arg(target).arg("--").arg(docs);
    process::run(&mut build)
}

/// Every relative link of a document leads to a file that is there, and to a heading that it has.
pub(crate) fn links() -> Result<()> {
    let mut broken = Vec::new();
    let files = workspace::files()?;
    let documents = files.iter().filter(|it| it.extension().is_some_and(|it| it == "md"));
    for path in documents {
        for link in links_of(&workspace::read(path)?) {
            if let Some(why) = fault(path, &link)? {
                broken.push(format!("{}: {link}: {why}", path.display()));
            }
        }
    }
    match broken.is_empty() {
        true => Ok(()),
        false => bail!("{} links lead nowhere:\n  {}", broken.len(), broken.join("\n  ")),
    }
}

fn fault(document: &Path, link: &str) -> Result<Option<&'static str>> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(None);
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let path = match file {
        "" => document.to_path_buf(),
        file => document.parent().unwrap_or(Path::new("")).join(file),
    };
    if !workspace::root().join(&path).exists() {
        return Ok(Some("there is no such file"));
    }
    if heading.is_empty() || path.extension().is_none_or(|it| it != "md") {
        return Ok(None);
    }
    let known = headings(&workspace::read(&path)?);
    Ok((!known.contains(heading)).then_some("it has no such heading"))
}

/// The targets of a document's links and pictures, outside of code.
fn links_of(markdown: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in outside_of_fences(markdown) {
        // What is between backticks is no link.
        let text: String = line.split('`').step_by(2).collect::<Vec<&str>>().join("`");
        let mut rest = text.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let Some(end) = rest.find(')') else { break };
            links.push(rest[..end].trim_matches(['<', '>']).to_owned());
        }
    }
    links
}

/// A document's headings as links name them.
fn headings(markdown: &str) -> BTreeSet<String> {
    let titles = outside_of_fences(markdown).filter(|it| it.starts_with('#'));
    let name = |title: &str| {
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
        kept.map(|it| if it == ' ' { '-' } else { it }).collect()
    };
    titles.map(name).collect()
}

fn outside_of_fences(markdown: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    markdown.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        inside ^= is_fence;
        !inside && !is_fence
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_outside_of_code_are_found() {
        let text = "[a](b.md#c) and `[x](y)`, ![p](<q r.png>)\n```text\n[in](code)\n```\n[d](#e)\n";
        assert_eq!(links_of(text), ["b.md#c", "q r.png", "#e"]);
    }

    #[test]
    fn headings_are_named_as_links_name_them() {
        let text = "# What it is, and `code`\n```sh\n# no heading\n```\n## A-b c_d\n";
        let expected = ["a-b-c_d", "what-it-is-and-code"].map(str::to_owned);
        assert_eq!(headings(text), BTreeSet::from(expected));
    }
}
