//! Which ids the servers may have forgotten.

use std::time::Duration;

use wharf_domain::kernel::{CommitId, Timestamp, derive};

use super::may_be_old;

const WINDOW: Duration = Duration::from_mins(5);

/// An id that was made `age` seconds before `now`.
fn made(now: Timestamp, age: i64) -> CommitId {
    let millis = (now.as_second() - age).unsigned_abs() * 1000;
    CommitId(uuid::Builder::from_unix_timestamp_millis(millis, &[7; 10]).into_uuid())
}

#[test]
fn an_id_of_just_now_was_not_used_long_ago() {
    let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    for age in [0, 60, 150, -60] {
        assert!(!may_be_old(made(now, age), now, WINDOW), "{age}");
    }
    for age in [151, 3600, -3600] {
        assert!(may_be_old(made(now, age), now, WINDOW), "{age}");
    }
}

#[test]
fn an_id_that_does_not_tell_its_age_may_be_old() {
    let now = Timestamp::UNIX_EPOCH;
    assert!(may_be_old(CommitId(derive(&[b"key"])), now, WINDOW));
}
