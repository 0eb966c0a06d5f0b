//! Webhooks as the API shows them, what they were at a position, and what became of their deliveries.
//!
//! - [`Row`]: one webhook that exists, with its counters.
//! - [`matching`]: the definitions as of a position, for the delivery worker.
//! - [`AttemptRow`]: one kept attempt, the contract's `logs`. Copies in the journal are dropped by
//!   (message, attempt).

mod attempts;
mod projector;
mod query;
#[cfg(test)]
mod tests;

pub(crate) use projector::Projector;
pub use query::{attempt, attempts, delivery_state, get, list, matching};
use serde::Serialize;
use uuid::Uuid;
use wharf_domain::{
    kernel::{MessageId, Position, ProjectId, Revision, Timestamp, WebhookId},
    webhooks::Definition,
};

/// A webhook.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its id.
    pub id: WebhookId,
    /// Whose it is.
    pub project: ProjectId,
    /// Position of its creation; newer webhooks have higher ones.
    pub number: Position,
    /// Name, address, topics, header names, activity, schedule: the aggregate's own state.
    pub definition: Definition,
    /// Last four characters of the signing secret.
    pub secret_hint: String,
    /// Why the hub stopped sending to it; none once it is active again.
    pub disabled_reason: Option<String>,
    /// When its last attempt began.
    pub last_triggered_at: Option<Timestamp>,
    /// Attempts answered 2xx.
    pub success_count: u64,
    /// Attempts that failed.
    pub failure_count: u64,
    /// The token's `sub`.
    pub created_by: String,
    /// When it began to exist.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Revision of its stream's last event: its `ETag`.
    pub revision: Revision,
    /// Position of its stream's last commit.
    pub position: Position,
}

/// One attempt of a delivery.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttemptRow {
    /// Names it for ever.
    pub log_id: Uuid,
    /// Where it went.
    pub webhook: WebhookId,
    /// What was sent.
    pub message_id: MessageId,
    /// The message's topic.
    pub topic: String,
    /// From 1.
    pub attempt: u32,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it failed.
    pub reason: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// When the next one is due.
    pub next_attempt_at: Option<Timestamp>,
    /// Where the message was accepted.
    pub message_position: Position,
    /// Which event of that commit.
    pub message_index: u32,
    /// Where the outcome lies.
    pub position: Position,
    /// Which event of that commit.
    pub index: u32,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The receiver answered 2xx.
    Succeeded,
    /// It did not; another attempt follows.
    Failed,
    /// It did not, and no further attempt follows.
    Exhausted,
}

impl Outcome {
    /// As on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Exhausted => "exhausted",
        }
    }
}

/// Which attempts a list shows; all of what is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptFilter {
    /// Of this message.
    pub message: Option<MessageId>,
    /// Those answered 2xx, or the others.
    pub succeeded: Option<bool>,
}

/// What is known of one delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryState {
    /// The highest attempt kept; 0 before the first.
    pub attempts: u32,
    /// It arrived, or no further attempt will be made.
    pub settled: bool,
}

/// The name of the attempt whose outcome lies at `position.index`: a `UUIDv8` that can be read back, so
/// that no index by name is needed.
fn log_id(position: Position, index: u32) -> Uuid {
    let mut bytes = [0; 16];
    // Positions stay below 2^48, indexes below 2^12: see `kernel::commit`.
    bytes[..6].copy_from_slice(&position.0.to_be_bytes()[2..]);
    bytes[6..8].copy_from_slice(&((index & 0xfff) as u16).to_be_bytes());
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// What [`log_id`] named.
fn log_position(id: Uuid) -> (Position, u32) {
    let number = id.as_u128();
    let position = (number >> 80) as u64;
    let index = ((number >> 64) & 0xfff) as u32;
    (Position(position), index)
}
