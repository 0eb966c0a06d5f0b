//! Integrations as the API shows them.
//!
//! - [`Row`]: one integration that exists; a deleted one has no row, as one that never was.
//! - [`list`], [`get`]: what the API asks.
//!
//! The projector folds with the aggregate's own `evolve`, so a row never says otherwise than the
//! aggregate; it adds what only readers need.

mod projector;
mod query;
#[cfg(test)]
mod tests;

use std::str::FromStr;

pub(crate) use projector::Projector;
pub use query::{get, list};
use serde::Serialize;
use wharf_domain::{
    integrations::{Live, Status},
    kernel::{IntegrationId, Position, ProjectId, Timestamp},
};

/// An integration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its id.
    pub id: IntegrationId,
    /// Whose it is.
    pub project: ProjectId,
    /// Position of its creation; newer integrations have higher ones.
    pub number: Position,
    /// Type, name, configuration, schedule, status, open run, next run, revision (its
    /// `ETag`): the aggregate's own state.
    pub live: Live,
    /// The credential in use; none before one was stored.
    pub auth: Option<Auth>,
    /// When a run last brought what there was.
    pub last_sync_at: Option<Timestamp>,
    /// Why the last run failed, or why the user must connect again.
    pub sync_error_message: Option<String>,
    /// The token's `sub`.
    pub created_by: String,
    /// When it began to exist.
    pub created_at: Timestamp,
    /// When its definition, status or credential last changed.
    pub updated_at: Timestamp,
    /// Position of its stream's last commit.
    pub position: Position,
}

/// Which credential is in use; the secret is in the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Auth {
    /// `bearer`, `api_key`, …
    pub auth_type: String,
    /// The vault's generation.
    pub generation: u64,
}

/// Which integrations a list shows; all of what is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this platform.
    pub integration_type: Option<String>,
    /// With this status.
    pub status: Option<StatusFilter>,
    /// Created by this `sub`.
    pub owner: Option<String>,
}

/// A status, exact (`needs_reauth`) or the contract's coarse one (`error`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusFilter(&'static [Status]);

/// The text is no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("status is active, inactive or error, or exactly pending_auth, paused or needs_reauth")]
pub struct InvalidStatus;

impl FromStr for StatusFilter {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        match text {
            "active" => Ok(Self(&[Status::Active])),
            "inactive" => Ok(Self(&[Status::PendingAuth, Status::Paused])),
            "error" | "needs_reauth" => Ok(Self(&[Status::NeedsReauth])),
            "pending_auth" => Ok(Self(&[Status::PendingAuth])),
            "paused" => Ok(Self(&[Status::Paused])),
            _ => Err(InvalidStatus),
        }
    }
}

impl From<Status> for StatusFilter {
    fn from(status: Status) -> Self {
        Self(match status {
            Status::PendingAuth => &[Status::PendingAuth],
            Status::Active => &[Status::Active],
            Status::Paused => &[Status::Paused],
            Status::NeedsReauth => &[Status::NeedsReauth],
        })
    }
}

impl StatusFilter {
    /// As two bind values; the second repeats the first where there is only one.
    fn names(self) -> Option<(&'static str, &'static str)> {
        let first = self.0.first()?;
        Some((first.as_str(), self.0.get(1).unwrap_or(first).as_str()))
    }
}
