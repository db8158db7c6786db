use std::fmt;

use pretrained_safetensors::FormatError;

/// Something odd about a model directory that does not keep it from being loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages are the documentation.
pub enum Warning {
    /// Another save's weights, or another format's.
    NotRead {
        file: String,
        instead: String,
    },
    IndexDiffers {
        index: String,
        tensor: String,
        found_in: String,
        indexed_in: Option<String>,
    },
    /// A breach of the format that a lenient reader let pass.
    Tolerated {
        file: String,
        problem: FormatError,
    },
    /// A pickle has its tensors in one entry of several, whose name is no part of theirs.
    Wrapped {
        file: String,
        wrapper: String,
    },
    /// A pickle has something else than tensors, which safetensors has no place for. `entries`
    /// are the first few of `count`.
    NotTensors {
        file: String,
        entries: Vec<String>,
        count: usize,
    },
    /// One tensor in the source, under names that the config does not tie.
    Shared {
        names: Vec<String>,
    },
    /// Stored under two names, and the same.
    TiedTwice {
        source: String,
        target: String,
    },
    /// Stored under two names, and not the same, though the config ties them.
    TiedDifferent {
        source: String,
        target: String,
    },
    TotalSize {
        index: String,
        claimed: u64,
        found: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::NotRead { file, instead } => {
                write!(f, "{file} is not read, since {instead} comes first; remove the stale one")
            }
            Warning::IndexDiffers { index, tensor, found_in, indexed_in } => match indexed_in {
                Some(shard) => {
                    write!(
                        f,
                        "{index} says that tensor `{tensor}` is in {shard}, it is in {found_in}"
                    )
                }
                None => {
                    write!(f, "{index} does not name tensor `{tensor}`, which is in {found_in}")
                }
            },
            Warning::Tolerated { file, problem } => write!(f, "{file}: {problem}"),
            Warning::Wrapped { file, wrapper } => write!(
                f,
                "{file}: all tensors are in the entry `{wrapper}`, which is left out of their names"
            ),
            Warning::NotTensors { file, entries, count } => {
                write!(f, "{file}: {count} entries are no tensors, and are passed over: ")?;
                f.write_str(&quoted(entries))?;
                if entries.len() < *count {
                    f.write_str(" and others")?;
                }
                Ok(())
            }
            Warning::Shared { names } => write!(
                f,
                "{} are one tensor in the source, and are stored each for itself, since the config \
                 does not tie them",
                quoted(names)
            ),
            Warning::TiedTwice { source, target } => {
                write!(f, "`{target}` is stored beside `{source}`, which it is tied and equal to")
            }
            Warning::TiedDifferent { source, target } => write!(
                f,
                "`{target}` differs from `{source}`, though the config ties the two: they are not \
                 tied; set tie_word_embeddings to false if that is meant"
            ),
            Warning::TotalSize { index, claimed, found } => {
                write!(f, "{index} says that all tensors take {claimed} bytes, they take {found}")
            }
        }
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|it| format!("`{it}`")).collect::<Vec<String>>().join(", ")
}
