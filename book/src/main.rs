//! Builds the book of a directory: `book docs`.

use std::env;

use anyhow::{Context, Result};
use mdbook_driver::MDBook;

fn main() -> Result<()> {
    let dir = env::args().nth(1).context("which directory has the book.toml?")?;
    MDBook::load(dir)?.build()
}
