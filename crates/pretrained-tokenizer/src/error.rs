use std::path::{Path, PathBuf};

/// What can go wrong with a tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read, or written.
    #[error(transparent)]
    File(#[from] pretrained_fs::Error),

    /// A file that comes from someone else is not one to be opened.
    #[error(transparent)]
    Foreign(#[from] pretrained_fs::ForeignError),

    /// The directory holds no file that a tokenizer could be made of.
    #[error(
        "{} holds no tokenizer: expected tokenizer.json, or vocab.json with merges.txt, \
         or vocab.txt, or tokenizer.model",
        dir.display()
    )]
    Missing {
        /// The directory that was searched.
        dir: PathBuf,
    },

    /// A tokenizer file says something that cannot be.
    #[error("{}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A text, or a sequence of ids, that this tokenizer cannot process.
    #[error("cannot tokenize: {reason}")]
    Text {
        /// What stands in the way.
        reason: String,
    },

    /// A chat template that is missing, broken, or used wrongly.
    #[error("chat template: {reason}")]
    Template {
        /// What is wrong.
        reason: String,
    },

    /// A chat template that refuses a conversation, with its own words.
    #[error("chat template: {message}")]
    TemplateRaised {
        /// What the template said.
        message: String,
    },

    /// A tokenizer cannot be trained as asked.
    #[error("cannot train a tokenizer: {reason}")]
    Training {
        /// What stands in the way.
        reason: String,
    },
}

impl Error {
    pub(crate) fn invalid(path: impl Into<PathBuf>, reason: impl ToString) -> Error {
        Error::Invalid { path: path.into(), reason: one_line(&reason.to_string()) }
    }

    /// Names the directory of the file that is wrong.
    pub(crate) fn within(self, dir: &Path) -> Error {
        match self {
            Error::Invalid { path, reason } => Error::Invalid { path: dir.join(path), reason },
            Error::Missing { .. } => Error::Missing { dir: dir.to_owned() },
            other => other,
        }
    }

    pub(crate) fn text(reason: impl ToString) -> Error {
        Error::Text { reason: one_line(&reason.to_string()) }
    }

    pub(crate) fn template(reason: impl ToString) -> Error {
        Error::Template { reason: one_line(&reason.to_string()) }
    }

    pub(crate) fn training(reason: impl ToString) -> Error {
        Error::Training { reason: one_line(&reason.to_string()) }
    }
}

/// Errors are one line, and a file's content must not flood the terminal.
fn one_line(text: &str) -> String {
    let mut line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LINE_CHARS).collect();
    if text.chars().count() > LINE_CHARS {
        line.push('…');
    }
    line
}

const LINE_CHARS: usize = 300;
