//! Commits: the unit of the log. One commit is 1..n events of one stream, stored whole or not at all.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    event::NewEvent,
    hash::Hash,
    ids::CommitId,
    stream::{Kind, StreamId},
};

/// Most events in one commit.
pub const MAX_EVENTS: usize = 256;
/// Most bytes in a commit's body. With headers it stays below the 1 MiB that NATS allows a message.
pub const MAX_BODY_BYTES: usize = 768 * 1024;
/// Most bytes in a commit's headers; NATS allows 64 KiB.
pub const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Index of a commit in the entire log; the first is 1, 0 is "before everything". Gapless.
///
/// The same number in every implementation of the log: a `SQLite` rowid, a `JetStream` sequence.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before the first commit.
    pub const START: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Index of an event in its decision stream; the first is 1, 0 is "no stream". Journals have none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// Where a decision stream ends: what the next append must build upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Position of the stream's last commit.
    pub position: Position,
    /// Revision of the stream's last event.
    pub revision: Revision,
    /// Chain hash of the stream's last commit.
    pub hash: Hash,
}

/// The optimistic precondition of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The stream's last commit is this one.
    At(Head),
    /// The stream has no commit yet.
    NoStream,
    /// No precondition: journals only.
    Any,
}

/// Who did it and why; the same for every event of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// When it was decided.
    pub time: Timestamp,
    /// Who asked: `user:<sub>`, or `system:<part>` for the hub itself.
    pub actor: String,
    /// What belongs together: the id of the request, or of the tick, that began it all.
    pub correlation: String,
    /// The event that caused this, as `position.index`; none where a caller did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<String>,
    /// The caller's `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// A commit to be: checked and turned into bytes by [`NewCommit::encode`].
#[derive(Clone, Debug)]
pub struct NewCommit {
    /// Names this commit for ever; a repeat is no second commit.
    pub id: CommitId,
    /// Where it goes.
    pub stream: StreamId,
    /// What it builds upon.
    pub expected: Expected,
    /// The facts.
    pub events: Vec<NewEvent>,
    /// Who and why.
    pub meta: Metadata,
}

/// Why a commit is none. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommit {
    /// A commit states at least one fact.
    #[error("a commit has at least one event")]
    Empty,
    /// More than [`MAX_EVENTS`].
    #[error("a commit has at most {MAX_EVENTS} events, this one has {0}")]
    TooManyEvents(usize),
    /// More than [`MAX_BODY_BYTES`], or headers over their limit.
    #[error("a commit has at most {MAX_BODY_BYTES} bytes, this one has {0}")]
    TooLarge(usize),
    /// A decision stream needs an expectation, a journal takes none.
    #[error("a decision stream needs an expectation, a journal takes none")]
    WrongExpectation,
    /// The chain that the expectation continues is not the one stored.
    #[error("the commit does not continue the stream's hash chain")]
    BrokenChain,
}

/// A commit in bytes: what a log stores, hashes and hands to subscribers.
#[derive(Clone, Debug)]
pub struct Commit {
    /// See [`NewCommit::id`].
    pub id: CommitId,
    /// See [`NewCommit::stream`].
    pub stream: StreamId,
    /// See [`NewCommit::expected`].
    pub expected: Expected,
    /// Revision of the first event; 0 in a journal.
    pub revision: Revision,
    /// How many events the body holds.
    pub events: u32,
    /// [`Metadata`] and the event types, as JSON.
    pub headers: String,
    /// `CloudEvents` 1.0 in the JSON batch format, one element an event.
    pub body: Bytes,
    /// Chain hash of the commit before it in its stream; zero for the first and in journals.
    pub prev: Hash,
    /// Hash of all of the above but `expected`.
    pub hash: Hash,
}

/// A commit as the log gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCommit {
    /// Where it lies.
    pub position: Position,
    /// See [`Commit::id`].
    pub id: CommitId,
    /// See [`Commit::stream`].
    pub stream: StreamId,
    /// See [`Commit::revision`].
    pub revision: Revision,
    /// See [`Commit::events`].
    pub events: u32,
    /// See [`Commit::headers`].
    pub headers: String,
    /// See [`Commit::body`].
    pub body: Bytes,
    /// See [`Commit::prev`].
    pub prev: Hash,
    /// See [`Commit::hash`].
    pub hash: Hash,
}

#[derive(Serialize)]
struct Headers<'a> {
    #[serde(flatten)]
    meta: &'a Metadata,
    types: Vec<&'a str>,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    subject: &'a str,
    #[serde(rename = "type")]
    type_tag: &'a str,
    time: Timestamp,
    schemaversion: u32,
    data: &'a RawValue,
}

/// One event inside a stored commit, borrowed from its body.
#[derive(Clone, Debug, Deserialize)]
pub struct RawEvent<'a> {
    /// `<aggregate>.<past_participle>`.
    #[serde(rename = "type", borrow)]
    pub type_tag: std::borrow::Cow<'a, str>,
    /// Version of the shape of `data`.
    #[serde(rename = "schemaversion")]
    pub version: u32,
    /// The fact itself.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl NewCommit {
    /// Checks the limits and renders the commit.
    ///
    /// # Errors
    /// [`InvalidCommit`] says which limit or rule it breaks.
    pub fn encode(self) -> Result<Commit, InvalidCommit> {
        if self.events.is_empty() {
            return Err(InvalidCommit::Empty);
        }
        if self.events.len() > MAX_EVENTS {
            return Err(InvalidCommit::TooManyEvents(self.events.len()));
        }
        let (revision, prev) = match (self.stream.category.kind(), self.expected) {
            (Kind::Decision, Expected::NoStream) => (Revision(1), Hash::ZERO),
            (Kind::Decision, Expected::At(head)) => (Revision(head.revision.0 + 1), head.hash),
            (Kind::Journal, Expected::Any) => (Revision(0), Hash::ZERO),
            (Kind::Decision, Expected::Any)
            | (Kind::Journal, Expected::At(_) | Expected::NoStream) => {
                return Err(InvalidCommit::WrongExpectation);
            }
        };
        let source = format!("/{}/{}", self.stream.project, self.stream.category.as_str());
        let batch: Vec<_> = (0_u32..)
            .zip(&self.events)
            .map(|(index, event)| CloudEvent {
                specversion: "1.0",
                id: format!("{}.{index}", self.id),
                source: &source,
                subject: self.stream.key(),
                type_tag: &event.type_tag,
                time: self.meta.time,
                schemaversion: event.version,
                data: &event.data,
            })
            .collect();
        // Strings, numbers and already valid JSON: neither rendering can fail.
        let body = serde_json::to_vec(&batch).unwrap_or_default();
        let headers = serde_json::to_string(&Headers {
            meta: &self.meta,
            types: self
                .events
                .iter()
                .map(|event| event.type_tag.as_ref())
                .collect(),
        })
        .unwrap_or_default();
        if body.len() > MAX_BODY_BYTES || headers.len() > MAX_HEADER_BYTES {
            return Err(InvalidCommit::TooLarge(body.len().max(headers.len())));
        }
        let hash = chain(prev, self.id, &self.stream, revision, &headers, &body);
        Ok(Commit {
            id: self.id,
            stream: self.stream,
            expected: self.expected,
            revision,
            events: self.events.len() as u32,
            headers,
            body: body.into(),
            prev,
            hash,
        })
    }
}

/// The hash of a commit: over the hash before it in its stream and everything that is stored of it,
/// but not over its position, which is known only afterwards.
#[must_use]
pub(super) fn chain(
    prev: Hash,
    id: CommitId,
    stream: &StreamId,
    revision: Revision,
    headers: &str,
    body: &[u8],
) -> Hash {
    Hash::of(&[
        &prev.0,
        id.0.as_bytes(),
        stream.to_string().as_bytes(),
        &revision.0.to_be_bytes(),
        headers.as_bytes(),
        body,
    ])
}

impl Commit {
    /// The commit as it is read back from `position`.
    #[must_use]
    pub fn stored_at(&self, position: Position) -> StoredCommit {
        StoredCommit {
            position,
            id: self.id,
            stream: self.stream.clone(),
            revision: self.revision,
            events: self.events,
            headers: self.headers.clone(),
            body: self.body.clone(),
            prev: self.prev,
            hash: self.hash,
        }
    }
}

impl StoredCommit {
    /// Who and why.
    ///
    /// # Errors
    /// The headers are not ours: the log was damaged or written by something else.
    pub fn meta(&self) -> Result<Metadata, serde_json::Error> {
        serde_json::from_str(&self.headers)
    }

    /// The events, in order.
    ///
    /// # Errors
    /// The body is not ours: the log was damaged or written by something else.
    pub fn raw_events(&self) -> Result<Vec<RawEvent<'_>>, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// Where the stream ends if this is its last commit.
    #[must_use]
    pub const fn head(&self) -> Head {
        Head {
            position: self.position,
            revision: Revision(self.revision.0 + self.events as u64 - 1),
            hash: self.hash,
        }
    }

    /// Whether the bytes are those that were hashed when the commit was made.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.hash
            == chain(
                self.prev,
                self.id,
                &self.stream,
                self.revision,
                &self.headers,
                &self.body,
            )
    }
}
