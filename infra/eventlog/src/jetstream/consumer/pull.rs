//! One question to a consumer of the server: so many commits, now or as soon as there are any.
//!
//! The library's own streams ask ahead, and so hold what nobody fetched; this asks for what a fetch
//! wants and no more. See ADR-37 of the server for the fields and the status codes.

use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subject, jetstream};
use serde::Serialize;
use wharf_domain::{kernel::Position, ports::LogError};

use crate::jetstream::api::{Api, unavailable};

/// How long the server keeps a question.
const KEPT: Duration = Duration::from_secs(30);
/// How often it says meanwhile that it is still there.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Nothing for so long: the question is lost.
pub(super) const SILENCE: Duration = Duration::from_millis(2500);

#[derive(Serialize)]
struct Question {
    batch: usize,
    /// Nanoseconds.
    expires: u64,
    /// Nanoseconds.
    idle_heartbeat: u64,
    /// The answer ends with what is there, however little that is.
    no_wait: bool,
}

/// What arrived.
#[derive(Debug)]
pub(super) enum Arrived {
    /// A commit.
    Commit {
        position: Position,
        ack_to: Subject,
        again: bool,
    },
    /// The server is still there.
    Heartbeat,
    /// There is nothing more for the question.
    End,
    /// The question was not taken; soon another one may be.
    Refused,
    /// The consumer does not exist.
    Deleted,
}

/// Asks for `batch` commits, to be sent to `inbox`.
pub(super) async fn ask(
    client: &Client,
    api: &Api,
    consumer: &str,
    inbox: &Subject,
    batch: usize,
) -> Result<(), LogError> {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let question = Question {
        batch,
        expires: nanos(KEPT),
        idle_heartbeat: nanos(HEARTBEAT),
        no_wait: true,
    };
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{consumer}", api.names.stream);
    let question = serde_json::to_vec(&question).map_err(unavailable)?;
    client
        .publish_with_reply(subject, inbox.clone(), question.into())
        .await
        .map_err(unavailable)
}

/// What a message says.
pub(super) fn read(api: &Api, message: Message) -> Arrived {
    match message.status {
        None => {}
        Some(StatusCode::IDLE_HEARTBEAT) => return Arrived::Heartbeat,
        Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => return Arrived::End,
        Some(StatusCode::REQUEST_TERMINATED)
            if message.description.as_deref() == Some("Consumer Deleted") =>
        {
            return Arrived::Deleted;
        }
        Some(status) => {
            tracing::debug!(%status, description = message.description, "a fetch was refused");
            return Arrived::Refused;
        }
    }
    let context = api.context.clone();
    let message = jetstream::Message { message, context };
    let described = message.info();
    match (&described, &message.reply) {
        (Ok(described), Some(ack_to)) => Arrived::Commit {
            position: Position(described.stream_sequence),
            ack_to: ack_to.clone(),
            again: described.delivered > 1,
        },
        (Ok(_) | Err(_), _) => {
            tracing::warn!("a message that cannot be acknowledged arrived");
            Arrived::Refused
        }
    }
}
