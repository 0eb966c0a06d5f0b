//! Process manager of deliveries: what follows an attempt. Pure; the worker sends, reports, and
//! appends what this says.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::event::{
    Attempt, AttemptFailed, AttemptSucceeded, DeliveryEvent, Exhausted, RetryConfig,
};

/// Seconds to wait after attempt 1, 2, …: ten attempts over 75 h 35 min, as Standard Webhooks 1.0.0
/// recommends.
pub const DEFAULT_SCHEDULE: [u64; 9] = [
    5,
    5 * 60,
    30 * 60,
    2 * 3600,
    5 * 3600,
    10 * 3600,
    14 * 3600,
    20 * 3600,
    24 * 3600,
];
/// Most that a receiver's `Retry-After` is followed.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer.
    Answered {
        /// Its status.
        status: u16,
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// None.
    Unanswered {
        /// For people.
        reason: String,
        /// Trying again cannot help: the guard forbids the address.
        permanent: bool,
    },
}

/// The facts that follow from an attempt. `jitter` is a die's roll in 0..=1: retries of a burst spread
/// over ±20 %.
#[must_use]
pub fn after_attempt(
    attempt: Attempt,
    outcome: Outcome,
    retry: Option<RetryConfig>,
    jitter: f64,
) -> Vec<DeliveryEvent> {
    let (status, reason, permanent, retry_after) = match outcome {
        Outcome::Answered { status, .. } if (200..300).contains(&status) => {
            return vec![DeliveryEvent::AttemptSucceeded(AttemptSucceeded {
                attempt,
                status,
            })];
        }
        Outcome::Answered {
            status,
            retry_after,
        } => {
            let gone = status == 410;
            (
                Some(status),
                format!("the receiver answered {status}"),
                gone,
                retry_after,
            )
        }
        Outcome::Unanswered { reason, permanent } => (None, reason, permanent, None),
    };
    let message_id = attempt.message_id;
    let attempts = attempt.attempt;
    let ended = millis(attempt.started_at, attempt.duration_ms);
    let next_attempt_at = if permanent {
        None
    } else {
        delay(attempts, retry, retry_after, jitter).and_then(|delay| {
            ended
                .checked_add(SignedDuration::try_from(delay).ok()?)
                .ok()
        })
    };
    let mut events = vec![DeliveryEvent::AttemptFailed(AttemptFailed {
        attempt,
        status,
        reason,
        next_attempt_at,
    })];
    if next_attempt_at.is_none() {
        events.push(DeliveryEvent::Exhausted(Exhausted {
            message_id,
            attempts,
        }));
    }
    events
}

fn millis(at: Timestamp, later_ms: u64) -> Timestamp {
    i64::try_from(later_ms)
        .ok()
        .and_then(|ms| at.checked_add(SignedDuration::from_millis(ms)).ok())
        .unwrap_or(at)
}

fn delay(
    attempts: u32,
    retry: Option<RetryConfig>,
    retry_after: Option<Duration>,
    jitter: f64,
) -> Option<Duration> {
    let base = match retry {
        Some(config) => (attempts <= config.max_retries)
            .then(|| Duration::from_secs(u64::from(config.retry_delay))),
        None => DEFAULT_SCHEDULE
            .get(usize::try_from(attempts.checked_sub(1)?).ok()?)
            .map(|seconds| Duration::from_secs(*seconds)),
    }?;
    let spread = base.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
    Some(retry_after.map_or(spread, |asked| spread.max(asked.min(MAX_RETRY_AFTER))))
}
