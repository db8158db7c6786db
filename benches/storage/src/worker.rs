//! Competitors: processes that do one thing whenever they get a line.

use std::{
    fs,
    io::{BufRead, BufReader, Write, stdin, stdout},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

/// Does the work once per line of standard input, and answers with the seconds it took. At the end it answers with the
/// memory that the process had at most, in KiB.
pub fn serve(mut work: Box<dyn FnMut() -> Result<f64>>) -> Result<()> {
    for line in stdin().lines() {
        line?;
        let seconds = work()?;
        writeln!(stdout(), "{seconds}")?;
    }
    writeln!(stdout(), "{}", peak_memory()?)?;
    Ok(())
}

pub struct Worker {
    pub name: String,
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

    /// One round, in seconds.
    pub fn round(&mut self) -> Result<f64> {
        writeln!(self.input.as_mut().context("not finished")?)?;
        self.answer()
    }

    /// Ends the process; gives the memory it had at most, in MiB.
    pub fn finish(mut self) -> Result<f64> {
        self.input = None;
        let memory = self.answer()? / 1024.0;
        ensure!(self.child.wait()?.success(), "{} failed", self.name);
        Ok(memory)
    }

    fn answer(&mut self) -> Result<f64> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        match line.trim().parse() {
            Ok(number) => Ok(number),
            Err(_) => bail!("{} said {line:?}", self.name),
        }
    }
}

fn peak_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
