//! Owner of the tables `webhook` and `webhook_version`; what deliveries do to the counters.

use std::collections::HashMap;

use wharf_domain::{
    kernel::{Decider, Position, ProjectId, WebhookId},
    webhooks::{DeliveryEvent, Webhook, WebhookEvent},
};

use super::{
    Row,
    attempts::{Attempts, Kept, Receiver},
    query,
};
use crate::{
    Error,
    bulk::Bulk,
    db::Conn,
    decode::{Decoded, Fact, Origin},
    rows::Rows,
    timers,
};

pub(super) static READ: Bulk = Bulk::new("select * from webhook where id in (", 1, ")");

static WRITE: Bulk = Bulk::new(
    "insert into webhook (id, number, project, definition, is_active, secret_hint,
       disabled_reason, last_triggered_at, success_count, failure_count, created_by, created_at,
       updated_at, revision, position) ",
    15,
    " on conflict (id) do update set
       definition = excluded.definition, is_active = excluded.is_active,
       secret_hint = excluded.secret_hint, disabled_reason = excluded.disabled_reason,
       last_triggered_at = excluded.last_triggered_at, success_count = excluded.success_count,
       failure_count = excluded.failure_count, updated_at = excluded.updated_at,
       revision = excluded.revision, position = excluded.position",
);

pub(super) static DELETE: Bulk = Bulk::new("delete from webhook where id in (", 1, ")");

static WRITE_VERSION: Bulk = Bulk::new(
    "insert into webhook_version (webhook, position, project, definition) ",
    4,
    " on conflict (webhook, position) do update set definition = excluded.definition",
);

pub(super) static DELETE_VERSIONS: Bulk =
    Bulk::new("delete from webhook_version where webhook in (", 1, ")");

/// Folds decisions about webhooks, and the journals of their deliveries.
#[derive(Default)]
pub(crate) struct Projector {
    rows: Rows<WebhookId, Row>,
    versions: HashMap<(WebhookId, Position), Row>,
    erased: Vec<WebhookId>,
    attempts: Attempts,
}

impl Projector {
    /// Reads the webhooks and the deliveries that `batch` is about.
    pub(crate) async fn load(
        &mut self,
        from: &mut Conn<'_>,
        batch: &[Decoded],
    ) -> Result<(), Error> {
        let facts = batch.iter().flat_map(|commit| &commit.facts);
        let missing = self.rows.missing(facts.filter_map(|(_, fact)| match fact {
            Ok(Fact::Webhook(id, _) | Fact::Delivery(id, _)) => Some(*id),
            Ok(
                Fact::Integration(..)
                | Fact::Credential(..)
                | Fact::SyncRun(..)
                | Fact::Page(..)
                | Fact::Message(_),
            )
            | Err(_) => None,
        }));
        READ.fetch(
            from,
            missing,
            |id, to| to.uuid(id.0),
            |row| {
                let row = query::row(row)?;
                self.rows.loaded(row.id, row);
                Ok(())
            },
        )
        .await?;
        let number = |id| self.rows.get(&id).map(|row| row.number);
        self.attempts.load(from, batch, number).await
    }

    /// Whether `id` is another project's.
    pub(crate) fn is_foreign(&self, project: &ProjectId, id: WebhookId) -> bool {
        self.rows
            .get(&id)
            .is_some_and(|row| row.project != *project)
    }

    pub(crate) fn fold(&mut self, at: &Origin, id: WebhookId, event: &WebhookEvent) {
        match event {
            WebhookEvent::Created(created) => {
                let row = Row {
                    id,
                    project: at.project.clone(),
                    number: at.position,
                    definition: created.definition(),
                    secret_hint: created.secret_hint.clone(),
                    disabled_reason: None,
                    last_triggered_at: None,
                    success_count: 0,
                    failure_count: 0,
                    created_by: created.created_by.clone(),
                    created_at: at.time,
                    updated_at: at.time,
                    revision: at.revision,
                    position: at.position,
                };
                self.versions.insert((id, at.position), row.clone());
                self.rows.set(id, Some(row));
            }
            WebhookEvent::Updated(_) | WebhookEvent::Disabled(_) => {
                if let Some(row) = self.rows.change(&id) {
                    row.evolve(at, event);
                    self.versions.insert((id, at.position), row.clone());
                }
            }
            WebhookEvent::Deleted(_) => {
                if let Some(row) = self.rows.get(&id) {
                    self.attempts.erase(row.number);
                }
                self.rows.set(id, None);
                self.versions.retain(|(of, _), _| *of != id);
                self.erased.push(id);
            }
        }
    }

    /// Folds an event of the journal of `id`; a copy, or one of a webhook that is gone, is dropped.
    pub(crate) fn fold_delivery(
        &mut self,
        at: &Origin,
        index: u32,
        id: WebhookId,
        event: DeliveryEvent,
        timers: &mut timers::Projector,
    ) {
        if self.is_foreign(&at.project, id) {
            return;
        }
        let Some(row) = self.rows.change(&id) else {
            return;
        };
        let number = row.number;
        let to = Receiver { id, number };
        match self.attempts.fold(at, index, to, event, timers) {
            Kept::Attempt {
                succeeded,
                started_at,
            } => {
                if succeeded {
                    row.success_count += 1;
                } else {
                    row.failure_count += 1;
                }
                row.last_triggered_at = row.last_triggered_at.max(Some(started_at));
            }
            Kept::NoAttempt => {}
        }
    }

    pub(crate) async fn write(&self, to: &mut Conn<'_>) -> Result<(), Error> {
        let (set, removed) = self.rows.changes();
        DELETE.execute(to, removed, |id, to| to.uuid(id.0)).await?;
        DELETE_VERSIONS
            .execute(to, &self.erased, |id, to| to.uuid(id.0))
            .await?;
        WRITE
            .execute(to, set, |(id, row), to| {
                to.uuid(id.0);
                to.count(row.number.0);
                to.text(row.project.as_str());
                to.json(&row.definition);
                to.flag(row.definition.is_active);
                to.text(&row.secret_hint);
                to.opt_text(row.disabled_reason.as_deref());
                to.opt_time(row.last_triggered_at);
                to.count(row.success_count);
                to.count(row.failure_count);
                to.text(&row.created_by);
                to.time(row.created_at);
                to.time(row.updated_at);
                to.count(row.revision.0);
                to.count(row.position.0);
            })
            .await?;
        WRITE_VERSION
            .execute(to, &self.versions, |((id, position), row), to| {
                to.uuid(id.0);
                to.count(position.0);
                to.text(row.project.as_str());
                to.json(&row.definition);
            })
            .await?;
        self.attempts.write(to).await
    }

    pub(crate) fn committed(&mut self) {
        self.rows.committed();
        self.versions.clear();
        self.erased.clear();
        self.attempts.committed();
    }
}

impl Row {
    fn evolve(&mut self, at: &Origin, event: &WebhookEvent) {
        let mut aggregate = Webhook::Live(Box::new(self.definition.clone()));
        aggregate.evolve(event);
        if let Webhook::Live(definition) = aggregate {
            self.definition = *definition;
        }
        self.updated_at = at.time;
        self.revision = at.revision;
        self.position = at.position;
        match event {
            WebhookEvent::Updated(updated) => {
                if let Some((_, hint)) = &updated.secret {
                    self.secret_hint.clone_from(hint);
                }
            }
            WebhookEvent::Disabled(disabled) => {
                self.disabled_reason = Some(disabled.reason.clone());
            }
            WebhookEvent::Created(_) | WebhookEvent::Deleted(_) => {}
        }
        if self.definition.is_active {
            self.disabled_reason = None;
        }
    }
}
