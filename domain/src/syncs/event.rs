//! What a run writes into the journal of its integration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    integrations::{Fence, Outcome},
    kernel::RunId,
};

/// How much a run fetches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncType {
    /// Everything, and what is no longer there is deleted.
    #[default]
    Full,
    /// What changed since our cursor.
    Incremental,
    /// The platform's own change feed; where it has none, as `Incremental`.
    Delta,
}

impl SyncType {
    /// As on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::Delta => "delta",
        }
    }
}

crate::events! {
    /// What a run does. The key of an event in the fold is (run, page) or (run, its kind).
    pub enum SyncRunEvent {
        /// A worker began, or went on after a crash.
        Started(Started) = "sync_run.started", 1;
        /// A page of records, and the cursor after it.
        PageRecorded(PageRecorded) = "sync_run.page_recorded", 1;
        /// It is through.
        Completed(Completed) = "sync_run.completed", 1;
        /// It gave up.
        Failed(Failed) = "sync_run.failed", 1;
    }
}

/// See [`SyncRunEvent::Started`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The run.
    pub run_id: RunId,
    /// Its lease.
    pub fence: Fence,
}

/// See [`SyncRunEvent::PageRecorded`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PageRecorded {
    /// The run.
    pub run_id: RunId,
    /// Its lease.
    pub fence: Fence,
    /// The page's number in the run, from 0.
    pub page: u64,
    /// Records a model, tombstones included.
    pub models: BTreeMap<String, u32>,
    /// Records in all.
    pub records: u32,
    /// How many of them are tombstones.
    pub deleted: u32,
    /// SHA-256 of the cursor after this page.
    pub cursor_hash: String,
    /// The page and its cursor: a line of JSON `{"cursor": …}`, then a line a record, compressed with
    /// zstd and sealed under the integration's data key; base64. The seal's context is
    /// [`super::page_context`].
    pub sealed: String,
}

/// See [`SyncRunEvent::Completed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completed {
    /// The run.
    pub run_id: RunId,
    /// Its lease.
    pub fence: Fence,
    /// `completed`, or `partial` with a `failure`.
    pub outcome: Outcome,
    /// Pages in all.
    pub pages: u64,
    /// Records in all, tombstones included.
    pub records: u64,
    /// Tombstones.
    pub deleted: u64,
    /// Elements of a file that became no record, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<String, u64>,
    /// Why it is partial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// See [`SyncRunEvent::Failed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// The run.
    pub run_id: RunId,
    /// Its lease.
    pub fence: Fence,
    /// Why.
    pub failure: Failure,
}

/// What kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The user must connect again.
    Unauthorized,
    /// The platform limits the rate.
    RateLimited,
    /// It may work later.
    Transient,
    /// It will not work until something changes.
    Permanent,
    /// An answer or a file cannot be read.
    Malformed,
}

/// Why a run failed, or is partial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub class: FailureClass,
    /// For people; never a secret, never a body.
    pub message: String,
}
