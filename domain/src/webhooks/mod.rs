//! Webhooks: places outside to which we send signed messages, and never lose one.
//!
//! - [`Webhook`]: the aggregate, where and what to send.
//! - [`MessageEvent`]: journal of a project, what there is to send.
//! - [`DeliveryEvent`]: journal of a webhook, what became of each attempt.
//! - [`process`]: decides what follows an attempt. Workers only send and report.
//!
//! A message goes to the webhooks that match as of the message's position.

mod command;
mod event;
pub mod process;
pub mod signature;
#[cfg(test)]
mod tests;
mod webhook;

pub use command::{Change, Create, WebhookCommand};
pub use event::{
    Accepted, Attempt, AttemptFailed, AttemptSucceeded, Created, Deleted, DeliveryEvent, Disabled,
    Exhausted, MessageEvent, RetryConfig, Updated, WebhookEvent,
};
pub use webhook::{Definition, Refusal, Webhook};

use jiff::Timestamp;

use crate::kernel::{MessageId, WebhookId};

/// The vault's field of a webhook's signing secret.
pub const SECRET_FIELD: &str = "signing_secret";
/// The vault's field of a webhook's header values, as one JSON object.
pub const HEADERS_FIELD: &str = "headers";
/// The contract's event types; a project may send any of them.
pub const EVENT_TYPES: [&str; 11] = [
    "project.created",
    "project.updated",
    "project.deleted",
    "task.created",
    "task.updated",
    "task.completed",
    "user.registered",
    "user.updated",
    "deployment.started",
    "deployment.completed",
    "deployment.failed",
];
/// Topics that the hub itself sends.
pub const HUB_TOPICS: [&str; 3] = [
    crate::syncs::process::SYNC_COMPLETED,
    crate::syncs::process::SYNC_FAILED,
    "webhook.test",
];

/// Most bytes of a message's body.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// A message to be accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    /// `webhook-id` on the wire.
    pub id: MessageId,
    /// The contract's `event_type`.
    pub topic: String,
    /// What it says; sealed under the project's key before it enters the log.
    pub data: serde_json::Value,
    /// When it happened.
    pub time: Timestamp,
    /// Send it to this webhook only, whatever it subscribed to: a test.
    pub only: Option<WebhookId>,
}

/// What the seal of a message's payload is bound to.
#[must_use]
pub fn message_context(id: MessageId) -> Vec<u8> {
    format!("message/{id}").into_bytes()
}
