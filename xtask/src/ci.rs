//! `cargo xtask ci`: everything, cheapest first, with the time that each part took.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::process::{self, cargo};
use crate::test::{TORCH_FEATURES, TORCH_PACKAGES};
use crate::{
    book, browser, consumer, deps, features, libtorch, lint, msrv, package, readme, tidy, venv,
};

pub(crate) fn run() -> Result<()> {
    let stages: [Stage; 16] = [
        ("format", lint::format),
        ("tidy", tidy::run),
        ("dependencies", deps::run),
        ("clippy", lint::plain),
        ("docs", plain_docs),
        ("oldest Rust", msrv::where_it_can_be_had),
        ("the book's programs", consumer::plain),
        ("packages", package::run),
        ("book", book::run),
        ("libtorch", || libtorch::ensure().map(drop)),
        ("clippy with libtorch", lint::torch),
        ("features", features::run),
        ("docs with libtorch", torch_docs),
        ("the book's programs with libtorch", consumer::torch),
        ("Python environment", || venv::parity().map(drop)),
        (README, readme::run),
    ];
    let started = Instant::now();
    // It takes a while and hardly a core, and only the last stage wants it.
    let mut browser = Some(std::thread::spawn(browser::install));
    let mut table = String::new();
    for (name, stage) in stages {
        eprintln!("\n=== {name}");
        let begun = Instant::now();
        if let Some(browser) = browser.take_if(|_| name == README) {
            let _ = browser.join();
        }
        stage().with_context(|| name.to_owned())?;
        table += &format!("{:>6.0} s  {name}\n", begun.elapsed().as_secs_f64());
    }
    eprintln!("\n{table}{:>6.0} s  in all", started.elapsed().as_secs_f64());
    Ok(())
}

fn plain_docs() -> Result<()> {
    process::run(cargo(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn torch_docs() -> Result<()> {
    let mut docs = cargo(["doc", "--no-deps"]);
    process::run(docs.args(TORCH_PACKAGES).args(TORCH_FEATURES).env("RUSTDOCFLAGS", "-D warnings"))
}

const README: &str = "README's commands (demo, all tests)";

/// A name and what is run under it.
type Stage = (&'static str, fn() -> Result<()>);
