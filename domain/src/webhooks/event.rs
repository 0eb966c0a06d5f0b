//! What happens to webhooks, messages and deliveries.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::kernel::{MessageId, Position, WebhookId};

crate::events! {
    /// What happens to a webhook.
    pub enum WebhookEvent {
        /// It was set up.
        Created(Created) = "webhook.created", 1;
        /// Something of it changed.
        Updated(Updated) = "webhook.updated", 1;
        /// The hub stopped sending to it.
        Disabled(Disabled) = "webhook.disabled", 1;
        /// It is gone.
        Deleted(Deleted) = "webhook.deleted", 1;
    }
}

crate::events! {
    /// What a project's journal holds.
    pub enum MessageEvent {
        /// There is something to send.
        Accepted(Accepted) = "message.accepted", 1;
    }
}

crate::events! {
    /// What became of a delivery. The key of an event in the fold is (message, attempt).
    pub enum DeliveryEvent {
        /// The receiver answered 2xx.
        AttemptSucceeded(AttemptSucceeded) = "delivery.attempt_succeeded", 1;
        /// It did not. With `next_attempt_at` this is a timer.
        AttemptFailed(AttemptFailed) = "delivery.attempt_failed", 1;
        /// No further attempt will be made.
        Exhausted(Exhausted) = "delivery.exhausted", 1;
    }
}

/// A fixed schedule in place of the default one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryConfig {
    /// Attempts after the first.
    pub max_retries: u32,
    /// Seconds between attempts.
    pub retry_delay: u32,
}

/// See [`WebhookEvent::Created`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// For people.
    pub name: String,
    /// Where to.
    pub url: String,
    /// Topics; `*` is all, `task.*` all that begin so.
    pub events: Vec<String>,
    /// Names of the extra headers; their values lie in the vault.
    pub header_names: Vec<String>,
    /// Generation of the header values in the vault; 0 without any.
    pub headers_generation: u64,
    /// Generation of the signing secret in the vault.
    pub secret_generation: u64,
    /// Its last four characters, to recognise it by.
    pub secret_hint: String,
    /// Prefix of the extra signature headers `<prefix>-Signature` and `<prefix>-Event`, if wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat_prefix: Option<String>,
    /// Whether it is sent to.
    pub is_active: bool,
    /// A schedule of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_config: Option<RetryConfig>,
    /// For one attempt, whole.
    pub timeout_seconds: u32,
    /// The token's `sub`.
    pub created_by: String,
}

/// See [`WebhookEvent::Updated`]. What is `None` did not change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updated {
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// New topics, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// New header names, whole, and the generation of their values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<(Vec<String>, u64)>,
    /// New signing secret: generation and hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<(u64, String)>,
    /// Whether it is sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
    /// New schedule; `Some(None)` is the default one.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "some_null")]
    pub retry_config: Option<Option<RetryConfig>>,
    /// New time limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

/// `null` is `Some(None)`; absence is `None`.
mod some_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<Option<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value
            .as_ref()
            .and_then(Option::as_ref)
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::deserialize(deserializer).map(Some)
    }
}

/// See [`WebhookEvent::Disabled`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// For people.
    pub reason: String,
}

/// See [`WebhookEvent::Deleted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {}

/// See [`MessageEvent::Accepted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// `webhook-id` on the wire.
    pub message_id: MessageId,
    /// What kind of message.
    pub topic: String,
    /// When it happened; the message's `timestamp`.
    pub time: Timestamp,
    /// The body as it is sent, sealed under the project's data key with
    /// [`super::message_context`]; base64.
    pub sealed: String,
    /// Bytes of the body.
    pub bytes: u32,
    /// Only to this webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<WebhookId>,
}

/// One try of one delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What was sent.
    pub message_id: MessageId,
    /// Where in the log it was accepted.
    pub message_position: Position,
    /// Which event of that commit.
    pub message_index: u32,
    /// Its topic.
    pub topic: String,
    /// From 1.
    pub attempt: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
}

/// See [`DeliveryEvent::AttemptSucceeded`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptSucceeded {
    /// Which try of what.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// HTTP status, 2xx.
    pub status: u16,
}

/// See [`DeliveryEvent::AttemptFailed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptFailed {
    /// Which try of what.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// HTTP status, if there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// For people: what went wrong; never a body, never a secret.
    pub reason: String,
    /// When to try again; none if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
}

/// See [`DeliveryEvent::Exhausted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhausted {
    /// What was not delivered.
    pub message_id: MessageId,
    /// Attempts made.
    pub attempts: u32,
}
