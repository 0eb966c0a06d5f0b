//! The port: hands commits out, takes acknowledgements, waits.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use wharf_domain::{
    kernel::{Position, StoredCommit, Timestamp},
    ports::{Clock, Consumer, LogError},
};

use super::{
    Shared, provision,
    state::{Ended, Plan},
};
use crate::jetstream::{
    api::{Api, damaged, unavailable},
    mirror::Mirror,
};

/// How long a fetch that has something waits for what the server sends right after it.
const FRESH_GRACE: Duration = Duration::from_millis(50);
/// How long one that has only what was given back waits for the server to say whether there is more.
const AGAIN_GRACE: Duration = Duration::from_millis(250);

/// See the module. Dropping it gives back what it holds.
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
    /// Which opening this is.
    pub(super) opener: u64,
    /// Where the stream ended then: a commit at or below may have been handed out before.
    pub(super) opened_at: Position,
    pub(super) api: Api,
    pub(super) mirror: Arc<Mirror>,
    pub(super) clock: Arc<dyn Clock>,
    /// The longest that [`Consumer::flush`] takes.
    pub(super) patience: Duration,
}

impl Handle {
    fn plan(&self, max: usize, since: u64, enough: bool) -> Result<Plan, LogError> {
        let mut state = self.shared.state();
        match state.ended(self.opener) {
            None => Ok(state.plan(self.clock.now(), max, since, enough)),
            Some(Ended::Superseded) => Err(unavailable(format!(
                "consumer {} was opened again by somebody else, or its log is closed",
                self.shared.name
            ))),
            Some(Ended::Lost) => Err(LogError::CheckpointLost(self.shared.name.to_owned())),
        }
    }

    async fn hand_out(&self, positions: Vec<Position>) -> Result<Vec<StoredCommit>, LogError> {
        let last = positions.last().copied().unwrap_or_default();
        let (first, wanted) = (positions.first().copied(), positions.len());
        self.mirror.wait(last).await?;
        let commits = self.mirror.pick(positions).await?;
        if commits.len() < wanted {
            let first = first.unwrap_or_default();
            return Err(damaged(
                first,
                "it is not in the mirror, nor are those after it",
            ));
        }
        // No await from here on: either the caller gets what is marked as handed out, or nothing is.
        Ok(self.shared.state().hand_out(commits))
    }

    async fn wake_at(&self, due: Option<Timestamp>) {
        match due {
            Some(due) => self.clock.sleep_until(due).await,
            None => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Consumer for Handle {
    async fn fetch(&self, max: usize) -> Result<Vec<StoredCommit>, LogError> {
        let since = self.shared.state().answers();
        let mut enough = false;
        loop {
            // Armed before the look, so that nothing that happens after the look is missed.
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            let plan = self.plan(max, since, enough)?;
            self.shared.work.notify_one();
            match plan {
                Plan::HandOut(positions) => {
                    let given = self.hand_out(positions).await?;
                    if !given.is_empty() {
                        return Ok(given);
                    }
                }
                Plan::Soon { fresh } => {
                    let grace = if fresh { FRESH_GRACE } else { AGAIN_GRACE };
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep(grace) => enough = true,
                    }
                }
                Plan::Wait(due) => {
                    tokio::select! {
                        () = changed => {}
                        () = self.wake_at(due) => {}
                    }
                }
            }
        }
    }

    async fn ack(&self, positions: &[Position]) -> Result<(), LogError> {
        self.shared.state().ack(positions);
        self.shared.work.notify_one();
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn nak(&self, position: Position, delay: Duration) -> Result<(), LogError> {
        let due = self.clock.now().saturating_add(delay);
        let due = due.unwrap_or(Timestamp::MAX);
        if self.shared.state().give_back(position, due) {
            self.shared.changed.notify_waiters();
        }
        Ok(())
    }

    fn floor(&self) -> Position {
        self.shared.state().floor()
    }

    fn comes_again(&self, position: Position) -> bool {
        position <= self.opened_at || self.shared.state().came_again(position)
    }

    async fn backlog(&self) -> Result<u64, LogError> {
        let info = provision::info(&self.api, self.shared.name).await?;
        let info = info.map_err(unavailable)?;
        Ok(info.num_pending + info.num_ack_pending as u64)
    }

    async fn flush(&self) -> Result<(), LogError> {
        let confirmed = async {
            loop {
                let mut changed = std::pin::pin!(self.shared.changed.notified());
                changed.as_mut().enable();
                let (confirmed, dropped) = {
                    let state = self.shared.state();
                    (state.is_confirmed(), state.is_dropped())
                };
                match (confirmed, dropped) {
                    (true, _) => return Ok(()),
                    (false, true) => return Err(unavailable("the event log is closed")),
                    (false, false) => changed.await,
                }
            }
        };
        let flushed = tokio::time::timeout(self.patience, confirmed).await;
        flushed.map_err(|_| unavailable("the server does not confirm acknowledgements"))?
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if state.ended(self.opener).is_none() {
            state.set_dropped();
            drop(state);
            self.shared.work.notify_one();
        }
    }
}
