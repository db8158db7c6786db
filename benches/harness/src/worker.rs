use std::{
    fs,
    io::{BufRead, BufReader, Write, stdin, stdout},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

/// What a competitor does each round: the seconds that each case took.
pub type Work = Box<dyn FnMut() -> Result<Vec<f64>>>;

/// Does the work once per line of standard input, and answers with the seconds of each case on one line. At the end it
/// answers with the memory that the process had at most, in KiB.
pub(crate) fn serve(mut work: Work) -> Result<()> {
    for line in stdin().lines() {
        line?;
        let seconds: Vec<String> = work()?.iter().map(f64::to_string).collect();
        writeln!(stdout(), "{}", seconds.join(" "))?;
    }
    writeln!(stdout(), "{}", peak_memory()?)?;
    Ok(())
}

pub(crate) struct Worker {
    pub(crate) name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    pub(crate) fn start(name: &str, mut command: Command) -> Result<Worker> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("piped")?);
        Ok(Worker { name: name.to_owned(), child, input, output })
    }

    /// One round: the seconds of each case.
    pub(crate) fn round(&mut self) -> Result<Vec<f64>> {
        writeln!(self.input.as_mut().context("not finished")?)?;
        self.answer()
    }

    /// Ends the process; gives the memory it had at most, in MiB.
    pub(crate) fn finish(mut self) -> Result<f64> {
        self.input = None;
        let memory = self.answer()?.first().map_or(f64::NAN, |it| it / 1024.0);
        ensure!(self.child.wait()?.success(), "{} failed", self.name);
        Ok(memory)
    }

    fn answer(&mut self) -> Result<Vec<f64>> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        match line.split_whitespace().map(str::parse).collect() {
            Ok(numbers) if !line.is_empty() => Ok(numbers),
            _ => bail!("{} said {line:?}", self.name),
        }
    }
}

fn peak_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
