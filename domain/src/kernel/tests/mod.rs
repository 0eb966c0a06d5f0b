//! What everything else is made of: names, commits, events and their old shapes.

mod commit;
mod event;
mod ids;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    CommitId, EventSet, Expected, Head, Metadata, NewCommit, ProjectId, StreamId, Upcaster, derive,
};

/// Third shape of a fact: a full name and its length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Named {
    full: String,
    letters: usize,
}

/// A fact that never changed its shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Forgotten {}

crate::events! {
    /// Events that only these tests know.
    enum TestEvent {
        /// Version 1 had `first` and `last`, version 2 `full`.
        Named(Named) = "test.named", 3;
        /// As it always was.
        Forgotten(Forgotten) = "test.forgotten", 1;
    }
    upcasters: &[
        Upcaster {
            type_tag: "test.named",
            from: 1,
            up: |data| {
                let part = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
                serde_json::json!({"full": format!("{} {}", part("first"), part("last"))})
            },
        },
        Upcaster {
            type_tag: "test.named",
            from: 2,
            up: |mut data| {
                let letters = data["full"].as_str().map_or(0, str::len);
                data["letters"] = letters.into();
                data
            },
        },
    ]
}

fn named(full: &str) -> TestEvent {
    TestEvent::Named(Named {
        full: full.into(),
        letters: full.len(),
    })
}

fn forgotten() -> TestEvent {
    TestEvent::Forgotten(Forgotten {})
}

fn project() -> ProjectId {
    "acme".parse().unwrap()
}

fn decisions() -> StreamId {
    StreamId::webhook(&project(), super::WebhookId(derive(&[b"webhook"])))
}

fn journal() -> StreamId {
    StreamId::messages(&project())
}

fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn meta() -> Metadata {
    Metadata {
        time: noon(),
        actor: "user:alice".into(),
        correlation: "request-1".into(),
        causation: Some("7.0".into()),
        idempotency_key: Some("key \"1\"".into()),
    }
}

fn commit(stream: StreamId, expected: Expected, events: &[TestEvent]) -> NewCommit {
    NewCommit {
        id: CommitId(derive(&[b"commit"])),
        stream,
        expected,
        events: events.iter().map(|event| event.encode().unwrap()).collect(),
        meta: meta(),
    }
}

fn head(position: u64, revision: u64) -> Head {
    Head {
        position: super::Position(position),
        revision: super::Revision(revision),
        hash: super::Hash::of(&[b"before"]),
    }
}
