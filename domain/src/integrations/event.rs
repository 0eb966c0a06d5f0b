//! What happens to an integration.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{integration::Status, schedule::SyncSettings};
use crate::{
    kernel::{RunId, UploadId},
    syncs::{Failure, SyncType},
};

crate::events! {
    /// What happens to an integration.
    pub enum IntegrationEvent {
        /// A project started to use a platform account.
        Created(Created) = "integration.created", 1;
        /// Its name, configuration or schedule changed.
        Updated(Updated) = "integration.updated", 1;
        /// It can be used, or no longer.
        StatusChanged(StatusChanged) = "integration.status_changed", 1;
        /// A run got the lease.
        SyncRequested(SyncRequested) = "integration.sync_requested", 1;
        /// The run gave the lease back.
        SyncSettled(SyncSettled) = "integration.sync_settled", 1;
        /// The next run is due at some time: a timer.
        SyncScheduled(SyncScheduled) = "integration.sync_scheduled", 1;
        /// It is gone; its records and secrets are to be erased.
        Deleted(Deleted) = "integration.deleted", 1;
    }
}

/// Counts the leases of one integration; a page that carries a lower one than the log has granted
/// before it is dropped in the fold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// See [`IntegrationEvent::Created`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// The platform's slug.
    pub integration_type: String,
    /// For people.
    pub name: String,
    /// Valid by the platform's schema.
    pub configuration: Value,
    /// When it syncs by itself.
    pub sync_settings: SyncSettings,
    /// Active, or waiting for a credential.
    pub status: Status,
    /// The token's `sub`.
    pub created_by: String,
}

/// See [`IntegrationEvent::Updated`]. What is `None` did not change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Updated {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New configuration, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Value>,
    /// New schedule, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_settings: Option<SyncSettings>,
}

/// See [`IntegrationEvent::StatusChanged`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusChanged {
    /// The status from now on.
    pub status: Status,
    /// For people: why.
    pub reason: String,
}

/// Who wanted a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A caller.
    Manual,
    /// The schedule.
    Scheduled,
    /// A file was uploaded.
    Import,
}

/// A file that waits in the spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRef {
    /// Its name in the spool.
    pub upload_id: UploadId,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// Zone to assume where the file does not say (IANA name). In the log, because the same file must
    /// give the same pages again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// See [`IntegrationEvent::SyncRequested`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyncRequested {
    /// The run that holds the lease.
    pub run_id: RunId,
    /// Its fence.
    pub fence: Fence,
    /// How much it fetches.
    pub sync_type: SyncType,
    /// Who wanted it.
    pub trigger: Trigger,
    /// The file to import, for [`Trigger::Import`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadRef>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything there was.
    Completed,
    /// What could be read of a file that breaks off.
    Partial,
    /// It gave up; pages recorded before stay.
    Failed,
    /// A later `force` took its lease.
    Superseded,
}

/// See [`IntegrationEvent::SyncSettled`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyncSettled {
    /// The run.
    pub run_id: RunId,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, if it failed or is partial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// See [`IntegrationEvent::SyncScheduled`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyncScheduled {
    /// When; `None` takes an earlier one back.
    pub next_run_at: Option<Timestamp>,
}

/// See [`IntegrationEvent::Deleted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deleted {}
