//! What is asked of the server, one request at a time. Reads go to the stream's leader: a follower may
//! not know yet what was acknowledged.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::{
    Client, Request, RequestErrorKind,
    connection::State,
    jetstream::{
        Context, Error as ApiError, ErrorCode,
        message::StreamMessage,
        publish::PublishAck,
        response::Response,
        stream::{Info, RawMessageError, RawMessageErrorKind, Stream},
    },
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use wharf_domain::{
    kernel::{InvalidCommit, MAX_BODY_BYTES, Position, StoredCommit, StreamId},
    ports::{LogError, Refusal},
};

use super::{
    message::{Outgoing, decode},
    names::Names,
};

/// Codes of the server that mean: the stream does not end where the message expects.
const UNEXPECTED: [ErrorCode; 2] = [
    ErrorCode::STREAM_WRONG_LAST_SEQUENCE,
    ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT,
];

/// What lies between two tries to find the stream's leader.
const PAUSE: Duration = Duration::from_millis(100);

/// The way to one stream. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) names: Arc<Names>,
    /// The longest that one request waits for its answer.
    pub(super) patience: Duration,
}

/// What the server says to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is there; `duplicate`: it was before.
    Stored { position: Position, duplicate: bool },
    /// The stream does not end where the message expects, perhaps because of this very message.
    Unexpected,
    /// It is not there and will not be.
    Refused(Refusal),
    /// Nothing that could be relied on.
    Unknown,
}

impl Api {
    pub(super) fn new(client: Client, names: Names, patience: Duration) -> Self {
        let mut context = async_nats::jetstream::new(client.clone());
        context.set_timeout(patience);
        Self {
            client,
            context,
            names: Arc::new(names),
            patience,
        }
    }

    /// Which connection this is, counted from the first one.
    pub(super) fn connection(&self) -> Result<u64, LogError> {
        match self.client.connection_state() {
            State::Connected => {
                let made = &self.client.statistics().connects;
                Ok(made.load(Ordering::Acquire))
            }
            State::Pending | State::Disconnected => {
                Err(unavailable("there is no connection to the NATS servers"))
            }
        }
    }

    /// Sends a message once and waits for what the server says to it.
    pub(super) async fn publish(&self, message: Outgoing) -> Answer {
        let request = Request::new()
            .headers(message.headers)
            .payload(message.body)
            .timeout(Some(self.patience));
        let sent = self.client.send_request(message.subject, request);
        let answer = match sent.await {
            Ok(answer) => answer,
            Err(error) if error.kind() == RequestErrorKind::MaxPayloadExceeded => {
                return Answer::Refused(TOO_LARGE);
            }
            Err(error) => {
                tracing::debug!(%error, "a commit was not acknowledged");
                return Answer::Unknown;
            }
        };
        match serde_json::from_slice::<Response<PublishAck>>(&answer.payload) {
            Ok(Response::Ok(ack)) if ack.stream == self.names.stream => Answer::Stored {
                position: Position(ack.sequence),
                duplicate: ack.duplicate,
            },
            Ok(Response::Ok(_)) => Answer::Refused(Refusal::Closed(
                "another stream takes its subjects; give one of them another prefix",
            )),
            Ok(Response::Err { error }) => judge(&error),
            Err(error) => {
                tracing::warn!(%error, "an acknowledgement cannot be read");
                Answer::Unknown
            }
        }
    }

    /// The last commit of `stream`.
    pub(super) async fn last_of(
        &self,
        stream: &StreamId,
    ) -> Result<Option<StoredCommit>, LogError> {
        let handle = self.stream().await?;
        let last = handle
            .raw_message_builder()
            .last_by_subject(self.names.subject(stream));
        self.commit(last.send().await)
    }

    /// The first commit of `stream` at `from` or later.
    pub(super) async fn next_of(
        &self,
        stream: &StreamId,
        from: Position,
    ) -> Result<Option<StoredCommit>, LogError> {
        let handle = self.stream().await?;
        let next = handle
            .raw_message_builder()
            .sequence(from.0)
            .next_by_subject(self.names.subject(stream));
        self.commit(next.send().await)
    }

    /// The commit at `position`.
    pub(super) async fn at(&self, position: Position) -> Result<Option<StoredCommit>, LogError> {
        let handle = self.stream().await?;
        self.commit(
            handle
                .raw_message_builder()
                .sequence(position.0)
                .send()
                .await,
        )
    }

    /// What the stream's leader says about it.
    pub(super) async fn info(&self) -> Result<Info, LogError> {
        self.ask(format!("STREAM.INFO.{}", self.names.stream))
            .await?
            .map_err(unavailable)
    }

    /// The stream's last position; asks again until there is a leader or `limit` has passed.
    pub(super) async fn last(&self, limit: Duration) -> Result<Position, LogError> {
        let deadline = Instant::now() + limit;
        loop {
            match self.info().await {
                Ok(info) => return Ok(Position(info.state.last_sequence)),
                Err(error) if Instant::now() + PAUSE > deadline => return Err(error),
                Err(error) => tracing::debug!(%error, "the stream has no leader yet"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks for something without parameters: the outer error is that of the way, the inner one the
    /// server's.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        subject: String,
    ) -> Result<Result<T, ApiError>, LogError> {
        let answer = self.context.request(subject, &serde_json::json!({})).await;
        match answer.map_err(unavailable)? {
            Response::Ok(answer) => Ok(Ok(answer)),
            Response::Err { error } => Ok(Err(error)),
        }
    }

    async fn stream(&self) -> Result<Stream<()>, LogError> {
        let handle = self.context.get_stream_no_info(&self.names.stream);
        handle.await.map_err(unavailable)
    }

    fn commit(
        &self,
        found: Result<StreamMessage, RawMessageError>,
    ) -> Result<Option<StoredCommit>, LogError> {
        match found {
            Ok(found) => {
                let position = Position(found.sequence);
                let (subject, body) = (found.subject, found.payload);
                decode(position, &subject, Some(&found.headers), body, &self.names)
                    .map(Some)
                    .map_err(|what| damaged(position, what))
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }
}

const TOO_LARGE: Refusal = Refusal::Invalid(InvalidCommit::TooLarge(MAX_BODY_BYTES + 1));

/// What an error in the place of an acknowledgement means. What is unknown is in doubt.
fn judge(error: &ApiError) -> Answer {
    match error.error_code() {
        code if UNEXPECTED.contains(&code) => Answer::Unexpected,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => Answer::Refused(TOO_LARGE),
        ErrorCode::STREAM_NOT_MATCH => Answer::Refused(Refusal::Closed(
            "another stream takes its subjects; give one of them another prefix",
        )),
        ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => Answer::Refused(Refusal::Closed(
            "the NATS server's storage is full; give its account more",
        )),
        _ => {
            tracing::warn!(%error, "a commit was not taken");
            Answer::Unknown
        }
    }
}

/// The server could not be asked, or had no answer.
pub(super) fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LogError {
    LogError::Unavailable(error.into())
}

/// What is stored contradicts itself.
pub(super) fn damaged(position: Position, what: &str) -> LogError {
    LogError::Damaged {
        position,
        what: what.to_owned(),
    }
}
