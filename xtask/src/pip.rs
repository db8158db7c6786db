//! Runs pip with its output in sight, and turns its usual failures into what to do about them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;

/// `pip install` with these arguments, progress and complaints shown as they come.
pub(crate) fn install<'a>(
    python: &Path,
    arguments: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let mut command = pip(python, arguments);
    process::announce(&command);
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", process::spelled(&command)))?;

    let mut complaints = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line.context("read what pip says")?;
            eprintln!("{line}");
            complaints += &line;
            complaints.push('\n');
        }
    }
    let status = child.wait().context("wait for pip")?;
    if status.success() {
        return Ok(());
    }
    match remedy(&complaints) {
        Some(remedy) => bail!("pip could not install the packages: {remedy}"),
        None => bail!("pip could not install the packages ({status}); what it said is above"),
    }
}

/// The same without a word, for an attempt that may fail. True if it succeeded.
pub(crate) fn try_install<'a>(
    python: &Path,
    arguments: impl IntoIterator<Item = &'a str>,
) -> Result<bool> {
    let mut command = pip(python, arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let status =
        command.status().with_context(|| format!("start {}", process::spelled(&command)))?;
    Ok(status.success())
}

fn pip<'a>(python: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "install", "--no-compile"])
        .args(arguments)
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_NO_INPUT", "1")
        // A user's setting for their own environments would send the packages elsewhere.
        .env_remove("PIP_TARGET")
        .env_remove("PIP_USER")
        .stdin(Stdio::null());
    command
}

/// What to do about a failure, read off pip's own words.
fn remedy(complaints: &str) -> Option<&'static str> {
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| complaints.contains(phrase));
    if says(&["No space left on device", "Disk quota exceeded"]) {
        return Some(
            "the disk is full; libtorch needs 1.3 GB free, the Python environment of the tests 5 GB",
        );
    }
    if says(&[
        "NewConnectionError",
        "ConnectTimeout",
        "Read timed out",
        "ProxyError",
        "Name or service not known",
    ]) || says(&[
        "Temporary failure in name resolution",
        "Network is unreachable",
        "Connection broken",
    ]) {
        return Some(
            "the package index cannot be reached; check the network or pip's proxy settings and run this again \
             (or set LIBTORCH to a libtorch 2.11.0 of your own)",
        );
    }
    if says(&["SSLError", "CERTIFICATE_VERIFY_FAILED"]) {
        return Some(
            "the package index's certificate is not trusted here; set PIP_CERT to your network's bundle",
        );
    }
    if says(&["(from versions: none)"]) {
        return Some(
            "the package index cannot be reached, or has no build for this machine and Python (torch 2.11.0 is there \
             for Python 3.10 to 3.14 on Linux, x86-64 and arm64, and macOS, arm64)",
        );
    }
    if says(&["No matching distribution found"]) {
        return Some(
            "no build for this machine and Python; torch 2.11.0 is there for Python 3.10 to 3.14 on Linux \
             (x86-64, arm64) and macOS (arm64)",
        );
    }
    if says(&["Permission denied"]) {
        return Some("`.torch` is not writable; check who owns the checkout");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::remedy;

    #[track_caller]
    fn check(complaint: &str, advice: &str) {
        let remedy = remedy(complaint).expect("pip's complaint is known");
        assert!(remedy.contains(advice), "{remedy}");
    }

    #[test]
    fn full_disk() {
        check(
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "disk is full",
        );
    }

    #[test]
    fn no_network_is_not_taken_for_a_missing_version() {
        let complaint = "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(…)'\n\
                         ERROR: No matching distribution found for torch==2.11.0";
        check(complaint, "check the network");
    }

    #[test]
    fn an_index_that_answers_nothing_may_be_out_of_reach() {
        let complaint = "ERROR: Could not find a version that satisfies torch==2.11.0 (from versions: none)\n\
                         ERROR: No matching distribution found for torch==2.11.0";
        check(complaint, "cannot be reached, or has no build");
    }

    #[test]
    fn no_build_for_this_python() {
        check("ERROR: No matching distribution found for torch==2.11.0", "Python 3.10 to 3.14");
    }

    #[test]
    fn anything_else_speaks_for_itself() {
        assert_eq!(remedy("ERROR: something new"), None);
    }
}
