//! Competitors: processes that do one thing whenever they get a line.

use std::{
    io::{BufRead, BufReader, Write, stdin, stdout},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

/// What a worker does each round: the seconds that each case took.
pub type Work = Box<dyn FnMut() -> Result<Vec<f64>>>;

/// Does the work once per line of standard input, and answers with the seconds of each case on one line.
pub fn serve(mut work: Work) -> Result<()> {
    for line in stdin().lines() {
        line?;
        let seconds: Vec<String> = work()?.iter().map(f64::to_string).collect();
        writeln!(stdout(), "{}", seconds.join(" "))?;
    }
    Ok(())
}

pub struct Worker {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    pub fn start(name: &str, program: &Path, arguments: &[&str]) -> Result<Worker> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("piped")?);
        Ok(Worker { name: name.to_owned(), child, input, output })
    }

    /// One round: the seconds of each case.
    pub fn round(&mut self) -> Result<Vec<f64>> {
        writeln!(self.input.as_mut().context("not finished")?)?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        match line.split_whitespace().map(str::parse).collect() {
            Ok(seconds) if !line.is_empty() => Ok(seconds),
            _ => bail!("{} said {line:?}", self.name),
        }
    }

    pub fn finish(mut self) -> Result<()> {
        self.input = None;
        ensure!(self.child.wait()?.success(), "{} failed", self.name);
        Ok(())
    }
}
