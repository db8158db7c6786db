use std::{collections::BTreeSet, num::NonZero};

use proptest::prelude::*;

use crate::Retention;

#[track_caller]
fn check(retention: &Retention, steps: &[u64], expected: &[u64]) {
    let keeps = retention.keeps(steps);
    let kept: Vec<u64> = steps.iter().zip(keeps).filter(|it| it.1).map(|it| *it.0).collect();
    assert_eq!(kept, expected);
}

fn last(n: usize) -> Retention {
    Retention { last: NonZero::new(n), ..Retention::default() }
}

#[test]
fn the_default_keeps_all() {
    check(&Retention::default(), &[1, 2, 3], &[1, 2, 3]);
    check(&Retention::default(), &[], &[]);
}

#[test]
fn the_last() {
    check(&last(2), &[], &[]);
    check(&last(2), &[1], &[1]);
    check(&last(2), &[1, 2, 3], &[2, 3]);
    check(&last(9), &[1, 2, 3], &[1, 2, 3]);
}

#[test]
fn every_nth_the_best_and_pinned_ones_have_budgets_of_their_own() {
    let steps = [5, 10, 15, 20, 25];
    check(&Retention { every: NonZero::new(10), ..last(1) }, &steps, &[10, 20, 25]);
    check(&Retention { best: Some(5), ..last(2) }, &steps, &[5, 20, 25]);
    check(&Retention { pinned: BTreeSet::from([10, 99]), ..last(1) }, &steps, &[10, 25]);
    check(&Retention { best: Some(7), ..last(1) }, &steps, &[25]);
}

#[test]
fn foreign_ones_neither_count_nor_go() {
    let foreign = |steps: &[u64]| Retention { foreign: steps.iter().copied().collect(), ..last(1) };
    check(&foreign(&[]), &[10, 20, 30], &[30]);
    check(&foreign(&[30]), &[10, 20, 30], &[20, 30]);
    check(&foreign(&[10, 30]), &[10, 20, 30], &[10, 20, 30]);
    check(&foreign(&[99]), &[10, 20], &[20]);
}

/// `hf-contract.md` 5.8: `keep = max(limit, len({newest, best}))`, the oldest others go.
#[test]
fn save_total_limit_is_hugging_faces() {
    let steps = [10, 20, 30, 40];
    let check = |limit, best, expected: &[u64]| {
        check(&Retention::save_total_limit(Some(limit), best), &steps, expected);
    };
    check(1, None, &[40]);
    check(1, Some(40), &[40]);
    check(1, Some(10), &[10, 40]);
    check(2, None, &[30, 40]);
    check(2, Some(10), &[10, 40]);
    check(2, Some(30), &[30, 40]);
    check(3, Some(10), &[10, 30, 40]);
    check(3, Some(20), &[20, 30, 40]);
    check(4, Some(10), &steps);
    check(0, Some(10), &steps);
    super::retention::check(&Retention::save_total_limit(None, None), &steps, &steps);
}

/// The reference's own loop, in other words.
fn hugging_face(limit: usize, best: Option<u64>, steps: &[u64]) -> Vec<bool> {
    let is_protected = |step: &u64| steps.last() == Some(step) || best == Some(*step);
    let n_kept = limit.max(steps.iter().filter(|it| is_protected(it)).count());
    let mut n_surplus = if steps.len() <= limit { 0 } else { steps.len().saturating_sub(n_kept) };
    let mut keep = |step: &u64| {
        let goes = !is_protected(step) && 0 < n_surplus;
        n_surplus -= usize::from(goes);
        !goes
    };
    steps.iter().map(&mut keep).collect()
}

proptest! {
    #[test]
    fn save_total_limit_equals_hugging_faces_loop(
        steps in prop::collection::btree_set(0_u64..50, 0..12),
        limit in 1_usize..8,
        best in prop::option::of(0_u64..50),
    ) {
        let steps: Vec<u64> = steps.into_iter().collect();
        let ours = Retention::save_total_limit(Some(limit), best).keeps(&steps);
        prop_assert_eq!(ours, hugging_face(limit, best, &steps));
    }

    /// Which is why rotation need not look at what it would keep anyway.
    #[test]
    fn what_is_kept_of_more_is_kept_of_fewer(
        steps in prop::collection::btree_map(0_u64..50, any::<bool>(), 0..12),
        n in prop::option::of(1_usize..5),
        best in prop::option::of(0_u64..50),
        best_within_last: bool,
    ) {
        let last = n.and_then(NonZero::new);
        let retention = Retention { last, best, best_within_last, ..Retention::default() };
        let more: Vec<u64> = steps.keys().copied().collect();
        let fewer: Vec<u64> = steps.iter().filter(|it| *it.1).map(|it| *it.0).collect();
        if retention.keeps(&more).iter().all(|it| *it) {
            prop_assert!(retention.keeps(&fewer).iter().all(|it| *it));
        }
    }

    #[test]
    fn the_newest_the_best_and_the_pinned_always_stay(
        steps in prop::collection::btree_set(0_u64..50, 1..12),
        n in prop::option::of(1_usize..4),
        every in prop::option::of(1_u64..9),
        best in prop::option::of(0_u64..50),
        pinned in prop::collection::btree_set(0_u64..50, 0..4),
        best_within_last: bool,
    ) {
        let last = n.and_then(NonZero::new);
        let every = every.and_then(NonZero::new);
        let retention = Retention {
            last, every, best, pinned: pinned.clone(), best_within_last, ..Retention::default()
        };
        let steps: Vec<u64> = steps.into_iter().collect();
        let keeps = retention.keeps(&steps);
        prop_assert_eq!(keeps.len(), steps.len());
        for (step, keeps) in steps.iter().zip(&keeps) {
            let must = steps.last() == Some(step) || best == Some(*step) || pinned.contains(step);
            prop_assert!(*keeps || !must, "{} of {:?}", step, steps);
        }
    }
}
