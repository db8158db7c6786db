use std::{path::PathBuf, process::Command};

use anyhow::{Result, ensure};

use crate::{Measured, worker::Worker};

/// How often competitors take a turn that counts.
pub const ROUNDS: usize = 9;

/// Where the competitors and their files are.
pub struct Place {
    pub(crate) ours: PathBuf,
    pub(crate) python: PathBuf,
    pub(crate) peers: PathBuf,
    /// On the disk, kept from one run to the next.
    pub data: PathBuf,
}

impl Place {
    /// Lets competitors take turns. Each is its name, `ours` or `python`, and the arguments of its worker.
    pub fn race(&self, competitors: &[(&str, &str, &[&str])]) -> Result<Vec<Measured>> {
        self.race_for(ROUNDS, competitors)
    }

    /// The same for so many rounds, where they are long.
    pub fn race_for(
        &self,
        rounds: usize,
        competitors: &[(&str, &str, &[&str])],
    ) -> Result<Vec<Measured>> {
        let mut workers = Vec::new();
        for (name, who, arguments) in competitors {
            let mut command = match *who {
                "ours" => Command::new(&self.ours),
                _ => Command::new(&self.python),
            };
            match *who {
                "ours" => command.arg("worker"),
                _ => command.arg(&self.peers),
            };
            command.args(*arguments);
            workers.push((Worker::start(name, command)?, Vec::new()));
        }
        // The first round fills caches, and does not count.
        for round in 0..=rounds {
            for (worker, rounds) in &mut workers {
                let seconds = worker.round()?;
                if round > 0 {
                    rounds.push(seconds);
                }
            }
        }
        let finish = |(worker, rounds): (Worker, Vec<Vec<f64>>)| {
            let name = worker.name.clone();
            Ok(Measured { name, rounds, memory: worker.finish()? })
        };
        workers.into_iter().map(finish).collect()
    }

    /// Lets Python write what the competitors read: `peers.py make …`.
    pub fn make(&self, arguments: &[&str]) -> Result<()> {
        let status =
            Command::new(&self.python).arg(&self.peers).arg("make").args(arguments).status()?;
        ensure!(status.success(), "making {}", arguments.join(" "));
        Ok(())
    }

    /// A command for what takes a process of its own each time: our worker of this name.
    pub fn ours(&self, arguments: &[&str]) -> Vec<String> {
        let first = [self.ours.to_string_lossy(), "worker".into()];
        first.into_iter().chain(arguments.iter().map(|&it| it.into())).map(Into::into).collect()
    }

    /// The same of Python's.
    pub fn python(&self, arguments: &[&str]) -> Vec<String> {
        let first = [self.python.to_string_lossy(), self.peers.to_string_lossy()];
        first.into_iter().chain(arguments.iter().map(|&it| it.into())).map(Into::into).collect()
    }

    /// A file or directory that is kept.
    pub fn path(&self, name: &str) -> String {
        self.data.join(name).to_string_lossy().into_owned()
    }
}
