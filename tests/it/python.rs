//! Asks the pinned transformers, through `tests/python/server.py`.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

/// The value of `function`, such as `models.make`, called with keyword arguments.
#[track_caller]
pub(crate) fn call(function: &str, with: Value) -> Value {
    static SERVER: OnceLock<Mutex<Server>> = OnceLock::new();
    // A test that failed while it held the lock has read its answer or none: the next request is in step again only
    // because a request and its answer are one line each.
    let mut server = SERVER
        .get_or_init(|| Mutex::new(Server::start()))
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let answer = server.ask(&json!({"call": function, "with": with}));
    drop(server);
    match answer.get("value") {
        Some(value) => value.clone(),
        None => panic!("{function}: {}", answer["error"].as_str().unwrap_or("no answer")),
    }
}

/// The interpreter with everything that tests compare against.
fn interpreter() -> PathBuf {
    let python = env::var_os("PRETRAINED_PYTHON")
        .map_or_else(|| root().join(".torch/venv/bin/python"), PathBuf::from);
    assert!(python.exists(), "{} is not there; `cargo xtask test` makes it", python.display());
    python
}

/// The checkout's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace")
}

/// One process for all the tests: starting transformers takes longer than most of them. It ends when its stdin does,
/// which is when this process ends.
struct Server {
    /// Ends by itself; kept, not waited for.
    _process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Server {
    fn start() -> Server {
        let mut child = Command::new(interpreter())
            .arg(root().join("tests/python/server.py"))
            .env("HF_HUB_OFFLINE", "1")
            .env("TRANSFORMERS_VERBOSITY", "error")
            .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("Python starts");
        let requests = child.stdin.take().expect("stdin is piped");
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Server { _process: child, requests, answers }
    }

    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.requests, "{request}").expect("Python reads its requests");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("Python answers");
        serde_json::from_str(&answer).expect("Python answers with a line of JSON")
    }
}
