mod crashes;
mod hostile;
mod kill;
mod model;
mod reads;
mod retention;
mod run;

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{Checkpoints, Saved};

/// A scratch directory: where `TMPDIR` says, to try a file system, else in memory if there is such a
/// place, since these suites make many.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() && std::env::var_os("TMPDIR").is_none() {
        true => tempfile::tempdir_in(memory).expect("temp dir"),
        false => tempfile::tempdir().expect("temp dir"),
    }
}

/// Saves a checkpoint whose content follows from its step.
fn save(run: &Checkpoints, step: u64) -> Saved {
    run.save(step, |dir| fill(dir, step)).expect("save")
}

fn fill(dir: &Path, step: u64) -> Result<(), pretrained_fs::Error> {
    let content = content_of(step);
    pretrained_fs::write_new(&dir.join("weights"), content.as_bytes())?;
    pretrained_fs::write_new(&dir.join("state"), step.to_string().as_bytes())
}

fn content_of(step: u64) -> String {
    format!("weights of step {step} ").repeat(3)
}

fn steps(run: &Checkpoints) -> Vec<u64> {
    run.list().expect("list").iter().map(|it| it.step).collect()
}

fn latest(run: &Checkpoints) -> Option<u64> {
    run.latest().expect("latest").checkpoint.map(|it| it.step)
}

/// What is in a run's directory, without the lock.
fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).expect("list");
    let name = |it: fs::DirEntry| it.file_name().into_string().expect("UTF-8");
    let mut names: Vec<String> = entries.map(|it| name(it.expect("list"))).collect();
    names.retain(|it| it != ".pretrained-lock");
    names.sort();
    names
}

/// A checkpoint as Hugging Face's Trainer leaves it.
fn lay_out_hf(root: &Path, step: u64) -> PathBuf {
    let dir = root.join(format!("checkpoint-{step}"));
    fs::create_dir_all(&dir).expect("create");
    fs::write(dir.join("model.safetensors"), "weights").expect("write");
    let state = format!("{{\n  \"epoch\": 1.0,\n  \"global_step\": {step}\n}}\n");
    fs::write(dir.join("trainer_state.json"), state).expect("write");
    dir
}
