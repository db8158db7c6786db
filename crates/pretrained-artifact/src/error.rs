use std::{fmt, path::PathBuf};

use crate::{CONFIG, MODEL};

/// A model directory cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages are the documentation.
pub enum Error {
    #[error(transparent)]
    Io(#[from] pretrained_fs::Error),
    #[error(transparent)]
    Foreign(#[from] pretrained_fs::ForeignError),
    #[error("{}: {missing}", path.display())]
    Missing { path: PathBuf, missing: Missing },
    #[error("{}: {reason}", path.display())]
    Refused { path: PathBuf, reason: Refusal },
    #[error("{}", path.display())]
    Config { path: PathBuf, source: pretrained_config::Error },
    #[error("{}: {problem}", path.display())]
    Index { path: PathBuf, problem: IndexProblem },
    #[error(transparent)]
    Safetensors(#[from] pretrained_safetensors::Error),
    #[error(transparent)]
    Pickle(#[from] pretrained_pickle::Error),
    #[error("tensor `{tensor}`: {source}; read it as it is")]
    Cast { tensor: String, source: pretrained_safetensors::CastError },
    #[error(transparent)]
    Tokenizer(#[from] pretrained_tokenizer::Error),
}

/// All that went wrong with files that were opened at the same time. Never empty.
#[derive(Debug)]
pub(crate) struct Failures(pub(crate) Vec<Error>);

impl From<Error> for Failures {
    fn from(error: Error) -> Failures {
        Failures(vec![error])
    }
}

impl From<Failures> for Error {
    /// The first of them, for callers that need all files anyway.
    fn from(Failures(mut errors): Failures) -> Error {
        errors.swap_remove(0)
    }
}

/// What a directory lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Missing {
    Directory,
    Config,
    Weights {
        expected: String,
    },
    Shard {
        index: String,
    },
    Tensor {
        name: String,
    },
    /// A name on the hub, which is not in the cache.
    Cached {
        looked_in: PathBuf,
    },
    /// A name on the hub, of which other revisions are in the cache.
    Revision {
        revision: String,
        there: Vec<String>,
    },
}

/// Why we do not do it, beyond what [`pretrained_fs::Refusal`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Refusal {
    NotAPlainName,
    SourceIsDestination,
    NoTensors,
    Empty,
    Text,
    NotNamedSafetensors,
}

/// An index and its shards disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum IndexProblem {
    /// The index says where a tensor is, and it is in no shard at all.
    InNone {
        tensor: String,
        shard: String,
    },
    /// Nothing says which of the two is meant.
    InTwo {
        tensor: String,
        shards: [String; 2],
    },
    Empty,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Directory => f.write_str("there is no such file or directory"),
            Missing::Revision { revision, there } => write!(
                f,
                "revision {revision:?} of this model is not in the Hugging Face cache, which has {}; \
                 download it first (`hf download --revision`), nothing is fetched from the network here",
                there.join(", ")
            ),
            Missing::Config => write!(
                f,
                "there is no {CONFIG} in this directory, so it is not a model directory; pass one \
                 that `save_pretrained` wrote"
            ),
            Missing::Weights { expected } => write!(
                f,
                "there are no weights in this directory: no {expected}; download them, or save \
                 the model again"
            ),
            Missing::Shard { index } => write!(
                f,
                "this file is missing, and {index} names it; download it, or save the model again"
            ),
            Missing::Tensor { name } => write!(f, "there is no tensor `{name}`"),
            Missing::Cached { looked_in } => write!(
                f,
                "there is no such file or directory, and no such model in the Hugging Face cache ({}); \
                 download it first (`hf download`), nothing is fetched from the network here",
                looked_in.display()
            ),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotAPlainName => {
                f.write_str("refused: a file of a model must be named by a plain file name")
            }
            Refusal::SourceIsDestination => {
                f.write_str("refused: this is the source as well; name another destination")
            }
            Refusal::Empty => f.write_str("this file is empty; copy or download it again"),
            Refusal::Text => f.write_str("this is JSON by its first byte, and no file of weights"),
            Refusal::NoTensors => {
                f.write_str("there are no tensors in it, so there is nothing to write")
            }
            Refusal::NotNamedSafetensors => f.write_str(
                "refused: a single file is converted into a single file; name it *.safetensors",
            ),
        }
    }
}

impl fmt::Display for IndexProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexProblem::InNone { tensor, shard } => write!(
                f,
                "tensor `{tensor}` should be in {shard}, and is in no shard; the shards are of \
                 another model, or damaged"
            ),
            IndexProblem::InTwo { tensor, shards: [a, b] } => write!(
                f,
                "tensor `{tensor}` is both in {a} and in {b}; the shards are of different saves"
            ),
            IndexProblem::Empty => {
                write!(f, "no shard is named; save the model again, or use a single {MODEL}")
            }
        }
    }
}
