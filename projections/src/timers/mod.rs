//! Timers: what is due some day. An event that carries a due time sets one; the event that settles it
//! removes it. So they are rebuilt by replay like any view.
//!
//! - [`Timer`]: what is due, and which event said so.
//! - [`due`], [`next_due`]: what `tick` asks, of all projects at once; [`overdue`]: what operators do.

mod projector;
mod query;
#[cfg(test)]
mod tests;

pub(crate) use projector::Projector;
pub use query::{due, next_due, overdue};
use serde::Serialize;
use wharf_domain::kernel::{IntegrationId, MessageId, Position, ProjectId, Timestamp, WebhookId};

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Subject::WebhookRetry`].
    WebhookRetry,
    /// [`Subject::SyncDue`].
    SyncDue,
}

/// Something that is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timer {
    /// When.
    pub due: Timestamp,
    /// Whose.
    pub project: ProjectId,
    /// What.
    pub subject: Subject,
    /// The event that set it: position of its commit, and which event of that.
    pub set_by: (Position, u32),
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// The next attempt of a delivery.
    WebhookRetry {
        /// Where to.
        webhook: WebhookId,
        /// What.
        message: MessageId,
        /// Where the message was accepted.
        message_position: Position,
        /// Which event of that commit.
        message_index: u32,
        /// The attempt to make.
        attempt: u32,
    },
    /// A scheduled run.
    SyncDue {
        /// Of this integration.
        integration: IntegrationId,
    },
}
