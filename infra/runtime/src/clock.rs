//! The real clock and the real dice.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;
use wharf_domain::{
    kernel::Timestamp,
    ports::{Clock, Ids},
};

/// A sleeper looks at the clock at least so often.
const LOOK: Duration = Duration::from_mins(1);

/// The machine's clock, in whole microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that all others ask"
    )]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    async fn sleep_until(&self, deadline: Timestamp) {
        sleep(|| self.now(), deadline).await;
    }
}

/// Sleeps until a clock that may jump shows `deadline`. If it is set forward, that is noticed within a minute;
/// if it is set back, the sleep ends after as long as it would have taken: whoever rests for a second must not
/// rest for hours.
pub async fn sleep(now: impl Fn() -> Timestamp + Send, deadline: Timestamp) {
    // Negative, and so none, once the deadline has passed.
    let left = || Duration::try_from(deadline.duration_since(now())).unwrap_or_default();
    let (longest, began) = (left(), Instant::now());
    loop {
        let left = left().min(longest.saturating_sub(began.elapsed()));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(LOOK)).await;
    }
}

/// The operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    #[expect(
        clippy::expect_used,
        reason = "without randomness no secret may be made: stop at once"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}
