//! The contract's shapes of a webhook and its logs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;
use wharf_domain::webhooks::RetryConfig;
use wharf_projections::webhooks::{AttemptRow, Outcome, Row};

use super::secrets::{MASK, masked};
use crate::extract::double;

/// Seconds that one attempt may take unless the webhook says otherwise.
const DEFAULT_TIMEOUT: u32 = 30;

/// Which webhooks to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only the token's own project is ever shown; naming another answers 404.
    pub(super) project_id: Option<String>,
    /// Only those that are, or are not, sent to.
    pub(super) is_active: Option<bool>,
    /// From 1.
    #[param(default = 1, minimum = 1)]
    pub(super) page: Option<u32>,
    /// Rows a page.
    #[param(default = 20, minimum = 1, maximum = 100)]
    pub(super) size: Option<u32>,
    /// Wait for the views to show what was written at this position.
    pub(super) after: Option<u64>,
}

/// Which attempts to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogsQuery {
    /// Only attempts of this message.
    pub(super) message_id: Option<Uuid>,
    /// Only those answered 2xx, or the others.
    pub(super) succeeded: Option<bool>,
    /// From 1.
    #[param(default = 1, minimum = 1)]
    pub(super) page: Option<u32>,
    /// Rows a page.
    #[param(default = 20, minimum = 1, maximum = 100)]
    pub(super) size: Option<u32>,
    /// Wait for the views to show what was written at this position.
    pub(super) after: Option<u64>,
}

/// A fixed schedule in place of the default one.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetrySchedule {
    /// Attempts after the first.
    #[schema(example = 3, maximum = 20)]
    pub(super) max_retries: u32,
    /// Seconds between attempts.
    #[schema(example = 5, minimum = 1, maximum = 86400)]
    pub(super) retry_delay: u32,
}

impl From<RetrySchedule> for RetryConfig {
    fn from(schedule: RetrySchedule) -> Self {
        Self {
            max_retries: schedule.max_retries,
            retry_delay: schedule.retry_delay,
        }
    }
}

const fn yes() -> bool {
    true
}

const fn default_timeout() -> u32 {
    DEFAULT_TIMEOUT
}

/// A webhook to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWebhook {
    /// The token's own project.
    #[schema(example = "project123")]
    pub(super) project_id: String,
    /// For people, 1 to 200 characters.
    #[schema(example = "Deployments", min_length = 1, max_length = 200)]
    pub(super) name: String,
    /// Where to; public addresses only, unless the operator allows others.
    #[schema(example = "https://api.example.com/webhook")]
    pub(super) url: String,
    /// Event types: `deployment.completed`, `deployment.*`, or `*`.
    #[schema(example = json!(["deployment.completed", "deployment.failed"]))]
    pub(super) events: Vec<String>,
    /// Extra headers of every attempt. Values rest in the vault and are shown masked.
    #[schema(example = json!({"Authorization": "Bearer token"}))]
    pub(super) headers: Option<BTreeMap<String, String>>,
    /// Signing secret, at least 12 bytes; generated unless given.
    #[schema(example = "webhook_secret", min_length = 12, max_length = 256)]
    pub(super) secret: Option<String>,
    /// Whether it is sent to.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub(super) is_active: bool,
    /// A schedule of its own; the default is ten attempts over three days.
    pub(super) retry_config: Option<RetrySchedule>,
    /// For one attempt.
    #[serde(default = "default_timeout")]
    #[schema(default = 30, minimum = 1, maximum = 60)]
    pub(super) timeout_seconds: u32,
    /// Also send `<prefix>-Signature` (hexadecimal HMAC of the body) and `<prefix>-Event`.
    #[schema(example = "X-DietTracker")]
    pub(super) compat_prefix: Option<String>,
}

/// A change of a webhook, a JSON merge patch (RFC 7396). What is absent stays, and so does a secret or
/// header value that is sent back masked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateWebhook {
    /// The token's own project; a webhook never moves.
    pub(super) project_id: Option<String>,
    /// New name.
    pub(super) name: Option<String>,
    /// New address.
    pub(super) url: Option<String>,
    /// New event types, whole.
    pub(super) events: Option<Vec<String>>,
    /// Merged into the headers; `null` removes one, or all.
    #[serde(default, deserialize_with = "double")]
    #[schema(value_type = Option<Object>)]
    pub(super) headers: Option<Option<BTreeMap<String, Option<String>>>>,
    /// New signing secret, at least 12 bytes.
    pub(super) secret: Option<String>,
    /// Whether it is sent to.
    pub(super) is_active: Option<bool>,
    /// New schedule; `null` is the default one.
    #[serde(default, deserialize_with = "double")]
    #[schema(value_type = Option<RetrySchedule>)]
    pub(super) retry_config: Option<Option<RetrySchedule>>,
    /// New time limit.
    pub(super) timeout_seconds: Option<u32>,
}

/// A test delivery. Everything is optional, the body too.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestWebhook {
    /// What to send as `data`.
    #[schema(value_type = Option<Object>, example = json!({"message": "hello"}))]
    pub(super) test_payload: Option<Value>,
}

/// Webhooks of the project.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookPage {
    /// Newest first.
    pub(super) webhooks: Vec<WebhookOut>,
    /// How many there are in all.
    pub(super) total: u64,
    /// This page.
    pub(super) page: u32,
    /// Rows a page.
    pub(super) size: u32,
}

/// A webhook.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookOut {
    id: Uuid,
    /// Whose it is.
    #[schema(example = "project123")]
    project_id: String,
    /// For people.
    name: String,
    /// Where to.
    url: String,
    /// Event types.
    events: Vec<String>,
    /// Extra headers, values masked.
    headers: BTreeMap<String, &'static str>,
    /// Signing secret: whole in the answer to its creation, masked ever after.
    #[schema(example = "whsec_…abcd")]
    pub(super) secret: String,
    /// Whether it is sent to.
    is_active: bool,
    /// Why the hub stopped sending to it.
    #[schema(nullable)]
    disabled_reason: Option<String>,
    /// A schedule of its own; null is the default one.
    #[schema(nullable)]
    retry_config: Option<RetrySchedule>,
    /// Seconds for one attempt.
    timeout_seconds: u32,
    /// Prefix of the extra signature headers.
    #[schema(nullable)]
    compat_prefix: Option<String>,
    /// When its last attempt began.
    #[schema(value_type = Option<String>, format = DateTime, nullable)]
    last_triggered_at: Option<Timestamp>,
    /// Attempts answered 2xx.
    success_count: u64,
    /// Attempts that failed.
    failure_count: u64,
    /// The `sub` of the token that created it.
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<&Row> for WebhookOut {
    fn from(row: &Row) -> Self {
        let definition = &row.definition;
        Self {
            id: row.id.0,
            project_id: row.project.to_string(),
            name: definition.name.clone(),
            url: definition.url.clone(),
            events: definition.events.clone(),
            headers: definition
                .header_names
                .iter()
                .map(|name| (name.clone(), MASK))
                .collect(),
            secret: masked(&row.secret_hint),
            is_active: definition.is_active,
            disabled_reason: row.disabled_reason.clone(),
            retry_config: definition.retry_config.map(|retry| RetrySchedule {
                max_retries: retry.max_retries,
                retry_delay: retry.retry_delay,
            }),
            timeout_seconds: definition.timeout_seconds,
            compat_prefix: definition.compat_prefix.clone(),
            last_triggered_at: row.last_triggered_at,
            success_count: row.success_count,
            failure_count: row.failure_count,
            created_by: row.created_by.clone(),
            created_at: row.created_at,
        }
    }
}

/// Attempts of a webhook.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptPage {
    /// Newest first.
    pub(super) logs: Vec<AttemptOut>,
    /// How many there are in all.
    pub(super) total: u64,
    /// This page.
    pub(super) page: u32,
    /// Rows a page.
    pub(super) size: u32,
}

/// One attempt to deliver a message.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptOut {
    /// Names it for ever.
    id: Uuid,
    webhook_id: Uuid,
    /// What was sent: `webhook-id` of the request.
    message_id: Uuid,
    /// The message's event type.
    #[schema(example = "deployment.completed")]
    event_type: String,
    /// From 1.
    attempt: u32,
    /// `succeeded`, `failed` (another attempt follows) or `exhausted` (none does).
    #[schema(example = "succeeded")]
    status: &'static str,
    /// HTTP status, if there was an answer.
    #[schema(nullable)]
    response_status: Option<u16>,
    /// Why it failed.
    #[schema(nullable)]
    error_message: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// How long it took, milliseconds.
    duration_ms: u64,
    /// When the next attempt is due.
    #[schema(value_type = Option<String>, format = DateTime, nullable)]
    next_attempt_at: Option<Timestamp>,
    /// Where in the log its outcome is.
    position: u64,
}

impl From<&AttemptRow> for AttemptOut {
    fn from(row: &AttemptRow) -> Self {
        Self {
            id: row.log_id,
            webhook_id: row.webhook.0,
            message_id: row.message_id.0,
            event_type: row.topic.clone(),
            attempt: row.attempt,
            status: match row.outcome {
                Outcome::Succeeded => "succeeded",
                Outcome::Failed => "failed",
                Outcome::Exhausted => "exhausted",
            },
            response_status: row.status,
            error_message: row.reason.clone(),
            started_at: row.started_at,
            duration_ms: row.duration_ms,
            next_attempt_at: row.next_attempt_at,
            position: row.position.0,
        }
    }
}
