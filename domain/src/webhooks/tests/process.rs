//! What follows an attempt: the schedule, the receiver's wishes, the end.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::super::{
    Attempt, DeliveryEvent, Exhausted, RetryConfig,
    process::{DEFAULT_SCHEDULE, Outcome, after_attempt},
};
use crate::kernel::{MessageId, Position, derive};

/// A roll of the die that neither shortens nor lengthens.
const EVEN: f64 = 0.5;

fn started() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// Began at noon, took a second and a half.
fn attempt(number: u32) -> Attempt {
    Attempt {
        message_id: MessageId(derive(&[b"message"])),
        message_position: Position(7),
        message_index: 0,
        topic: "task.created".into(),
        attempt: number,
        started_at: started(),
        duration_ms: 1500,
    }
}

fn answered(status: u16) -> Outcome {
    Outcome::Answered {
        status,
        retry_after: None,
    }
}

fn asked_to_wait(retry_after: Duration) -> Outcome {
    Outcome::Answered {
        status: 503,
        retry_after: Some(retry_after),
    }
}

/// From the end of a failed attempt to the next; `None` if there is none.
#[track_caller]
fn wait(
    number: u32,
    outcome: Outcome,
    retry: Option<RetryConfig>,
    jitter: f64,
) -> Option<Duration> {
    let events = after_attempt(attempt(number), outcome, retry, jitter);
    let Some(DeliveryEvent::AttemptFailed(failed)) = events.first() else {
        panic!("not failed: {events:?}");
    };
    let ended = started() + SignedDuration::from_millis(1500);
    let exhausted = DeliveryEvent::Exhausted(Exhausted {
        message_id: failed.attempt.message_id,
        attempts: number,
    });
    assert_eq!(failed.attempt, attempt(number));
    // Either there is a next time, or the delivery says that it is over; never both, never neither.
    assert_eq!(failed.next_attempt_at.is_none(), events.len() == 2);
    assert_eq!(
        failed.next_attempt_at.is_none(),
        events.contains(&exhausted)
    );
    failed
        .next_attempt_at
        .map(|at| Duration::try_from(at.duration_since(ended)).unwrap())
}

#[test]
fn any_2xx_is_success() {
    for status in [200, 202, 204, 299] {
        let events = after_attempt(attempt(1), answered(status), None, EVEN);
        let [DeliveryEvent::AttemptSucceeded(succeeded)] = events.as_slice() else {
            panic!("not succeeded: {events:?}");
        };
        assert_eq!(succeeded.status, status);
        assert_eq!(succeeded.attempt, attempt(1));
    }
}

#[test]
fn everything_else_is_tried_again() {
    for status in [100, 199, 300, 301, 400, 401, 404, 409, 411, 429, 500, 503] {
        assert_eq!(
            wait(1, answered(status), None, EVEN),
            Some(Duration::from_secs(5)),
            "{status}"
        );
    }
    let silent = Outcome::Unanswered {
        reason: "no answer within the time limit".into(),
        permanent: false,
    };
    assert_eq!(wait(1, silent, None, EVEN), Some(Duration::from_secs(5)));
}

#[test]
fn a_failure_says_what_went_wrong() {
    let failed = |outcome| match after_attempt(attempt(1), outcome, None, EVEN).remove(0) {
        DeliveryEvent::AttemptFailed(failed) => (failed.status, failed.reason),
        other @ (DeliveryEvent::AttemptSucceeded(_) | DeliveryEvent::Exhausted(_)) => {
            panic!("not failed: {other:?}")
        }
    };
    assert_eq!(
        failed(answered(500)),
        (Some(500), "the receiver answered 500".into())
    );
    let silent = Outcome::Unanswered {
        reason: "could not connect".into(),
        permanent: false,
    };
    assert_eq!(failed(silent), (None, "could not connect".into()));
}

#[test]
fn the_default_schedule_is_ten_attempts_over_75_hours_and_a_half() {
    let mut total = Duration::ZERO;
    for (number, seconds) in (1..).zip(DEFAULT_SCHEDULE) {
        let wait = wait(number, answered(500), None, EVEN).unwrap();
        assert_eq!(wait, Duration::from_secs(seconds));
        total += wait;
    }
    assert_eq!(
        total,
        Duration::from_hours(75) + Duration::from_mins(35) + Duration::from_secs(5)
    );
    assert_eq!(wait(10, answered(500), None, EVEN), None);
}

#[test]
fn jitter_spreads_over_a_fifth_either_way_and_no_further() {
    for (jitter, millis) in [
        (0.0, 240_000),
        (EVEN, 300_000),
        (1.0, 360_000),
        (-3.0, 240_000),
        (7.0, 360_000),
    ] {
        let wait = wait(2, answered(500), None, jitter).unwrap();
        assert!(
            wait.abs_diff(Duration::from_millis(millis)) < Duration::from_millis(1),
            "{jitter}: {wait:?}"
        );
    }
}

#[test]
fn a_receiver_may_ask_for_more_time_but_not_for_less() {
    let minute = Duration::from_mins(1);
    assert_eq!(wait(1, asked_to_wait(minute), None, EVEN), Some(minute));
    assert_eq!(
        wait(2, asked_to_wait(minute), None, EVEN),
        Some(Duration::from_mins(5))
    );
}

#[test]
fn a_receiver_is_followed_for_a_day_at_most() {
    assert_eq!(
        wait(1, asked_to_wait(Duration::from_hours(25)), None, EVEN),
        Some(Duration::from_hours(24))
    );
    assert_eq!(
        wait(1, asked_to_wait(Duration::MAX), None, EVEN),
        Some(Duration::from_hours(24))
    );
}

#[test]
fn a_wish_for_time_adds_no_attempt() {
    assert_eq!(
        wait(10, asked_to_wait(Duration::from_secs(9)), None, EVEN),
        None
    );
}

#[test]
fn gone_and_forbidden_are_never_tried_again() {
    assert_eq!(wait(1, answered(410), None, EVEN), None);
    let blocked = Outcome::Unanswered {
        reason: "address not allowed".into(),
        permanent: true,
    };
    assert_eq!(wait(1, blocked, None, EVEN), None);
    let gone = Outcome::Answered {
        status: 410,
        retry_after: Some(Duration::from_secs(9)),
    };
    assert_eq!(wait(1, gone, None, EVEN), None);
}

#[test]
fn a_schedule_of_its_own_replaces_the_default_one() {
    let retry = Some(RetryConfig {
        max_retries: 3,
        retry_delay: 7,
    });
    for number in 1..=3 {
        assert_eq!(
            wait(number, answered(500), retry, EVEN),
            Some(Duration::from_secs(7))
        );
    }
    assert_eq!(wait(4, answered(500), retry, EVEN), None);
    let none = Some(RetryConfig {
        max_retries: 0,
        retry_delay: 7,
    });
    assert_eq!(wait(1, answered(500), none, EVEN), None);
}

#[test]
fn an_attempt_longer_than_time_itself_does_not_overflow() {
    let endless = Attempt {
        duration_ms: u64::MAX,
        ..attempt(1)
    };
    let events = after_attempt(endless, answered(500), None, EVEN);
    assert!(matches!(
        events.first(),
        Some(DeliveryEvent::AttemptFailed(_))
    ));
}
