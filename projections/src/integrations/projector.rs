//! Owner of the tables `integration` and `credential`.

use std::collections::HashMap;

use wharf_domain::{
    credentials::CredentialEvent,
    integrations::{Integration, IntegrationEvent, Outcome, Status},
    kernel::{Decider, IntegrationId, ProjectId},
};

use super::{Auth, Row, query};
use crate::{
    Error,
    bulk::Bulk,
    db::Conn,
    decode::{Decoded, Fact, Origin},
    rows::Rows,
};

pub(super) static READ: Bulk = Bulk::new(
    "select i.*, c.auth_type, c.auth_generation
     from integration i
     left join credential c on c.integration = i.id and c.project = i.project
     where i.id in (",
    1,
    ")",
);

static WRITE: Bulk = Bulk::new(
    "insert into integration (id, number, project, integration_type, name, configuration,
       sync_settings, status, open_run, open_fence, fence, next_run_at, last_sync_at,
       sync_error_message, created_by, created_at, updated_at, revision, position) ",
    19,
    " on conflict (id) do update set
       name = excluded.name, configuration = excluded.configuration,
       sync_settings = excluded.sync_settings, status = excluded.status,
       open_run = excluded.open_run, open_fence = excluded.open_fence, fence = excluded.fence,
       next_run_at = excluded.next_run_at, last_sync_at = excluded.last_sync_at,
       sync_error_message = excluded.sync_error_message, updated_at = excluded.updated_at,
       revision = excluded.revision, position = excluded.position",
);

pub(super) static DELETE: Bulk = Bulk::new("delete from integration where id in (", 1, ")");

static WRITE_CREDENTIAL: Bulk = Bulk::new(
    "insert into credential (integration, project, auth_type, auth_generation) ",
    4,
    " on conflict (integration, project) do update set
       auth_type = excluded.auth_type, auth_generation = excluded.auth_generation",
);

pub(super) static DELETE_CREDENTIAL: Bulk = Bulk::new(
    "delete from credential where (integration, project) in (select column1, column2 from (",
    2,
    ") as keys)",
);

/// Folds decisions about integrations and their credentials.
#[derive(Default)]
pub(crate) struct Projector {
    rows: Rows<IntegrationId, Row>,
    credentials: HashMap<(IntegrationId, ProjectId), Option<Auth>>,
}

impl Projector {
    /// Reads the integrations that `batch` is about, the journals' among them.
    pub(crate) async fn load(
        &mut self,
        from: &mut Conn<'_>,
        batch: &[Decoded],
    ) -> Result<(), Error> {
        let facts = batch.iter().flat_map(|commit| &commit.facts);
        let missing = self.rows.missing(facts.filter_map(|(_, fact)| match fact {
            Ok(Fact::Integration(id, _) | Fact::SyncRun(id, _) | Fact::Page(id, _, _)) => Some(*id),
            Ok(
                Fact::Credential(..) | Fact::Webhook(..) | Fact::Delivery(..) | Fact::Message(_),
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
        .await
    }

    /// The integration as of the events folded so far, if its journal is of the same project.
    pub(crate) fn get(&self, project: &ProjectId, id: IntegrationId) -> Option<&Row> {
        self.rows.get(&id).filter(|row| row.project == *project)
    }

    /// Whether `id` is another project's.
    pub(crate) fn is_foreign(&self, project: &ProjectId, id: IntegrationId) -> bool {
        self.rows
            .get(&id)
            .is_some_and(|row| row.project != *project)
    }

    pub(crate) fn fold(&mut self, at: &Origin, id: IntegrationId, event: &IntegrationEvent) {
        match event {
            IntegrationEvent::Created(created) => {
                let mut aggregate = Integration::default();
                aggregate.evolve(event);
                let Integration::Live(live) = aggregate else {
                    return;
                };
                let row = Row {
                    id,
                    project: at.project.clone(),
                    number: at.position,
                    live: *live,
                    auth: None,
                    last_sync_at: None,
                    sync_error_message: None,
                    created_by: created.created_by.clone(),
                    created_at: at.time,
                    updated_at: at.time,
                    position: at.position,
                };
                self.rows.set(id, Some(row));
            }
            IntegrationEvent::Deleted(_) => {
                self.rows.set(id, None);
                self.credentials.insert((id, at.project.clone()), None);
            }
            IntegrationEvent::Updated(_)
            | IntegrationEvent::StatusChanged(_)
            | IntegrationEvent::SyncRequested(_)
            | IntegrationEvent::SyncSettled(_)
            | IntegrationEvent::SyncScheduled(_) => {
                if let Some(row) = self.rows.change(&id) {
                    row.evolve(at, event);
                }
            }
        }
    }

    pub(crate) fn fold_credential(
        &mut self,
        at: &Origin,
        id: IntegrationId,
        event: &CredentialEvent,
    ) {
        let auth = match event {
            CredentialEvent::Stored(stored) => Some(Auth {
                auth_type: stored.auth_type.clone(),
                generation: stored.generation,
            }),
            CredentialEvent::Erased(_) => None,
        };
        self.credentials.insert((id, at.project.clone()), auth);
    }

    pub(crate) async fn write(&self, to: &mut Conn<'_>) -> Result<(), Error> {
        let (set, removed) = self.rows.changes();
        DELETE.execute(to, removed, |id, to| to.uuid(id.0)).await?;
        WRITE
            .execute(to, set, |(id, row), to| {
                to.uuid(id.0);
                to.count(row.number.0);
                to.text(row.project.as_str());
                to.text(&row.live.integration_type);
                to.text(&row.live.name);
                to.json(&row.live.configuration);
                to.json(&row.live.sync_settings);
                to.text(row.live.status.as_str());
                to.opt_uuid(row.live.open_run.map(|open| open.run_id.0));
                to.opt_int(row.live.open_run.map(|open| open.fence.0.cast_signed()));
                to.count(row.live.fence.0);
                to.opt_time(row.live.next_run_at);
                to.opt_time(row.last_sync_at);
                to.opt_text(row.sync_error_message.as_deref());
                to.text(&row.created_by);
                to.time(row.created_at);
                to.time(row.updated_at);
                to.count(row.live.revision.0);
                to.count(row.position.0);
            })
            .await?;
        let (set, erased): (Vec<_>, Vec<_>) = self
            .credentials
            .iter()
            .partition(|(_, auth)| auth.is_some());
        DELETE_CREDENTIAL
            .execute(to, erased, |((id, project), _), to| {
                to.uuid(id.0);
                to.text(project.as_str());
            })
            .await?;
        let set: Vec<_> = set
            .into_iter()
            .filter_map(|(key, auth)| Some((key, auth.as_ref()?)))
            .collect();
        WRITE_CREDENTIAL
            .execute(to, set, |((id, project), auth), to| {
                to.uuid(id.0);
                to.text(project.as_str());
                to.text(&auth.auth_type);
                to.count(auth.generation);
            })
            .await?;
        Ok(())
    }

    pub(crate) fn committed(&mut self) {
        self.rows.committed();
        self.credentials.clear();
    }
}

impl Row {
    fn evolve(&mut self, at: &Origin, event: &IntegrationEvent) {
        let mut aggregate = Integration::Live(Box::new(self.live.clone()));
        aggregate.evolve(event);
        if let Integration::Live(live) = aggregate {
            self.live = *live;
        }
        self.position = at.position;
        match event {
            IntegrationEvent::SyncSettled(settled) => {
                let message = settled.failure.as_ref().map(|f| f.message.clone());
                match settled.outcome {
                    Outcome::Completed | Outcome::Partial => {
                        self.last_sync_at = Some(at.time);
                        self.sync_error_message = message;
                    }
                    Outcome::Failed => self.sync_error_message = message,
                    Outcome::Superseded => {}
                }
            }
            IntegrationEvent::StatusChanged(changed) => {
                self.updated_at = at.time;
                match changed.status {
                    Status::NeedsReauth => {
                        self.sync_error_message = Some(changed.reason.clone());
                    }
                    Status::Active => self.sync_error_message = None,
                    Status::PendingAuth | Status::Paused => {}
                }
            }
            IntegrationEvent::Updated(_) => self.updated_at = at.time,
            IntegrationEvent::Created(_)
            | IntegrationEvent::SyncRequested(_)
            | IntegrationEvent::SyncScheduled(_)
            | IntegrationEvent::Deleted(_) => {}
        }
    }
}
