//! What stops a template.

/// Boxed, so that results stay small.
pub(super) type Result<T> = std::result::Result<T, Box<Failure>>;

/// Why a template cannot be compiled or rendered. The reason names what the template says, never
/// what it was given: a conversation does not belong into a log.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    pub(crate) line: u32,
    /// The template refused by itself, by `raise_exception`.
    pub(crate) raised: bool,
}

pub(super) fn failure<T>(reason: impl Into<String>) -> Result<T> {
    Err(Box::new(Failure { reason: reason.into(), line: 0, raised: false }))
}

pub(super) fn syntax<T>(line: u32, reason: impl Into<String>) -> Result<T> {
    Err(Box::new(Failure { reason: reason.into(), line, raised: false }))
}

/// Says where, unless an inner statement did.
pub(super) fn at_line(mut failure: Box<Failure>, line: u32) -> Box<Failure> {
    if failure.line == 0 {
        failure.line = line;
    }
    failure
}
