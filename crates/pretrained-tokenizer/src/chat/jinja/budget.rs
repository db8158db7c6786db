//! What a rendering may take, so that a hostile template is an error at once.

use super::{
    error::{Result, failure},
    render::Run,
};

impl<'a> Run<'a> {
    /// Pays for steps and for items of lists.
    #[inline(always)]
    pub(super) fn spend(&mut self, steps: usize) -> Result<()> {
        match self.fuel.checked_sub(steps) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => self.exhausted(),
        }
    }

    /// Pays for bytes of text that are made or gone through.
    #[inline(always)]
    pub(super) fn spend_text(&mut self, len: usize) -> Result<()> {
        self.spend(len / TEXT_PER_STEP)
    }

    /// Pays for a text that is gone through or made anew character by character.
    pub(super) fn spend_chars(&mut self, text: &str) -> Result<()> {
        self.spend(text.len() / CHARS_PER_STEP)
    }

    #[cold]
    fn exhausted<T>(&mut self) -> Result<T> {
        self.fuel = 0;
        failure("the template takes too long, or makes too much of what it is given")
    }

    pub(super) fn is_spent(&self) -> bool {
        self.fuel == 0
    }

    /// A copy of a text that lives as long as the rendering.
    pub(super) fn alloc_str(&mut self, text: &str) -> Result<&'a str> {
        self.spend_text(text.len())?;
        Ok(self.arena.alloc_str(text))
    }

    /// A string of these parts.
    pub(super) fn join(&mut self, parts: &[&str]) -> Result<&'a str> {
        let len = parts.iter().map(|part| part.len()).sum();
        self.spend_text(len)?;
        let mut joined = bumpalo::collections::String::with_capacity_in(len, self.arena);
        for part in parts {
            joined.push_str(part);
        }
        Ok(joined.into_bump_str())
    }
}

/// Enough for a prompt of tens of megabytes, and used up in a fraction of a second.
pub(super) const FUEL: usize = 4_000_000;
/// One step takes as long as about so many bytes of text.
const TEXT_PER_STEP: usize = 16;
const CHARS_PER_STEP: usize = 4;
/// As deep as Python's own stack lets macros call each other.
pub(super) const MAX_CALLS: usize = 180;
