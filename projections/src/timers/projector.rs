//! Owner of the table `timer`. The projectors of integrations and webhooks say what sets and what
//! settles a timer; here is only the latest word on each.

use std::collections::HashMap;

use sqlx::SqliteConnection;
use uuid::Uuid;
use wharf_domain::{
    integrations::IntegrationEvent,
    kernel::{IntegrationId, MessageId, Timestamp, WebhookId},
};

use super::{
    Subject, Timer,
    query::{SYNC_DUE, WEBHOOK_RETRY},
};
use crate::{
    Error,
    bulk::{Binds, Bulk},
    decode::Origin,
};

static WRITE: Bulk = Bulk::new(
    "insert into timer (kind, subject, item, due, project, message_position, message_idx, attempt,
       position, idx) values ",
    10,
    " on conflict (kind, subject, item) do update set
       due = excluded.due, project = excluded.project,
       message_position = excluded.message_position, message_idx = excluded.message_idx,
       attempt = excluded.attempt, position = excluded.position, idx = excluded.idx",
);

static DELETE: Bulk = Bulk::new(
    "delete from timer where (kind, subject, item) in (values ",
    3,
    ")",
);

static DELETE_SUBJECT: Bulk = Bulk::new(
    "delete from timer where (kind, subject) in (values ",
    2,
    ")",
);

type Key = (&'static str, Uuid, Uuid);

/// Collects what a batch says of timers.
#[derive(Default)]
pub(crate) struct Projector {
    timers: HashMap<Key, Option<Timer>>,
    erased: Vec<(&'static str, Uuid)>,
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
        self.erased.push((WEBHOOK_RETRY, webhook.0));
    }

    pub(crate) async fn write(&self, to: &mut SqliteConnection) -> Result<(), Error> {
        DELETE_SUBJECT
            .execute(to, &self.erased, |(kind, subject), to| {
                to.text(kind);
                to.uuid(*subject);
            })
            .await?;
        let settled: Vec<_> = self
            .timers
            .iter()
            .filter_map(|(key, timer)| timer.is_none().then_some(key))
            .collect();
        DELETE.execute(to, settled, bind_key).await?;
        let set: Vec<_> = self
            .timers
            .iter()
            .filter_map(|(key, timer)| Some((key, timer.as_ref()?)))
            .collect();
        WRITE
            .execute(to, set, |(key, timer), to| {
                bind_key(key, to);
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

fn bind_key((kind, subject, item): &Key, to: &mut Binds) {
    to.text(kind);
    to.uuid(*subject);
    to.uuid(*item);
}
