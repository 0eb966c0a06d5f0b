//! The contract's shapes of a run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use wharf_domain::{
    integrations::Trigger,
    syncs::{FailureClass, SyncType},
};
use wharf_projections::syncs::Row;

/// How much a run fetches.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SyncTypeIn {
    /// Everything, and what is no longer there is deleted.
    #[default]
    Full,
    /// What changed since the last run.
    Incremental,
    /// The platform's own change feed; where it has none, as `incremental`.
    Delta,
}

impl From<SyncTypeIn> for SyncType {
    fn from(sync_type: SyncTypeIn) -> Self {
        match sync_type {
            SyncTypeIn::Full => Self::Full,
            SyncTypeIn::Incremental => Self::Incremental,
            SyncTypeIn::Delta => Self::Delta,
        }
    }
}

/// A run to be. Everything is optional, the body too.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartSync {
    /// How much to fetch.
    #[serde(default)]
    #[schema(default = "full")]
    pub(super) sync_type: SyncTypeIn,
    /// Start even if a run is open; that one ends as superseded. Never ignores the platform's limits.
    #[serde(default)]
    pub(super) force: bool,
}

/// Which runs to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogsQuery {
    /// From 1.
    #[param(default = 1, minimum = 1)]
    pub(super) page: Option<u32>,
    /// Rows a page.
    #[param(default = 20, minimum = 1, maximum = 100)]
    pub(super) size: Option<u32>,
    /// Wait for the views to show what was written at this position.
    pub(super) after: Option<u64>,
}

/// Runs of an integration.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunPage {
    /// Newest first.
    pub(super) logs: Vec<RunOut>,
    /// How many there are in all.
    pub(super) total: u64,
    /// This page.
    pub(super) page: u32,
    /// Rows a page.
    pub(super) size: u32,
}

/// Answer to a started run.
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncStarted {
    /// The run; follow it at `GET …/sync/runs/{run_id}`.
    pub(super) run_id: Uuid,
    /// Whose run it is.
    pub(super) integration_id: Uuid,
    /// How much it fetches.
    #[schema(example = "full")]
    pub(super) sync_type: &'static str,
    /// Where in the log it was started.
    pub(super) position: u64,
}

/// A run.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunOut {
    run_id: Uuid,
    integration_id: Uuid,
    /// `full`, `incremental` or `delta`.
    #[schema(example = "full")]
    sync_type: &'static str,
    /// `manual`, `scheduled` or `import`.
    #[schema(example = "manual")]
    trigger: &'static str,
    /// `running`, `completed`, `partial`, `failed` or `superseded`.
    #[schema(example = "completed")]
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, nullable)]
    finished_at: Option<Timestamp>,
    /// Pages recorded.
    pages: u64,
    /// Records on them, deletions included.
    records: u64,
    /// Deletions among them.
    deleted: u64,
    /// Elements of a file that became no record, by reason.
    skipped: BTreeMap<String, u64>,
    /// Why it failed or is partial.
    #[schema(nullable)]
    error: Option<RunError>,
    /// Position of its start.
    position: u64,
}

/// Why a run failed or is partial.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunError {
    /// `unauthorized`, `rate_limited`, `transient`, `permanent` or `malformed`.
    #[schema(example = "transient")]
    class: &'static str,
    /// For people.
    message: String,
}

impl From<&Row> for RunOut {
    fn from(row: &Row) -> Self {
        Self {
            run_id: row.run_id.0,
            integration_id: row.integration.0,
            sync_type: row.sync_type.as_str(),
            trigger: match row.trigger {
                Trigger::Manual => "manual",
                Trigger::Scheduled => "scheduled",
                Trigger::Import => "import",
            },
            status: row.state.as_str(),
            started_at: row.started_at,
            finished_at: row.ended_at,
            pages: row.pages,
            records: row.records,
            deleted: row.deleted,
            skipped: row.skipped.clone(),
            error: row.failure.as_ref().map(|failure| RunError {
                class: match failure.class {
                    FailureClass::Unauthorized => "unauthorized",
                    FailureClass::RateLimited => "rate_limited",
                    FailureClass::Transient => "transient",
                    FailureClass::Permanent => "permanent",
                    FailureClass::Malformed => "malformed",
                },
                message: failure.message.clone(),
            }),
            position: row.position.0,
        }
    }
}
