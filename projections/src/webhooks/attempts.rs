//! Owner of the table `attempt`: which attempts of a delivery are kept, and which timer follows.

use std::collections::HashMap;

use wharf_domain::{
    kernel::{MessageId, Position, Timestamp, WebhookId},
    webhooks::{Attempt, DeliveryEvent},
};

use super::{AttemptRow, Outcome, log_id};
use crate::{
    Error,
    bulk::{Binds, Bulk},
    db::Conn,
    decode::{Decoded, Fact, Origin},
    rows::Rows,
    timers,
};

pub(super) static READ: Bulk = Bulk::new(
    "select a.owner, a.message, a.attempt, a.settled from (",
    2,
    ") k cross join attempt a where a.owner = k.column1 and a.message = k.column2",
);

static WRITE: Bulk = Bulk::new(
    "insert into attempt (owner, message, attempt, topic, status, succeeded, reason, started_at,
       duration_ms, next_attempt_at, settled, message_position, message_idx, position, idx) ",
    15,
    " on conflict (owner, message, attempt) do nothing",
);

pub(super) static SETTLE: Bulk = Bulk::new(
    "update attempt set settled = 1 from (",
    3,
    ") as k where attempt.owner = k.column1 and attempt.message = k.column2
       and attempt.attempt = k.column3",
);

pub(super) static DELETE: Bulk = Bulk::new("delete from attempt where owner in (", 1, ")");

/// What is known of one delivery.
#[derive(Default)]
struct Delivery {
    /// Attempts kept, in the order in which they came.
    attempts: Vec<u32>,
    settled: bool,
}

/// A webhook, by its id and by the number under which its rows lie.
#[derive(Clone, Copy)]
pub(super) struct Receiver {
    pub(super) id: WebhookId,
    pub(super) number: Position,
}

type Key = (Position, MessageId, u32);

/// Collects the attempts of a batch.
#[derive(Default)]
pub(super) struct Attempts {
    deliveries: Rows<(Position, MessageId), Delivery>,
    rows: HashMap<Key, AttemptRow>,
    /// Attempts of earlier batches that turn out to be the last.
    settled: Vec<Key>,
    erased: Vec<Position>,
}

/// What an event of the journal was.
pub(super) enum Kept {
    /// An attempt not known before.
    Attempt {
        succeeded: bool,
        started_at: Timestamp,
    },
    /// A copy, or no attempt at all.
    NoAttempt,
}

impl Attempts {
    pub(super) async fn load(
        &mut self,
        from: &mut Conn<'_>,
        batch: &[Decoded],
        number: impl Fn(WebhookId) -> Option<Position>,
    ) -> Result<(), Error> {
        let facts = batch.iter().flat_map(|commit| &commit.facts);
        let missing = self
            .deliveries
            .missing(facts.filter_map(|(_, fact)| match fact {
                // A webhook that this batch creates has no rows yet.
                Ok(Fact::Delivery(id, event)) => Some((number(*id)?, message_of(event))),
                Ok(
                    Fact::Integration(..)
                    | Fact::Credential(..)
                    | Fact::Webhook(..)
                    | Fact::SyncRun(..)
                    | Fact::Page(..)
                    | Fact::Message(_),
                )
                | Err(_) => None,
            }));
        READ.fetch(
            from,
            missing,
            |(number, message), to| {
                to.count(number.0);
                to.uuid(message.0);
            },
            |row| {
                let key = (Position(row.count("owner")?), row.uuid("message")?);
                let attempt = row.count("attempt")?;
                let settled = row.flag("settled")?;
                let delivery = self.deliveries.change_or_default(key);
                delivery.attempts.push(attempt);
                delivery.settled |= settled;
                Ok(())
            },
        )
        .await
    }

    pub(super) fn fold(
        &mut self,
        at: &Origin,
        index: u32,
        to: Receiver,
        event: DeliveryEvent,
        timers: &mut timers::Projector,
    ) -> Kept {
        match event {
            DeliveryEvent::AttemptSucceeded(done) => {
                let outcome = Outcome::Succeeded;
                let row = row(at, index, to.id, done.attempt, outcome);
                self.keep(
                    at,
                    to.number,
                    AttemptRow {
                        status: Some(done.status),
                        ..row
                    },
                    timers,
                )
            }
            DeliveryEvent::AttemptFailed(failed) => {
                let outcome = match failed.next_attempt_at {
                    Some(_) => Outcome::Failed,
                    None => Outcome::Exhausted,
                };
                let row = row(at, index, to.id, failed.attempt, outcome);
                self.keep(
                    at,
                    to.number,
                    AttemptRow {
                        status: failed.status,
                        reason: Some(failed.reason),
                        next_attempt_at: failed.next_attempt_at,
                        ..row
                    },
                    timers,
                )
            }
            DeliveryEvent::Exhausted(exhausted) => {
                let message = exhausted.message_id;
                let key = (to.number, message, exhausted.attempts);
                if let Some(row) = self.rows.get_mut(&key) {
                    if row.outcome == Outcome::Failed {
                        row.outcome = Outcome::Exhausted;
                    }
                } else {
                    self.settled.push(key);
                }
                if let Some(delivery) = self.deliveries.change(&(to.number, message)) {
                    delivery.settled = true;
                }
                timers.settle_retry(to.id, message);
                Kept::NoAttempt
            }
        }
    }

    fn keep(
        &mut self,
        at: &Origin,
        number: Position,
        row: AttemptRow,
        timers: &mut timers::Projector,
    ) -> Kept {
        let key = (number, row.message_id);
        let delivery = self.deliveries.change_or_default(key);
        if delivery.attempts.contains(&row.attempt) {
            return Kept::NoAttempt;
        }
        let latest = delivery.attempts.iter().all(|known| *known < row.attempt);
        let first = delivery.attempts.is_empty();
        delivery.attempts.push(row.attempt);
        delivery.settled |= row.outcome != Outcome::Failed;
        if delivery.settled {
            // No timer was ever set for a delivery that its first attempt settles.
            if !first {
                timers.settle_retry(row.webhook, row.message_id);
            }
        } else if latest {
            let subject = timers::Subject::WebhookRetry {
                webhook: row.webhook,
                message: row.message_id,
                message_position: row.message_position,
                message_index: row.message_index,
                attempt: row.attempt + 1,
            };
            timers.set(at, row.index, subject, row.next_attempt_at);
        }
        let kept = Kept::Attempt {
            succeeded: row.outcome == Outcome::Succeeded,
            started_at: row.started_at,
        };
        self.rows.insert((number, row.message_id, row.attempt), row);
        kept
    }

    /// The webhook is gone, and its attempts with it.
    pub(super) fn erase(&mut self, number: Position) {
        self.deliveries.forget(|(of, _)| *of == number);
        self.rows.retain(|(of, _, _), _| *of != number);
        self.erased.push(number);
    }

    pub(super) async fn write(&self, to: &mut Conn<'_>) -> Result<(), Error> {
        DELETE
            .execute(to, &self.erased, |number, to| to.count(number.0))
            .await?;
        WRITE
            .execute(to, &self.rows, |(key, row), to| {
                bind_key(key, to);
                to.text(&row.topic);
                to.opt_int(row.status.map(i64::from));
                to.flag(row.outcome == Outcome::Succeeded);
                to.opt_text(row.reason.as_deref());
                to.time(row.started_at);
                to.count(row.duration_ms);
                to.opt_time(row.next_attempt_at);
                to.flag(row.outcome != Outcome::Failed);
                to.count(row.message_position.0);
                to.int(i64::from(row.message_index));
                to.count(row.position.0);
                to.int(i64::from(row.index));
            })
            .await?;
        SETTLE.execute(to, &self.settled, bind_key).await?;
        Ok(())
    }

    pub(super) fn committed(&mut self) {
        self.deliveries.committed();
        self.rows.clear();
        self.settled.clear();
        self.erased.clear();
    }
}

fn row(
    at: &Origin,
    index: u32,
    webhook: WebhookId,
    attempt: Attempt,
    outcome: Outcome,
) -> AttemptRow {
    AttemptRow {
        log_id: log_id(at.position, index),
        webhook,
        message_id: attempt.message_id,
        topic: attempt.topic,
        attempt: attempt.attempt,
        status: None,
        outcome,
        reason: None,
        started_at: attempt.started_at,
        duration_ms: attempt.duration_ms,
        next_attempt_at: None,
        message_position: attempt.message_position,
        message_index: attempt.message_index,
        position: at.position,
        index,
    }
}

fn bind_key((number, message, attempt): &Key, to: &mut Binds) {
    to.count(number.0);
    to.uuid(message.0);
    to.int(i64::from(*attempt));
}

fn message_of(event: &DeliveryEvent) -> MessageId {
    match event {
        DeliveryEvent::AttemptSucceeded(done) => done.attempt.message_id,
        DeliveryEvent::AttemptFailed(failed) => failed.attempt.message_id,
        DeliveryEvent::Exhausted(exhausted) => exhausted.message_id,
    }
}
