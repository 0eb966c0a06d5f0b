//! Appending to journals: no expectation, and the same commit id until the log says yes or no.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;
use wharf_domain::{
    kernel::{
        Commit, CommitId, EventSet, Expected, InvalidCommit, Metadata, NewCommit, Position,
        StreamId, Timestamp,
    },
    ports::{Append, Clock, Committed, Context, EventLog, Refusal},
};

use crate::trace;

/// How often an append in doubt is asked for again before the caller hears of it.
pub(crate) const MAX_TRIES: u32 = 3;

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// An event has no JSON form.
    #[error("an event cannot be written as JSON")]
    Encode(#[from] serde_json::Error),
    /// See [`InvalidCommit`].
    #[error(transparent)]
    Invalid(#[from] InvalidCommit),
    /// See [`Refusal`].
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log did not answer in time.
    #[error("the log did not answer in time")]
    InDoubt,
}

/// Writes journals.
#[derive(Clone)]
pub(crate) struct Journal {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Journal {
    /// Appends `events` to `stream` under `id`: the same id is the same commit.
    pub(crate) async fn append<E: EventSet>(
        &self,
        stream: &StreamId,
        id: Uuid,
        events: &[E],
        context: &Context,
    ) -> Result<Committed, JournalError> {
        let commit = NewCommit {
            id: CommitId(id),
            stream: stream.clone(),
            expected: Expected::Any,
            events: events
                .iter()
                .map(EventSet::encode)
                .collect::<Result<_, _>>()?,
            meta: metadata(context, &*self.clock),
        }
        .encode()?;
        match append(&*self.log, &context.correlation, commit).await {
            Append::Committed(committed) => Ok(committed),
            Append::Refused(refusal) => Err(refusal.into()),
            // A journal has no expectation to conflict with.
            Append::Conflict { .. } | Append::InDoubt { .. } => Err(JournalError::InDoubt),
        }
    }
}

/// Appends, asking again while the answer is in doubt.
pub(crate) async fn append(log: &dyn EventLog, correlation: &str, commit: Commit) -> Append {
    trace::append(commit.stream.category, correlation, async {
        let mut answer = log.append(commit.clone()).await;
        for _ in 1..MAX_TRIES {
            if !matches!(answer, Append::InDoubt { .. }) {
                break;
            }
            answer = log.append(commit.clone()).await;
        }
        answer
    })
    .await
}

pub(crate) fn metadata(context: &Context, clock: &dyn Clock) -> Metadata {
    Metadata {
        time: clock.now(),
        actor: context.actor.clone(),
        correlation: context.correlation.clone(),
        causation: context.causation.clone(),
        idempotency_key: context.idempotency_key.clone(),
    }
}

/// How long a loop rests after a failure of the log, the views or the vault.
pub(crate) const REST: Duration = Duration::from_secs(1);

/// Sleeps by the clock.
pub(crate) async fn rest(clock: &dyn Clock, pause: Duration) {
    clock.sleep_until(after(clock.now(), pause)).await;
}

/// `pause` after `instant`; the end of time if that is later.
pub(crate) fn after(instant: Timestamp, pause: Duration) -> Timestamp {
    instant.saturating_add(pause).unwrap_or(Timestamp::MAX)
}

/// One commit, by its position.
pub(crate) async fn commit_at(
    log: &dyn EventLog,
    position: Position,
) -> Result<Option<wharf_domain::kernel::StoredCommit>, wharf_domain::ports::LogError> {
    let Some(before) = position.0.checked_sub(1) else {
        return Ok(None);
    };
    let commits = log.read_all(Position(before), 1).await?;
    Ok(commits
        .into_iter()
        .next()
        .filter(|commit| commit.position == position))
}
