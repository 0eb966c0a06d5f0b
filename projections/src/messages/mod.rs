//! Messages: what was accepted to be sent. The payload stays sealed in the log.
//!
//! - [`Row`]: one message and where the log holds it.

mod projector;
mod query;
#[cfg(test)]
mod tests;

pub(crate) use projector::Projector;
pub use query::message;
use serde::Serialize;
use wharf_domain::kernel::{MessageId, Position, ProjectId, Timestamp, WebhookId};

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `webhook-id` on the wire.
    pub message_id: MessageId,
    /// Whose it is.
    pub project: ProjectId,
    /// What kind of message.
    pub topic: String,
    /// When it happened.
    pub time: Timestamp,
    /// Bytes of its body.
    pub bytes: u32,
    /// Only for this webhook.
    pub only: Option<WebhookId>,
    /// Where the log holds it.
    pub position: Position,
    /// Which event of that commit.
    pub index: u32,
}
