//! Commits: limits, expectations, the hash chain, and what is read back.

use serde_json::{Value, json};

use super::{
    super::{
        CommitId, Expected, Hash, InvalidCommit, MAX_BODY_BYTES, MAX_EVENTS, NewEvent, Position,
        Revision, StoredCommit, StreamId, WebhookId, decode_all, derive,
    },
    TestEvent, commit, decisions, forgotten, head, journal, meta, named, noon, project,
};

fn stored() -> StoredCommit {
    commit(
        decisions(),
        Expected::At(head(41, 3)),
        &[named("Ada Lovelace"), forgotten()],
    )
    .encode()
    .unwrap()
    .stored_at(Position(42))
}

#[test]
fn a_commit_states_one_to_256_facts() {
    let of = |events: &[TestEvent]| {
        commit(journal(), Expected::Any, events)
            .encode()
            .map(|commit| commit.events)
    };
    assert_eq!(of(&[]).unwrap_err(), InvalidCommit::Empty);
    assert_eq!(of(&[forgotten()]).unwrap(), 1);
    assert_eq!(of(&vec![forgotten(); MAX_EVENTS]).unwrap(), 256);
    assert_eq!(
        of(&vec![forgotten(); MAX_EVENTS + 1]).unwrap_err(),
        InvalidCommit::TooManyEvents(257)
    );
}

#[test]
fn a_body_has_at_most_768_kib() {
    let sized = |bytes: usize| {
        let mut commit = commit(journal(), Expected::Any, &[]);
        commit
            .events
            .push(NewEvent::of("test.named", 1, &"x".repeat(bytes)).unwrap());
        commit.encode()
    };
    let envelope = sized(0).unwrap().body.len();
    let largest = sized(MAX_BODY_BYTES - envelope).unwrap();
    assert_eq!(largest.body.len(), MAX_BODY_BYTES);
    assert_eq!(
        sized(MAX_BODY_BYTES - envelope + 1).unwrap_err(),
        InvalidCommit::TooLarge(MAX_BODY_BYTES + 1)
    );
}

#[test]
fn headers_have_a_limit_too() {
    let mut commit = commit(journal(), Expected::Any, &[forgotten()]);
    commit.meta.idempotency_key = Some("k".repeat(32 * 1024));
    assert!(matches!(
        commit.encode().unwrap_err(),
        InvalidCommit::TooLarge(_)
    ));
}

#[test]
fn a_decision_needs_an_expectation_and_a_journal_takes_none() {
    let of = |stream: StreamId, expected| {
        commit(stream, expected, &[forgotten()])
            .encode()
            .map(|commit| commit.revision)
    };
    let at = Expected::At(head(41, 3));
    assert_eq!(of(decisions(), Expected::NoStream), Ok(Revision(1)));
    assert_eq!(of(decisions(), at), Ok(Revision(4)));
    assert_eq!(of(journal(), Expected::Any), Ok(Revision(0)));
    for (stream, expected) in [
        (decisions(), Expected::Any),
        (journal(), Expected::NoStream),
        (journal(), at),
    ] {
        assert_eq!(of(stream, expected), Err(InvalidCommit::WrongExpectation));
    }
}

#[test]
fn a_commit_continues_the_chain_that_it_expects() {
    let of = |stream, expected| commit(stream, expected, &[forgotten()]).encode().unwrap();
    assert_eq!(of(decisions(), Expected::NoStream).prev, Hash::ZERO);
    assert_eq!(of(journal(), Expected::Any).prev, Hash::ZERO);
    let before = head(41, 3);
    let next = of(decisions(), Expected::At(before));
    assert_eq!(next.prev, before.hash);
    assert_ne!(next.hash, of(decisions(), Expected::NoStream).hash);
}

#[test]
fn the_head_after_a_commit_is_its_last_event() {
    let stored = stored();
    assert_eq!(stored.revision, Revision(4));
    let head = stored.head();
    assert_eq!(head.position, Position(42));
    assert_eq!(head.revision, Revision(5));
    assert_eq!(head.hash, stored.hash);
}

#[test]
fn a_changed_byte_anywhere_breaks_the_chain() {
    let whole = stored();
    assert!(whole.is_intact());
    for at in 0..whole.body.len() {
        let mut body = whole.body.to_vec();
        body[at] ^= 1;
        let changed = StoredCommit {
            body: body.into(),
            ..whole.clone()
        };
        assert!(!changed.is_intact(), "byte {at}");
    }
    let changes: [fn(&mut StoredCommit); 6] = [
        |commit| commit.id = CommitId(derive(&[b"other"])),
        |commit| commit.stream = StreamId::webhook(&project(), WebhookId(derive(&[b"other"]))),
        |commit| commit.revision = Revision(5),
        |commit| commit.headers = commit.headers.replace("alice", "mallory"),
        |commit| commit.prev = Hash::ZERO,
        |commit| commit.hash.0[31] ^= 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = whole.clone();
        change(&mut changed);
        assert!(!changed.is_intact(), "change {number}");
    }
}

/// The position is given by the log after the hash was made, so it is not part of it: the same commit
/// keeps its hash in another log.
#[test]
fn a_commit_keeps_its_hash_at_any_position() {
    let mut moved = stored();
    moved.position = Position(1);
    assert!(moved.is_intact());
}

#[test]
fn what_is_read_back_is_what_was_appended() {
    let recorded = decode_all::<TestEvent>(&stored()).unwrap();
    let events: Vec<_> = recorded.iter().map(|r| r.event.clone()).collect();
    assert_eq!(events, [named("Ada Lovelace"), forgotten()]);
    for (index, recorded) in (0..).zip(&recorded) {
        assert_eq!(recorded.key(), format!("42.{index}"));
        assert_eq!(recorded.stream, decisions());
        assert_eq!(recorded.time, noon());
        assert_eq!(recorded.meta, meta());
    }
}

#[test]
fn a_body_is_a_batch_of_cloud_events() {
    let stored = stored();
    let body: Value = serde_json::from_slice(&stored.body).unwrap();
    assert_eq!(
        body[0],
        json!({
            "specversion": "1.0",
            "id": format!("{}.0", stored.id),
            "source": "/acme/webhook",
            "subject": decisions().key(),
            "type": "test.named",
            "time": "2026-03-01T12:00:00Z",
            "schemaversion": 3,
            "data": {"full": "Ada Lovelace", "letters": 12},
        })
    );
    assert_eq!(body[1]["id"], format!("{}.1", stored.id));
    assert_eq!(body.as_array().unwrap().len(), 2);
    let headers: Value = serde_json::from_str(&stored.headers).unwrap();
    assert_eq!(
        headers,
        json!({
            "time": "2026-03-01T12:00:00Z",
            "actor": "user:alice",
            "correlation": "request-1",
            "causation": "7.0",
            "idempotency_key": "key \"1\"",
            "types": ["test.named", "test.forgotten"],
        })
    );
}

#[test]
fn positions_count_from_the_first_commit() {
    assert_eq!(Position::START.next(), Position(1));
    assert_eq!(Position(1).to_string(), "1");
    assert!(Position(9) < Position(10));
}
