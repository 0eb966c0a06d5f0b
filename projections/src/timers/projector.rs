//! Owner of the table `timer`. The projectors of integrations and webhooks say what sets and what
//! settles a timer; here is only the latest word on each.

use std::collections::HashMap;

use uuid::Uuid;
use wharf_domain::{
    integrations::IntegrationEvent,
    kernel::{IntegrationId, MessageId, Timestamp, WebhookId},
};

use super::{
    Subject, Timer,
    query::{SYNC_DUE, WEBHOOK_RETRY},
};
use crate::{Error, bulk::Bulk, db::Conn, decode::Origin};

static WRITE: Bulk = Bulk::new(
    "insert into timer (kind, subject, item, due, project, message_position, message_idx, attempt,
       position, idx) ",
    10,
    " on conflict (kind, subject, item) do update set
       due = excluded.due, project = excluded.project,
       message_position = excluded.message_position, message_idx = excluded.message_idx,
       attempt = excluded.attempt, position = excluded.position, idx = excluded.idx",
);

pub(super) static SETTLE_RETRY: Bulk = Bulk::new(
    "delete from timer where kind = 'webhook_retry'
       and (subject, item) in (select column1, column2 from (",
    2,
    ") as keys)",
);

pub(super) static SETTLE_SYNC: Bulk = Bulk::new(
    "delete from timer where kind = 'sync_due' and subject in (",
    1,
    ")",
);

pub(super) static ERASE_RETRIES: Bulk = Bulk::new(
    "delete from timer where kind = 'webhook_retry' and subject in (",
    1,
    ")",
);

type Key = (&'static str, Uuid, Uuid);

/// Collects what a batch says of timers.
#[derive(Default)]
pub(crate) struct Projector {
    timers: HashMap<Key, Option<Timer>>,
    erased: Vec<WebhookId>,
}

impl Projector {
    /// Sets and settles the timer of scheduled runs.
    pub(crate) fn fold(
        &mut self,
        at: &Origin,
        index: u32,
        integration: IntegrationId,
        event: &IntegrationEvent,
    ) {
        match event {
            IntegrationEvent::SyncScheduled(scheduled) => {
                let subject = Subject::SyncDue { integration };
                self.set(at, index, subject, scheduled.next_run_at);
            }
            IntegrationEvent::Deleted(_) => {
                self.timers
                    .insert((SYNC_DUE, integration.0, Uuid::nil()), None);
            }
            IntegrationEvent::Created(_)
            | IntegrationEvent::Updated(_)
            | IntegrationEvent::StatusChanged(_)
            | IntegrationEvent::SyncRequested(_)
            | IntegrationEvent::SyncSettled(_) => {}
        }
    }

    /// Sets the timer of `subject`, or takes it back.
    pub(crate) fn set(
        &mut self,
        at: &Origin,
        index: u32,
        subject: Subject,
        due: Option<Timestamp>,
    ) {
        let timer = due.map(|due| Timer {
            due,
            project: at.project.clone(),
            subject,
            set_by: (at.position, index),
        });
        self.timers.insert(key(subject), timer);
    }

    /// No further attempt of this delivery is due.
    pub(crate) fn settle_retry(&mut self, webhook: WebhookId, message: MessageId) {
        self.timers
            .insert((WEBHOOK_RETRY, webhook.0, message.0), None);
    }

    /// The webhook is gone, and all its retries with it.
    pub(crate) fn erase_retries(&mut self, webhook: WebhookId) {
        self.timers
            .retain(|(kind, subject, _), _| *kind != WEBHOOK_RETRY || *subject != webhook.0);
        self.erased.push(webhook);
    }

    pub(crate) async fn write(&self, to: &mut Conn<'_>) -> Result<(), Error> {
        ERASE_RETRIES
            .execute(to, &self.erased, |webhook, to| to.uuid(webhook.0))
            .await?;
        let (retries, syncs): (Vec<&Key>, Vec<&Key>) = self
            .timers
            .iter()
            .filter_map(|(key, timer)| timer.is_none().then_some(key))
            .partition(|(kind, _, _)| *kind == WEBHOOK_RETRY);
        SETTLE_RETRY
            .execute(to, retries, |(_, webhook, message), to| {
                to.uuid(*webhook);
                to.uuid(*message);
            })
            .await?;
        SETTLE_SYNC
            .execute(to, syncs, |(_, integration, _), to| to.uuid(*integration))
            .await?;
        let set: Vec<_> = self
            .timers
            .iter()
            .filter_map(|(key, timer)| Some((key, timer.as_ref()?)))
            .collect();
        WRITE
            .execute(to, set, |((kind, subject, item), timer), to| {
                to.text(kind);
                to.uuid(*subject);
                to.uuid(*item);
                to.time(timer.due);
                to.text(timer.project.as_str());
                let (position, index, attempt) = match timer.subject {
                    Subject::WebhookRetry {
                        message_position,
                        message_index,
                        attempt,
                        ..
                    } => (message_position.0, message_index, attempt),
                    Subject::SyncDue { .. } => (0, 0, 0),
                };
                to.count(position);
                to.int(i64::from(index));
                to.int(i64::from(attempt));
                to.count(timer.set_by.0.0);
                to.int(i64::from(timer.set_by.1));
            })
            .await?;
        Ok(())
    }

    pub(crate) fn committed(&mut self) {
        self.timers.clear();
        self.erased.clear();
    }
}

fn key(subject: Subject) -> Key {
    match subject {
        Subject::WebhookRetry {
            webhook, message, ..
        } => (WEBHOOK_RETRY, webhook.0, message.0),
        Subject::SyncDue { integration } => (SYNC_DUE, integration.0, Uuid::nil()),
    }
}
