//! Given a log that answers as told, and a clock that counts rests.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use wharf_domain::kernel::{Position, StoredCommit, Timestamp};

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

/// A consumer of which only the end is of interest.
enum Flushes {
    As(fn() -> Result<(), LogError>),
    Never,
}

#[async_trait]
impl Consumer for Flushes {
    async fn fetch(&self, _: usize) -> Result<Vec<StoredCommit>, LogError> {
        std::future::pending().await
    }

    async fn ack(&self, _: &[Position]) -> Result<(), LogError> {
        Ok(())
    }

    async fn nak(&self, _: Position, _: Duration) -> Result<(), LogError> {
        Ok(())
    }

    fn floor(&self) -> Position {
        Position::START
    }

    fn comes_again(&self, _: Position) -> bool {
        false
    }

    async fn backlog(&self) -> Result<u64, LogError> {
        Ok(0)
    }

    async fn flush(&self) -> Result<(), LogError> {
        match self {
            Self::As(answer) => answer(),
            Self::Never => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn a_log_that_is_away_keeps_nobody_from_stopping() {
    let away = Flushes::As(|| Err(unreachable()));
    for consumer in [away, Flushes::Never, Flushes::As(|| Ok(()))] {
        let ended = farewell(&Rests::default(), &consumer).await;
        assert!(ended.is_ok(), "{ended:?}");
    }
}

#[tokio::test]
async fn a_checkpoint_that_is_lost_is_said_at_the_stop_too() {
    let lost = Flushes::As(|| Err(LogError::CheckpointLost("sync".to_owned())));
    let ended = farewell(&Rests::default(), &lost).await;
    assert!(
        matches!(ended, Err(LogError::CheckpointLost(_))),
        "{ended:?}"
    );
}
