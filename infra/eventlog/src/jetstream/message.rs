//! A commit as a message, and back: the same bytes on both sides, so that hashes go on to verify.
//!
//! What is hashed travels in `Wharf-Meta`, in the message's id and in the body. The other headers say
//! the same once more in pieces, for subscribers that filter without parsing; one that would be too
//! long is left out.

use std::borrow::Cow;

use async_nats::{
    HeaderMap, Subject,
    header::{
        HeaderName, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID,
    },
};
use bytes::Bytes;
use serde::Deserialize;
use wharf_domain::kernel::{Commit, CommitId, Expected, Hash, Position, Revision, StoredCommit};

use super::names::Names;

const CONTENT_TYPE: HeaderName = HeaderName::from_static("Content-Type");
/// [`Commit::headers`], as hashed.
const META: HeaderName = HeaderName::from_static("Wharf-Meta");
const REVISION: HeaderName = HeaderName::from_static("Wharf-Revision");
const EVENTS: HeaderName = HeaderName::from_static("Wharf-Events");
const PREV: HeaderName = HeaderName::from_static("Wharf-Prev");
const HASH: HeaderName = HeaderName::from_static("Wharf-Hash");
/// The kinds of events in it, each once, with commas between them.
const TYPES: HeaderName = HeaderName::from_static("Wharf-Types");
const ACTOR: HeaderName = HeaderName::from_static("Wharf-Actor");
const CORRELATION: HeaderName = HeaderName::from_static("Wharf-Correlation");
const CAUSATION: HeaderName = HeaderName::from_static("Wharf-Causation");

/// The media type of a body: `CloudEvents` 1.0, JSON event format, §4.
const BATCH: &str = "application/cloudevents-batch+json";
/// Bytes of a header that only repeats something; the block of all of them is limited to 64 KiB.
const REPEATED_BYTES: usize = 2048;

/// A commit, ready to be sent as often as necessary.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) subject: Subject,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What of a commit's headers a subscriber might filter by.
#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow)]
    actor: Cow<'a, str>,
    #[serde(borrow)]
    correlation: Cow<'a, str>,
    #[serde(default, borrow)]
    causation: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    types: Vec<Cow<'a, str>>,
}

/// The message of `commit`.
pub(super) fn encode(commit: &Commit, names: &Names) -> Outgoing {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, commit.id.to_string());
    headers.insert(NATS_EXPECTED_STREAM, names.stream.as_str());
    let expected = match commit.expected {
        Expected::At(head) => Some(head.position),
        Expected::NoStream => Some(Position::START),
        Expected::Any => None,
    };
    if let Some(position) = expected {
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, position.to_string());
    }
    headers.insert(CONTENT_TYPE, BATCH);
    headers.insert(REVISION, commit.revision.0.to_string());
    headers.insert(EVENTS, commit.events.to_string());
    headers.insert(HASH, commit.hash.to_string());
    if commit.prev != Hash::ZERO {
        headers.insert(PREV, commit.prev.to_string());
    }
    if let Ok(meta) = serde_json::from_str::<Meta<'_>>(&commit.headers) {
        repeat(&mut headers, ACTOR, &meta.actor);
        repeat(&mut headers, CORRELATION, &meta.correlation);
        repeat(
            &mut headers,
            CAUSATION,
            meta.causation.as_deref().unwrap_or_default(),
        );
        let mut types = meta.types;
        types.sort_unstable();
        types.dedup();
        repeat(&mut headers, TYPES, &types.join(","));
    }
    if is_one_line(&commit.headers) {
        headers.insert(META, commit.headers.as_str());
    }
    Outgoing {
        subject: names.subject(&commit.stream).into(),
        headers,
        body: commit.body.clone(),
    }
}

/// Whether a commit's headers can be a header: JSON as we write it always can.
pub(super) fn is_one_line(headers: &str) -> bool {
    headers.trim() == headers && !headers.contains(['\r', '\n'])
}

fn repeat(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if !value.is_empty() && value.len() <= REPEATED_BYTES && is_one_line(value) {
        headers.insert(name, value);
    }
}

/// The commit of a message; what is wrong with it if it is none.
pub(super) fn decode(
    position: Position,
    subject: &str,
    headers: Option<&HeaderMap>,
    body: Bytes,
    names: &Names,
) -> Result<StoredCommit, &'static str> {
    let headers = headers.ok_or("it has no headers")?;
    let header = |name: HeaderName| headers.get(name).map(async_nats::HeaderValue::as_str);
    let number = |name: HeaderName| header(name).and_then(|text| text.parse::<u64>().ok());
    let hash = |name: HeaderName| header(name).and_then(|text| text.parse::<Hash>().ok());
    Ok(StoredCommit {
        position,
        id: commit_id(headers).ok_or("it has no commit id")?,
        stream: names.parse(subject).ok_or("its subject names no stream")?,
        revision: Revision(number(REVISION).ok_or("it has no revision")?),
        events: number(EVENTS)
            .and_then(|events| u32::try_from(events).ok())
            .ok_or("it has no number of events")?,
        headers: header(META).ok_or("it has no metadata")?.to_owned(),
        body,
        prev: match header(PREV) {
            Some(_) => hash(PREV).ok_or("the hash before it cannot be read")?,
            None => Hash::ZERO,
        },
        hash: hash(HASH).ok_or("it has no hash")?,
    })
}

/// The id of the commit in a message.
pub(super) fn commit_id(headers: &HeaderMap) -> Option<CommitId> {
    headers.get(NATS_MESSAGE_ID)?.as_str().parse().ok()
}
