//! Random histories of a run against a model of what must be there.

use std::{collections::BTreeMap, fs};

use proptest::prelude::*;

use pretrained_fs::faults::{Answer, watch};

use super::{fill, scratch, steps};
use crate::{Checkpoints, Retention, SaveError};

#[derive(Debug, Clone)]
enum Action {
    Save(u64),
    /// The process dies at this operation of saving this step, and the run is opened again.
    Crash(u64, usize),
    Flip(u64),
    Rotate(usize, Option<u64>),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0_u64..12).prop_map(Action::Save),
        3 => ((0_u64..12), (0_usize..40)).prop_map(|(step, n)| Action::Crash(step, n)),
        1 => (0_u64..12).prop_map(Action::Flip),
        2 => ((1_usize..4), prop::option::of(0_u64..12)).prop_map(|(n, best)| Action::Rotate(n, best)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_history(actions in prop::collection::vec(action(), 1..20)) {
        let dir = scratch();
        let _fast = watch(dir.path(), |_| Answer::Pretend);
        let mut run = Checkpoints::open(dir.path()).expect("open");
        // Every step that is there, and whether it is whole.
        let mut model: BTreeMap<u64, bool> = BTreeMap::new();
        for action in actions {
            match action {
                Action::Save(step) => {
                    let saved = run.save(step, |dir| fill(dir, step));
                    match model.get(&step) {
                        Some(true) => {
                            let is_refused = matches!(saved, Err(SaveError::Exists { .. }));
                            prop_assert!(is_refused);
                        }
                        there => {
                            let is_aside = saved.expect("save").set_aside.is_some();
                            prop_assert_eq!(is_aside, there.is_some());
                        }
                    }
                    model.insert(step, true);
                }
                Action::Crash(step, n) => {
                    let calls = std::sync::atomic::AtomicUsize::new(0);
                    let dying = watch(dir.path(), move |_| {
                        match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < n {
                            true => Answer::Pretend,
                            false => Answer::Fail(5),
                        }
                    });
                    let _ = run.save(step, |dir| fill(dir, step));
                    drop(run);
                    drop(dying);
                    run = Checkpoints::open(dir.path()).expect("open");
                    // Whether it got that far is the one thing the model does not know.
                    let is_there = steps(&run).contains(&step);
                    let was_whole = model.get(&step) == Some(&true);
                    prop_assert!(is_there || !was_whole, "{} is lost", step);
                    match is_there {
                        true => {
                            let path = run.path_of(step);
                            let is_whole = crate::verify(&path).expect("verify").is_whole();
                            let was_there = model.insert(step, is_whole);
                            prop_assert!(is_whole || was_there == Some(false), "{} is torn", step);
                        }
                        false => drop(model.remove(&step)),
                    }
                }
                Action::Flip(step) => {
                    if let Some(is_whole) = model.get_mut(&step).filter(|it| **it) {
                        let path = run.path_of(step).join("weights");
                        let mut bytes = fs::read(&path).expect("read");
                        bytes[0] ^= 1;
                        // A new inode, as a copy of the damaged file would have.
                        fs::remove_file(&path).expect("remove");
                        fs::write(&path, bytes).expect("write");
                        *is_whole = false;
                    }
                }
                Action::Rotate(n, best) => {
                    let keep = Retention::save_total_limit(Some(n), best);
                    run.rotate(&keep).expect("rotate");
                    let whole: Vec<u64> =
                        model.iter().filter(|it| *it.1).map(|it| *it.0).collect();
                    for (step, keeps) in whole.iter().zip(keep.keeps(&whole)) {
                        if !keeps {
                            model.remove(step);
                        }
                    }
                }
            }
            prop_assert_eq!(steps(&run), model.keys().copied().collect::<Vec<_>>());
            let newest = model.iter().rev().find(|it| *it.1).map(|it| *it.0);
            prop_assert_eq!(super::latest(&run), newest);
        }
    }
}
