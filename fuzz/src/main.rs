//! Runs every fuzz target in turn, or one: `cargo run --release --manifest-path fuzz/Cargo.toml -- [seconds [target]]`.
//!
//! Needs `cargo install cargo-fuzz` and a nightly toolchain. Starts from the kept corpus under `corpus/`; what it finds on
//! the way goes to `target/corpus/`, inputs that fail to `artifacts/`.

use std::{
    env, fs,
    path::Path,
    process::{Command, ExitCode},
};

const TARGETS: [&str; 4] = ["header", "index", "pickle", "zip"];

fn main() -> ExitCode {
    let seconds = env::args().nth(1).unwrap_or_else(|| "600".to_owned());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let chosen = env::args().nth(2);
    if let Some(unknown) = chosen.as_ref().filter(|it| !TARGETS.contains(&it.as_str())) {
        eprintln!("no fuzz target `{unknown}`; there are: {}", TARGETS.join(", "));
        return ExitCode::FAILURE;
    }
    let mut failed = Vec::new();
    for target in TARGETS.into_iter().filter(|it| chosen.as_ref().is_none_or(|name| name == it)) {
        let found = here.join("target/corpus").join(target);
        if let Err(e) = fs::create_dir_all(&found) {
            eprintln!("create {}: {e}", found.display());
            return ExitCode::FAILURE;
        }
        println!("== {target}, {seconds} s");
        let mut fuzz = Command::new("cargo");
        fuzz.current_dir(here)
            .args(["+nightly", "fuzz", "run", "--fuzz-dir"])
            .arg(here)
            .arg(target);
        fuzz.arg(&found).arg(here.join("corpus").join(target));
        // The address sanitizer of libFuzzer counts allocations: a bomb fails as out of memory.
        fuzz.args([
            "--",
            "-rss_limit_mb=2048",
            "-malloc_limit_mb=1024",
            "-timeout=10",
            "-max_len=65536",
        ]);
        fuzz.arg(format!("-max_total_time={seconds}"));
        match fuzz.status() {
            Ok(status) if status.success() => {}
            Ok(status) => failed.push(format!("{target}: {status}")),
            Err(e) => failed.push(format!("{target}: {e}; `cargo install cargo-fuzz` installs it")),
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("failed: {}", failed.join("; "));
    ExitCode::FAILURE
}
