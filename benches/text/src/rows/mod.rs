//! The rows of the table, one file each.

mod encode;
mod load;
mod render;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail, ensure};

use crate::{
    report::Measured,
    worker::{Work, Worker},
};

const ROUNDS: usize = 9;

/// Where the competitors and their files are.
pub struct Place {
    ours: PathBuf,
    python: PathBuf,
    data: PathBuf,
}

pub fn run(python: PathBuf, chosen: Option<&str>) -> Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/data");
    fs::create_dir_all(&data)?;
    let place = Place { ours: env::current_exe()?, python, data };
    let rows: [(&str, fn(&Place) -> Result<()>); 3] =
        [("render", render::row), ("encode", encode::row), ("load", load::row)];
    ensure!(
        chosen.is_none_or(|it| rows.iter().any(|(name, _)| *name == it)),
        "there is no such row; there are: {}",
        rows.map(|(name, _)| name).join(", ")
    );
    for (name, row) in rows {
        if chosen.is_none_or(|it| it == name) {
            row(&place)?;
        }
    }
    Ok(())
}

/// What our side of a row does, in a process of its own.
pub fn work(name: &str, paths: &[PathBuf]) -> Result<Work> {
    match name {
        "render" => render::work(paths),
        "encode" => encode::work(paths, true),
        "encode-with" => encode::work(paths, false),
        "load" => load::work(paths),
        _ => bail!("no work {name}"),
    }
}

impl Place {
    /// Lets competitors take turns. Each is its name, `ours` or `python`, and the arguments of its worker.
    fn race(&self, competitors: &[(&str, &str, &[&str])]) -> Result<Vec<Measured>> {
        let mut workers = Vec::new();
        for (name, who, arguments) in competitors {
            let (program, first) = match *who {
                "ours" => (&self.ours, "worker"),
                _ => (&self.python, PEERS),
            };
            let arguments = [&[first][..], *arguments].concat();
            let rounds = Vec::new();
            let worker = Worker::start(name, program, &arguments)?;
            workers.push((worker, Measured { name: (*name).to_owned(), rounds }));
        }
        // The first round fills caches, and does not count.
        for round in 0..=ROUNDS {
            for (worker, measured) in &mut workers {
                let seconds = worker.round()?;
                if round > 0 {
                    measured.rounds.push(seconds);
                }
            }
        }
        let finish = |(worker, measured): (Worker, Measured)| worker.finish().map(|()| measured);
        workers.into_iter().map(finish).collect()
    }

    /// Lets Python write what the competitors read.
    fn make(&self, what: &str, name: &str) -> Result<String> {
        let path = self.data.join(name).to_string_lossy().into_owned();
        let status = Command::new(&self.python).args([PEERS, "make", what, &path]).status()?;
        ensure!(status.success(), "making {path}");
        Ok(path)
    }
}

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py");
