//! The port: hands commits out, takes acknowledgements, waits.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::watch;
use wharf_domain::{
    kernel::{Position, StoredCommit, Timestamp},
    ports::{Clock, Consumer, ConsumerSpec, LogError},
};

use super::{
    registry::{Registry, Shared},
    tracker::Checkpoint,
};
use crate::{category::Filter, locks::lock};

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Commits that match, in order.
    pub(crate) commits: Vec<StoredCommit>,
    /// Everything at or below was looked at.
    pub(crate) upto: Position,
}

/// What a log provides to its consumers.
#[async_trait]
pub(crate) trait Source: Send + Sync + 'static {
    /// Looks at commits after `after` and not after `tail`, stops after `limit` that match or when it
    /// has worked enough; always gets ahead.
    async fn scan(
        &self,
        after: Position,
        tail: Position,
        filter: Filter,
        limit: usize,
    ) -> Result<Scan, LogError>;

    /// The commits at `positions`.
    async fn pick(&self, positions: Vec<Position>) -> Result<Vec<StoredCommit>, LogError>;

    /// Saves soon what is due. Never waits.
    fn save_soon(&self);

    /// Saves what is unsaved; answers when it is durable.
    async fn save_now(&self) -> Result<(), LogError>;
}

/// A durable consumer of a log that is a [`Source`].
pub(crate) struct LogConsumer<S> {
    source: Arc<S>,
    shared: Arc<Shared>,
    filter: Filter,
    tail: watch::Receiver<Position>,
    /// Where the log ended when it was opened: what lies beyond is handed out for the first time.
    opened_at: Position,
    clock: Arc<dyn Clock>,
}

impl<S: Source> LogConsumer<S> {
    /// Opens `spec` in `registry`, to go on from `stored` unless this process knows better.
    pub(crate) fn open(
        spec: &ConsumerSpec,
        stored: Checkpoint,
        registry: &Registry,
        source: Arc<S>,
        tail: watch::Receiver<Position>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let shared = registry.open(spec, stored, clock.now());
        let opened_at = *tail.borrow();
        Self {
            source,
            shared,
            filter: Filter::of(spec.categories),
            tail,
            opened_at,
            clock,
        }
    }

    /// Reads what `plan` allows, if it allows anything, and hands it out.
    async fn try_fetch(&self, max: usize, tail: Position) -> Result<Fetched, LogError> {
        let now = self.clock.now();
        let plan = {
            let tracker = lock(&self.shared.tracker);
            if tracker.is_superseded() {
                return Err(superseded(self.shared.name));
            }
            tracker.plan(now, max)
        };
        let more = plan.room > 0 && plan.after < tail;
        if plan.again.is_empty() && !more {
            return Ok(Fetched::Wait(lock(&self.shared.tracker).wake_at()));
        }
        let again = match plan.again.as_slice() {
            [] => Vec::new(),
            positions => self.source.pick(positions.to_vec()).await?,
        };
        let new = if more {
            self.source
                .scan(plan.after, tail, self.filter, plan.room)
                .await?
        } else {
            Scan {
                commits: Vec::new(),
                upto: plan.after,
            }
        };
        // No await from here on: either the caller gets what is marked as handed out, or nothing is.
        let mut tracker = lock(&self.shared.tracker);
        Ok(Fetched::Commits(tracker.hand_out(
            &plan,
            again,
            new.commits,
            new.upto,
            now,
        )))
    }

    fn save_if_due(&self) {
        if lock(&self.shared.tracker).save_becomes_due(self.clock.now()) {
            self.source.save_soon();
        }
    }
}

enum Fetched {
    Commits(Vec<StoredCommit>),
    /// Nothing until something happens or it is this late.
    Wait(Option<Timestamp>),
}

#[async_trait]
impl<S: Source> Consumer for LogConsumer<S> {
    async fn fetch(&self, max: usize) -> Result<Vec<StoredCommit>, LogError> {
        let mut tail = self.tail.clone();
        loop {
            // Armed before the look, so that nothing that happens after the look is missed.
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            let seen = *tail.borrow_and_update();
            self.save_if_due();
            let wake_at = match self.try_fetch(max, seen).await? {
                Fetched::Commits(commits) if commits.is_empty() => continue,
                Fetched::Commits(commits) => return Ok(commits),
                Fetched::Wait(wake_at) => wake_at,
            };
            let timer = async {
                match wake_at {
                    Some(deadline) => self.clock.sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                open = tail.changed() => open.map_err(|_| closed())?,
                () = timer => {}
            }
        }
    }

    async fn ack(&self, positions: &[Position]) -> Result<(), LogError> {
        lock(&self.shared.tracker).ack(positions, self.clock.now());
        self.shared.changed.notify_waiters();
        self.save_if_due();
        Ok(())
    }

    async fn nak(&self, position: Position, delay: Duration) -> Result<(), LogError> {
        let due = self
            .clock
            .now()
            .saturating_add(delay)
            .unwrap_or(Timestamp::MAX);
        if lock(&self.shared.tracker).give_back(position, due) {
            self.shared.changed.notify_waiters();
        }
        Ok(())
    }

    fn floor(&self) -> Position {
        lock(&self.shared.tracker).floor()
    }

    fn comes_again(&self, position: Position) -> bool {
        position <= self.opened_at
    }

    async fn backlog(&self) -> Result<u64, LogError> {
        let tail = *self.tail.borrow();
        Ok(lock(&self.shared.tracker).backlog(tail))
    }

    async fn flush(&self) -> Result<(), LogError> {
        self.source.save_now().await
    }
}

/// Nobody will append any more.
pub(crate) fn closed() -> LogError {
    LogError::Unavailable("the event log is closed".into())
}

fn superseded(name: &str) -> LogError {
    LogError::Unavailable(format!("consumer {name} was opened again by somebody else").into())
}
