//! Sync runs: the logs of an integration, and where its cursor lies.
//!
//! - [`Row`]: one run. It begins with the lease (`integration.sync_requested`) and is filled by the
//!   journal's events that [`RunState::keep`](wharf_domain::syncs::RunState::keep) keeps.
//! - [`runs`], [`run`]: what the API asks. [`last_cursor`]: what the worker asks before a pull.

mod projector;
mod query;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(crate) use projector::Projector;
pub use query::{last_cursor, run, runs};
use serde::{Deserialize, Serialize};
use wharf_domain::{
    integrations::{Fence, Outcome, Trigger},
    kernel::{IntegrationId, Position, ProjectId, RunId, Timestamp},
    syncs::{Failure, SyncType},
};

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its id.
    pub run_id: RunId,
    /// Whose run it is.
    pub integration: IntegrationId,
    /// Whose integration that is.
    pub project: ProjectId,
    /// How much it fetches.
    pub sync_type: SyncType,
    /// Who wanted it.
    pub trigger: Trigger,
    /// How it is going.
    pub state: State,
    /// When it got its lease.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Pages kept.
    pub pages: u64,
    /// Records on them, tombstones included.
    pub records: u64,
    /// Tombstones among them.
    pub deleted: u64,
    /// Elements of a file that became no record, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Why it failed or is partial.
    pub failure: Option<Failure>,
    /// Its lease.
    pub fence: Fence,
    /// How the journal says that it ended; its later events are dropped.
    pub ended: Option<Outcome>,
    /// The event of its last kept page: its seal holds the cursor.
    pub cursor: Option<(Position, u32)>,
    /// Position of the lease.
    pub position: Position,
}

/// How a run is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has the lease.
    Running,
    /// It brought everything.
    Completed,
    /// It brought what there was of a broken file.
    Partial,
    /// It gave up.
    Failed,
    /// A later run took its lease.
    Superseded,
}

impl From<Outcome> for State {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            Outcome::Partial => Self::Partial,
            Outcome::Failed => Self::Failed,
            Outcome::Superseded => Self::Superseded,
        }
    }
}

impl State {
    /// As on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        }
    }
}
