//! The fold of one run: what is kept, what is a copy.

use super::{
    super::{FailureClass, RunState, SyncRunEvent as Event},
    completed, failed, page, started,
};
use crate::integrations::{Fence, Outcome};

/// Folds `events` into a run under fence 3; no higher one was granted.
fn fold(events: &[Event]) -> (RunState, Vec<bool>) {
    let mut state = RunState::leased(Fence(3));
    let kept = events
        .iter()
        .map(|event| state.keep(event, Fence(3)))
        .collect();
    (state, kept)
}

#[test]
fn a_run_is_the_sum_of_its_pages() {
    let (state, kept) = fold(&[
        started(3),
        page(3, 0),
        page(3, 1),
        completed(3, Outcome::Completed),
    ]);
    assert_eq!(kept, [true; 4]);
    assert_eq!(
        state,
        RunState {
            fence: Fence(3),
            pages: 2,
            records: 20,
            deleted: 6,
            ended: Some(Outcome::Completed),
        }
    );
}

#[test]
fn a_copy_of_a_page_counts_once() {
    let (state, kept) = fold(&[page(3, 0), page(3, 0), page(3, 1), page(3, 0)]);
    assert_eq!(kept, [true, false, true, false]);
    assert_eq!((state.pages, state.records), (2, 20));
}

#[test]
fn a_page_out_of_order_waits_for_nobody() {
    let (state, kept) = fold(&[page(3, 1), page(3, 0), page(3, 2), page(3, 1)]);
    assert_eq!(kept, [false, true, false, true]);
    assert_eq!(state.pages, 2);
}

#[test]
fn a_page_of_another_lease_is_dropped() {
    for fence in [2, 4] {
        let (state, kept) = fold(&[
            started(fence),
            page(fence, 0),
            completed(fence, Outcome::Completed),
            failed(fence, FailureClass::Transient),
        ]);
        assert_eq!(kept, [false; 4]);
        assert_eq!(state, RunState::leased(Fence(3)));
    }
}

#[test]
fn once_a_higher_fence_is_granted_everything_of_the_run_is_late() {
    let mut state = RunState::leased(Fence(3));
    assert!(state.keep(&page(3, 0), Fence(3)));
    let before = state;
    for late in [
        started(3),
        page(3, 1),
        completed(3, Outcome::Completed),
        failed(3, FailureClass::Transient),
    ] {
        assert!(!state.keep(&late, Fence(4)));
    }
    assert_eq!(state, before);
}

#[test]
fn nothing_follows_the_end() {
    for end in [
        completed(3, Outcome::Partial),
        failed(3, FailureClass::Permanent),
    ] {
        let (_, kept) = fold(&[
            end.clone(),
            end,
            started(3),
            page(3, 0),
            completed(3, Outcome::Completed),
            failed(3, FailureClass::Transient),
        ]);
        assert_eq!(kept, [true, false, false, false, false, false]);
    }
}

#[test]
fn the_end_says_how_it_was() {
    let (state, _) = fold(&[completed(3, Outcome::Partial)]);
    assert_eq!(state.ended, Some(Outcome::Partial));
    let (state, _) = fold(&[failed(3, FailureClass::Malformed)]);
    assert_eq!(state.ended, Some(Outcome::Failed));
}

#[test]
fn a_worker_that_goes_on_after_a_crash_starts_again_under_the_same_fence() {
    let (_, kept) = fold(&[started(3), page(3, 0), started(3), page(3, 1)]);
    assert_eq!(kept, [true; 4]);
}
