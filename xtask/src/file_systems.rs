//! `cargo xtask file-systems [kind...]`: the durability suites on other file systems than the one at hand.
//!
//! Each is made in a file of its own and mounted through a loop device, which takes root, Linux and its `mkfs`. One
//! that this machine cannot make is said to be left out, unless it was asked for by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo};
use crate::workspace;

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    for name in arguments {
        if !KINDS.contains(name) {
            bail!("no file system `{name}`; there are: {}", KINDS.join(", "));
        }
    }
    // Built once, and before anything is mounted.
    process::run(cargo(["test", "--no-run", "--lib"]).args(PACKAGES))?;
    let (mut done, mut left_out) = (Vec::new(), Vec::new());
    for kind in KINDS {
        if !arguments.is_empty() && !arguments.contains(&kind) {
            continue;
        }
        match Mounted::new(kind) {
            Ok(mounted) => {
                let mut tests = cargo(["test", "--lib"]);
                tests.args(PACKAGES).env("TMPDIR", &mounted.at).arg("--").args(SUITES);
                eprintln!("\nTMPDIR is on {kind}");
                process::run(&mut tests).with_context(|| format!("on {kind}"))?;
                done.push(kind);
            }
            Err(error) if arguments.is_empty() => left_out.push(format!("{kind} ({error:#})")),
            Err(error) => return Err(error.context(format!("make {kind}"))),
        }
    }
    println!("passed on: {}", done.join(", "));
    if !left_out.is_empty() {
        println!("left out: {}", left_out.join(", "));
    }
    Ok(())
}

/// A file system of its own, there until this is dropped.
struct Mounted {
    /// Where it is used.
    at: PathBuf,
    /// What is mounted, the innermost last.
    points: Vec<PathBuf>,
    scratch: PathBuf,
}

impl Mounted {
    fn new(kind: &str) -> Result<Mounted> {
        let scratch = workspace::target_dir().join(format!("file-system-{kind}"));
        let point = scratch.join("mounted");
        fs::create_dir_all(&point).with_context(|| format!("create {}", point.display()))?;
        let mut mounted = Mounted { at: point.clone(), points: Vec::new(), scratch };
        match kind {
            "tmpfs" => mounted.mount(&["-t", "tmpfs", "tmpfs"], &point)?,
            "overlay" => {
                // Its layers must not be on another overlay, which a container's root may be.
                mounted.mount(&["-t", "tmpfs", "tmpfs"], &point)?;
                let [lower, upper, work, merged] =
                    ["lower", "upper", "work", "merged"].map(|it| point.join(it));
                for dir in [&lower, &upper, &work, &merged] {
                    fs::create_dir(dir).with_context(|| format!("create {}", dir.display()))?;
                }
                let layers = format!(
                    "lowerdir={},upperdir={},workdir={}",
                    lower.display(),
                    upper.display(),
                    work.display()
                );
                mounted.mount(&["-t", "overlay", "-o", &layers, "overlay"], &merged)?;
                mounted.at = merged;
            }
            _ => {
                let image = mounted.scratch.join("image");
                let file = fs::File::create(&image)
                    .with_context(|| format!("create {}", image.display()))?;
                file.set_len(IMAGE_LEN)
                    .with_context(|| format!("make room in {}", image.display()))?;
                process::output(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image))?;
                let image = image.display().to_string();
                mounted.mount(&["-o", "loop", &image], &point)?;
            }
        }
        Ok(mounted)
    }

    fn mount(&mut self, arguments: &[&str], point: &Path) -> Result<()> {
        process::output(Command::new("mount").args(arguments).arg(point))?;
        self.points.push(point.to_owned());
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for point in self.points.iter().rev() {
            if let Err(error) = process::output(Command::new("umount").arg(point)) {
                // Removing what is below it would remove what is in it.
                eprintln!("warning: {error:#}");
                return;
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.scratch) {
            eprintln!("warning: remove {}: {error}", self.scratch.display());
        }
    }
}

const KINDS: [&str; 5] = ["ext4", "xfs", "btrfs", "overlay", "tmpfs"];
const PACKAGES: [&str; 6] =
    ["-p", "pretrained-fs", "-p", "pretrained-checkpoint", "-p", "pretrained-artifact"];
/// Those of their tests that write.
const SUITES: [&str; 4] = ["case_3", "case_4", "tests::basics", "tests::durability"];
/// The least that XFS asks for is 300 MB.
const IMAGE_LEN: u64 = 512 << 20;
