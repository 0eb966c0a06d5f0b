//! Process manager: what follows from the end of a run.

use std::time::Duration;

use serde_json::json;

use super::event::{Failure, FailureClass, SyncRunEvent};
use crate::{
    integrations::{IntegrationCommand, Outcome},
    kernel::{IntegrationId, MessageId, Recorded, derive},
    ports::ConnectorError,
    webhooks::NewMessage,
};

/// Topic of the message for a run that brought everything, or what there was.
pub const SYNC_COMPLETED: &str = "sync.completed";
/// Topic of the message for a run that gave up.
pub const SYNC_FAILED: &str = "sync.failed";

/// What to do because of an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reaction {
    /// Commands to the run's integration, in order.
    pub commands: Vec<IntegrationCommand>,
    /// What subscribers hear.
    pub messages: Vec<NewMessage>,
}

/// The end of a run gives the lease back and is told to subscribers; a refused credential also asks
/// the user to connect again.
#[must_use]
pub fn react(integration: IntegrationId, recorded: &Recorded<SyncRunEvent>) -> Reaction {
    let message = |topic: &str, data: serde_json::Value| NewMessage {
        id: MessageId(derive(&[b"message", recorded.key().as_bytes()])),
        topic: topic.to_owned(),
        data,
        time: recorded.time,
        only: None,
    };
    match &recorded.event {
        SyncRunEvent::Started(_) | SyncRunEvent::PageRecorded(_) => Reaction::default(),
        SyncRunEvent::Completed(completed) => Reaction {
            commands: vec![IntegrationCommand::SettleSync {
                run_id: completed.run_id,
                outcome: completed.outcome,
                failure: completed.failure.clone(),
                now: recorded.time,
            }],
            messages: vec![message(
                SYNC_COMPLETED,
                json!({
                    "integration_id": integration,
                    "run_id": completed.run_id,
                    "outcome": completed.outcome,
                    "records": completed.records,
                    "deleted": completed.deleted,
                    "position": recorded.position,
                }),
            )],
        },
        SyncRunEvent::Failed(failed) => {
            let mut commands = vec![IntegrationCommand::SettleSync {
                run_id: failed.run_id,
                outcome: Outcome::Failed,
                failure: Some(failed.failure.clone()),
                now: recorded.time,
            }];
            if failed.failure.class == FailureClass::Unauthorized {
                commands.push(IntegrationCommand::RequireReauth {
                    reason: failed.failure.message.clone(),
                });
            }
            Reaction {
                commands,
                messages: vec![message(
                    SYNC_FAILED,
                    json!({
                        "integration_id": integration,
                        "run_id": failed.run_id,
                        "failure": failed.failure,
                        "position": recorded.position,
                    }),
                )],
            }
        }
    }
}

/// Tries of one page before the run gives up.
const MAX_TRIES: u32 = 6;
/// Wait after the first refusal; doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Most that a platform's `Retry-After` is waited for while the run holds its lease.
const MAX_WAIT: Duration = Duration::from_mins(15);

/// What a worker does after a platform refused a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask for the same page again after this.
    Wait(Duration),
    /// End the run.
    GiveUp(Failure),
}

/// Decides what follows the `tries`-th refusal in a row. `jitter` is a die's roll in 0..=1.
#[must_use]
pub fn after_refusal(tries: u32, error: &ConnectorError, jitter: f64) -> Next {
    let (class, asked) = match error {
        ConnectorError::Unauthorized => (FailureClass::Unauthorized, None),
        ConnectorError::RateLimited { retry_after } => (FailureClass::RateLimited, *retry_after),
        ConnectorError::Transient(_) => (FailureClass::Transient, None),
        ConnectorError::Permanent(_) | ConnectorError::Unsupported(_) => {
            (FailureClass::Permanent, None)
        }
        ConnectorError::Malformed(_) => (FailureClass::Malformed, None),
    };
    let passing = matches!(class, FailureClass::RateLimited | FailureClass::Transient);
    if !passing || tries >= MAX_TRIES || asked.is_some_and(|asked| asked > MAX_WAIT) {
        return Next::GiveUp(Failure {
            class,
            message: error.to_string(),
        });
    }
    let doubled = FIRST_WAIT * 2_u32.saturating_pow(tries.saturating_sub(1).min(16));
    let spread = doubled
        .min(MAX_WAIT)
        .mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
    Next::Wait(asked.map_or(spread, |asked| asked.max(spread)))
}
