//! Owner of the table `run`. It also says which journal events are kept: the records projector folds
//! those pages only.

use wharf_domain::{
    integrations::{Fence, IntegrationEvent, Outcome},
    kernel::{IntegrationId, RunId},
    syncs::{RunState, SyncRunEvent},
};

use super::{Row, State, query};
use crate::{
    Error,
    bulk::Bulk,
    db::Conn,
    decode::{Decoded, Fact, Origin},
    rows::Rows,
};

pub(super) static READ: Bulk = Bulk::new(
    "select run.* from (",
    2,
    ") k cross join run where run.integration = k.column1 and run.id = k.column2",
);

static WRITE: Bulk = Bulk::new(
    "insert into run (integration, id, project, sync_type, triggered_by, state, started_at,
       ended_at, pages, records, deleted, skipped, failure, fence, ended, cursor_position,
       cursor_idx, position) ",
    18,
    " on conflict (integration, id) do update set
       sync_type = excluded.sync_type, triggered_by = excluded.triggered_by,
       state = excluded.state, started_at = excluded.started_at, ended_at = excluded.ended_at,
       pages = excluded.pages, records = excluded.records, deleted = excluded.deleted,
       skipped = excluded.skipped, failure = excluded.failure, fence = excluded.fence,
       ended = excluded.ended, cursor_position = excluded.cursor_position,
       cursor_idx = excluded.cursor_idx, position = excluded.position",
);

pub(super) static DELETE: Bulk = Bulk::new("delete from run where integration in (", 1, ")");

/// Folds leases, and the journals that they allow.
#[derive(Default)]
pub(crate) struct Projector {
    rows: Rows<(IntegrationId, RunId), Row>,
    erased: Vec<IntegrationId>,
}

impl Projector {
    /// Reads the runs that `batch` is about.
    pub(crate) async fn load(
        &mut self,
        from: &mut Conn<'_>,
        batch: &[Decoded],
    ) -> Result<(), Error> {
        let facts = batch.iter().flat_map(|commit| &commit.facts);
        let missing = self.rows.missing(facts.filter_map(|(_, fact)| match fact {
            Ok(Fact::SyncRun(id, event) | Fact::Page(id, event, _)) => Some((*id, run_of(event))),
            Ok(Fact::Integration(id, IntegrationEvent::SyncSettled(settled))) => {
                Some((*id, settled.run_id))
            }
            Ok(
                Fact::Integration(..)
                | Fact::Credential(..)
                | Fact::Webhook(..)
                | Fact::Delivery(..)
                | Fact::Message(_),
            )
            | Err(_) => None,
        }));
        READ.fetch(
            from,
            missing,
            |(integration, run), to| {
                to.uuid(integration.0);
                to.uuid(run.0);
            },
            |row| {
                let row = query::row(row)?;
                self.rows.loaded((row.integration, row.run_id), row);
                Ok(())
            },
        )
        .await
    }

    pub(crate) fn fold(&mut self, at: &Origin, id: IntegrationId, event: &IntegrationEvent) {
        match event {
            IntegrationEvent::SyncRequested(requested) => {
                let row = Row {
                    run_id: requested.run_id,
                    integration: id,
                    project: at.project.clone(),
                    sync_type: requested.sync_type,
                    trigger: requested.trigger,
                    state: State::Running,
                    started_at: at.time,
                    ended_at: None,
                    pages: 0,
                    records: 0,
                    deleted: 0,
                    skipped: std::collections::BTreeMap::new(),
                    failure: None,
                    fence: requested.fence,
                    ended: None,
                    cursor: None,
                    position: at.position,
                };
                self.rows.set((id, requested.run_id), Some(row));
            }
            IntegrationEvent::SyncSettled(settled) => {
                if let Some(row) = self.rows.change(&(id, settled.run_id))
                    && row.state == State::Running
                {
                    row.end(at, settled.outcome);
                    row.failure.clone_from(&settled.failure);
                }
            }
            IntegrationEvent::Deleted(_) => {
                self.rows.forget(|(integration, _)| *integration == id);
                self.erased.push(id);
            }
            IntegrationEvent::Created(_)
            | IntegrationEvent::Updated(_)
            | IntegrationEvent::StatusChanged(_)
            | IntegrationEvent::SyncScheduled(_) => {}
        }
    }

    /// Folds an event of the journal of `id`, and answers whether it is kept. `highest` is the
    /// highest fence that the integration has granted before it.
    pub(crate) fn keep(
        &mut self,
        at: &Origin,
        index: u32,
        id: IntegrationId,
        event: &SyncRunEvent,
        highest: Fence,
    ) -> bool {
        let Some(row) = self.rows.change(&(id, run_of(event))) else {
            return false;
        };
        let mut state = RunState {
            fence: row.fence,
            pages: row.pages,
            records: row.records,
            deleted: row.deleted,
            ended: row.ended,
        };
        if !state.keep(event, highest) {
            return false;
        }
        row.pages = state.pages;
        row.records = state.records;
        row.deleted = state.deleted;
        row.ended = state.ended;
        match event {
            SyncRunEvent::Started(_) => {}
            SyncRunEvent::PageRecorded(_) => row.cursor = Some((at.position, index)),
            SyncRunEvent::Completed(completed) => {
                row.end(at, completed.outcome);
                row.skipped.clone_from(&completed.skipped);
                row.failure.clone_from(&completed.failure);
            }
            SyncRunEvent::Failed(failed) => {
                row.end(at, Outcome::Failed);
                row.failure = Some(failed.failure.clone());
            }
        }
        true
    }

    pub(crate) async fn write(&self, to: &mut Conn<'_>) -> Result<(), Error> {
        DELETE
            .execute(to, &self.erased, |id, to| to.uuid(id.0))
            .await?;
        let (set, _) = self.rows.changes();
        WRITE
            .execute(to, set, |((integration, run), row), to| {
                to.uuid(integration.0);
                to.uuid(run.0);
                to.text(row.project.as_str());
                to.text(row.sync_type.as_str());
                to.name(&row.trigger);
                to.text(row.state.as_str());
                to.time(row.started_at);
                to.opt_time(row.ended_at);
                to.count(row.pages);
                to.count(row.records);
                to.count(row.deleted);
                to.json(&row.skipped);
                to.opt_json(row.failure.as_ref());
                to.count(row.fence.0);
                to.opt_text(row.ended.map(|outcome| State::from(outcome).as_str()));
                to.opt_int(row.cursor.map(|(position, _)| position.0.cast_signed()));
                to.opt_int(row.cursor.map(|(_, index)| i64::from(index)));
                to.count(row.position.0);
            })
            .await?;
        Ok(())
    }

    pub(crate) fn committed(&mut self) {
        self.rows.committed();
        self.erased.clear();
    }
}

impl Row {
    fn end(&mut self, at: &Origin, outcome: Outcome) {
        self.state = outcome.into();
        self.ended_at = Some(at.time);
    }
}

fn run_of(event: &SyncRunEvent) -> RunId {
    match event {
        SyncRunEvent::Started(started) => started.run_id,
        SyncRunEvent::PageRecorded(page) => page.run_id,
        SyncRunEvent::Completed(completed) => completed.run_id,
        SyncRunEvent::Failed(failed) => failed.run_id,
    }
}
