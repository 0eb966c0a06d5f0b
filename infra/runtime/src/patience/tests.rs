//! Given a log that answers as told, and a clock that counts rests.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use wharf_domain::kernel::Timestamp;

use super::*;

/// A clock that counts rests and takes no time.
#[derive(Default)]
struct Rests(AtomicU32);

#[async_trait]
impl Clock for Rests {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep_until(&self, _deadline: Timestamp) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn unreachable() -> LogError {
    LogError::Unavailable("no server answers".into())
}

#[tokio::test]
async fn a_log_that_comes_back_is_waited_for_with_a_rest_each_time() {
    let clock = Rests::default();
    let mut asked = 0;
    let answer = patient(&clock, || {
        asked += 1;
        let answer = if asked < 4 {
            Err(unreachable())
        } else {
            Ok(asked)
        };
        async move { answer }
    })
    .await;
    assert!(matches!(answer, Ok(4)), "{answer:?}");
    assert_eq!(clock.0.into_inner(), 3);
}

#[tokio::test]
async fn what_somebody_has_to_act_on_is_said_at_once() {
    let clock = Rests::default();
    let lost = || async { Err::<(), _>(LogError::CheckpointLost("sync".to_owned())) };
    let answer = patient(&clock, lost).await;
    assert!(
        matches!(answer, Err(LogError::CheckpointLost(_))),
        "{answer:?}"
    );
    assert_eq!(clock.0.into_inner(), 0);
}
