//! Writers and readers of one directory at the same time.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{is_model_file, lay_out, leftovers, scratch};
use crate::{
    StagedSet,
    faults::{Answer, watch},
    recover, sweep, write_new,
};

fn save(dir: &Path, generation: usize) -> Result<(), crate::Error> {
    let staged = StagedSet::create(&dir.join("model"), is_model_file)?.gate("config.json");
    let content = format!("{generation}");
    write_new(&staged.path().join("config.json"), content.as_bytes())?;
    for i in 0..=generation % 3 {
        write_new(&staged.path().join(format!("weights-{i}")), content.as_bytes())?;
    }
    staged.publish()
}

/// Reads a set as an opener does: all of it while nobody replaces it.
fn read_set(dir: &Path) -> Option<usize> {
    let model = dir.join("model");
    let _unchanged = recover(&model).expect("recover");
    let generation: usize = fs::read_to_string(model.join("config.json")).ok()?.parse().ok()?;
    for i in 0..3 {
        let weights = fs::read_to_string(model.join(format!("weights-{i}"))).ok();
        let expected = (i <= generation % 3).then(|| generation.to_string());
        if weights != expected {
            return None;
        }
    }
    Some(generation)
}

fn check_races(files: &[(&str, &str)]) {
    let dir = scratch();
    let _fast = watch(dir.path(), |_| Answer::Pretend);
    lay_out(dir.path(), files);
    save(dir.path(), 0).expect("save");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|w| {
                let dir = dir.path();
                scope.spawn(move || {
                    for i in 0..15 {
                        save(dir, 100 * w + i).expect("save");
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert!(read_set(dir.path()).is_some(), "a mixture was seen");
                }
            });
        }
        let writers: Vec<_> = writers.into_iter().map(|it| it.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(writers.iter().all(|it| it.is_ok()));
    });
    assert!(read_set(dir.path()).is_some());
    for (name, content) in files {
        assert_eq!(fs::read_to_string(dir.path().join(name)).expect("read"), *content);
    }
    sweep(dir.path()).expect("sweep");
    sweep(&dir.path().join("model")).expect("sweep");
    assert_eq!(leftovers(dir.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn many_writers_and_readers_by_exchange() {
    check_races(&[("model/notes", "mine")]);
}

#[test]
fn many_writers_and_readers_by_journal() {
    check_races(&[("model/notes", "mine"), ("model/runs/x", "log")]);
}
