//! Process manager: what follows from the end of a run.

use serde_json::json;

use super::event::{FailureClass, SyncRunEvent};
use crate::{
    integrations::{IntegrationCommand, Outcome},
    kernel::{IntegrationId, MessageId, Recorded, derive},
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
