//! Copies from and to a stream, see [`transfer`](crate::transfer()).
//!
//! A copy is written with the position as the expectation, so nothing comes to lie anywhere else: a
//! second copy at the same time, or a hub that writes, stops it.

use std::cmp::Ordering;

use async_nats::{
    Message,
    header::NATS_EXPECTED_LAST_SEQUENCE,
    jetstream::{publish::PublishAck, response::Response},
};
use async_trait::async_trait;
use futures::StreamExt as _;
use wharf_domain::{
    kernel::{Commit, Expected, Position, StoredCommit},
    ports::{EventLog, LogError},
};

use super::{
    api::{Api, damaged, unavailable},
    consumer,
    log::JetStreamLog,
    message::encode,
};
use crate::transfer::{ConsumerCheckpoint, Destination, Origin};

/// Commits that are on their way at the same time.
const IN_FLIGHT: usize = 256;

#[async_trait]
impl Origin for JetStreamLog {
    fn log(&self) -> &dyn EventLog {
        self
    }

    async fn checkpoints(&self) -> Result<Vec<ConsumerCheckpoint>, LogError> {
        checkpoints(self.api()).await
    }
}

#[async_trait]
impl Destination for JetStreamLog {
    fn log(&self) -> &dyn EventLog {
        self
    }

    async fn tail(&self) -> Result<Position, LogError> {
        EventLog::tail(self).await
    }

    async fn import(&self, commits: Vec<StoredCommit>) -> Result<(), LogError> {
        let api = self.api();
        let inbox = api.client.new_inbox();
        let answers = api.client.subscribe(format!("{inbox}.*")).await;
        let mut answers = answers.map_err(unavailable)?;
        for some in commits.chunks(IN_FLIGHT) {
            for commit in some {
                send(api, commit, format!("{inbox}.{}", commit.position)).await?;
            }
            for _ in some {
                let answer = tokio::time::timeout(api.patience, answers.next()).await;
                let answer = answer.map_err(unavailable)?;
                check(&answer.ok_or_else(|| unavailable("the connection is closed"))?)?;
            }
        }
        if let Some(last) = commits.last() {
            self.tell(last.position);
        }
        Ok(())
    }

    async fn finish(&self, checkpoints: Vec<ConsumerCheckpoint>) -> Result<(), LogError> {
        for checkpoint in checkpoints {
            consumer::carry(self.api(), &checkpoint.name, checkpoint.floor).await?;
        }
        Ok(())
    }
}

/// The durable consumers of the stream. The server tells a floor and keeps what lies above it to itself:
/// that comes again.
pub(super) async fn checkpoints(api: &Api) -> Result<Vec<ConsumerCheckpoint>, LogError> {
    let mut checkpoints: Vec<_> = consumer::all(api)
        .await?
        .into_iter()
        .map(|info| {
            let floor = Position(info.ack_floor.stream_sequence);
            ConsumerCheckpoint {
                name: info.name,
                floor,
                upto: floor,
                outstanding: Vec::new(),
            }
        })
        .collect();
    checkpoints.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(checkpoints)
}

/// Sends one commit to its own position. One after the other on one connection, they are taken in this
/// order.
async fn send(api: &Api, stored: &StoredCommit, answer_to: String) -> Result<(), LogError> {
    let commit = Commit {
        id: stored.id,
        stream: stored.stream.clone(),
        expected: Expected::Any,
        revision: stored.revision,
        events: stored.events,
        headers: stored.headers.clone(),
        body: stored.body.clone(),
        prev: stored.prev,
        hash: stored.hash,
    };
    let mut message = encode(&commit, &api.names);
    let before = stored.position.0.saturating_sub(1);
    message
        .headers
        .insert(NATS_EXPECTED_LAST_SEQUENCE, before.to_string());
    let sent = api.client.publish_with_reply_and_headers(
        message.subject,
        answer_to,
        message.headers,
        message.body,
    );
    sent.await.map_err(unavailable)
}

/// Whether the answer says that a commit lies where it belongs.
fn check(answer: &Message) -> Result<(), LogError> {
    let sent_to = answer.subject.rsplit('.').next();
    let Some(position) = sent_to.and_then(|at| at.parse().ok()).map(Position) else {
        return Err(unavailable("an answer to nothing arrived"));
    };
    if answer.status.is_some() {
        return Err(unavailable("nobody takes the stream's subjects"));
    }
    match serde_json::from_slice(&answer.payload).map_err(unavailable)? {
        Response::Ok::<PublishAck>(ack) => match ack.sequence.cmp(&position.0) {
            Ordering::Equal => Ok(()),
            Ordering::Less => Err(damaged(
                position,
                &format!("its id is that of the commit at {}", ack.sequence),
            )),
            Ordering::Greater => Err(damaged(position, "the stream has other commits")),
        },
        Response::Err { error } => Err(unavailable(error)),
    }
}
