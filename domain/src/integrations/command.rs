//! What an integration can be asked.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    event::{Outcome, Trigger, UploadRef},
    schedule::SyncSettings,
};
use crate::{
    kernel::{Revision, RunId},
    syncs::{Failure, SyncType},
};

/// What an integration can be asked. Each carries the time, so that deciding needs no clock.
#[derive(Clone, Debug, PartialEq)]
pub enum IntegrationCommand {
    /// Begin to exist.
    Create(Create),
    /// Change what is `Some`.
    Change(Change),
    /// A credential was stored: a `pending_auth` or `needs_reauth` integration becomes active.
    Authorize,
    /// The platform refused the credential.
    RequireReauth {
        /// For people: what the platform said.
        reason: String,
    },
    /// Start a run.
    RequestSync(RequestSync),
    /// A run ended.
    SettleSync {
        /// Which.
        run_id: RunId,
        /// How.
        outcome: Outcome,
        /// Why, if it failed or is partial.
        failure: Option<Failure>,
        /// Now.
        now: Timestamp,
    },
    /// The schedule says so: start a run unless one is open, and set the next timer.
    SyncDue {
        /// The run to start.
        run_id: RunId,
        /// The due time that fired; an older one than the current is dropped.
        due_at: Timestamp,
        /// Now.
        now: Timestamp,
    },
    /// End to exist.
    Delete,
}

/// See [`IntegrationCommand::Create`].
#[derive(Clone, Debug, PartialEq)]
pub struct Create {
    /// The platform's slug; the caller checked that it exists.
    pub integration_type: String,
    /// For people, 1 to 200 characters.
    pub name: String,
    /// Valid by the platform's schema; the caller checked it.
    pub configuration: Value,
    /// When it syncs by itself.
    pub sync_settings: SyncSettings,
    /// The platform needs a credential and none was stored yet.
    pub pending_auth: bool,
    /// The token's `sub`.
    pub created_by: String,
    /// Now.
    pub now: Timestamp,
}

/// See [`IntegrationCommand::Change`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// New name.
    pub name: Option<String>,
    /// New configuration, whole and valid.
    pub configuration: Option<Value>,
    /// New schedule, whole.
    pub sync_settings: Option<SyncSettings>,
    /// `true` activates, `false` pauses.
    pub active: Option<bool>,
    /// Refuse unless the stream is at this revision: the caller changes what it has seen.
    pub if_revision: Option<Revision>,
    /// Now; `None` only in a change that touches no schedule.
    pub now: Option<Timestamp>,
}

/// See [`IntegrationCommand::RequestSync`].
#[derive(Clone, Debug, PartialEq)]
pub struct RequestSync {
    /// The run to be.
    pub run_id: RunId,
    /// How much to fetch.
    pub sync_type: SyncType,
    /// Who wants it.
    pub trigger: Trigger,
    /// Take the lease from a run that is open.
    pub force: bool,
    /// The file, for an import.
    pub upload: Option<UploadRef>,
}
