//! Appending: whole or not at all, once, and only where it was decided.

use std::collections::BTreeSet;

use futures::future::join_all;
use wharf_domain::{
    kernel::{Expected, Hash, Head, InvalidCommit, MAX_BODY_BYTES, MAX_EVENTS, Position, Revision},
    ports::{Append, Committed, Refusal},
};

use super::harness::{Harness, decisions, journal};

pub(super) async fn a_commit_of_many_events_is_stored_whole(h: Harness) {
    let commit = h.commit(&decisions(1), Expected::NoStream, 5);
    let position = h.put(commit.clone()).await;
    let stored = h.log.read_all(Position::START, 10).await.unwrap();
    assert_eq!(stored, [commit.stored_at(position)]);
    assert_eq!(stored[0].raw_events().unwrap().len(), 5);
    assert_eq!(h.head(&decisions(1)).await.revision, Revision(5));
}

pub(super) async fn a_stream_begins_only_once(h: Harness) {
    let first = h.put(h.commit(&decisions(1), Expected::NoStream, 1)).await;
    let second = h
        .log
        .append(h.commit(&decisions(1), Expected::NoStream, 1))
        .await;
    assert_eq!(
        second,
        Append::Conflict {
            actual: Some(first)
        }
    );
    assert_eq!(h.tail().await, first);
}

pub(super) async fn a_stale_expectation_is_a_conflict(h: Harness) {
    h.decide(&decisions(1)).await;
    let stale = h.end_of(&decisions(1)).await;
    let second = h.decide(&decisions(1)).await;
    let answer = h.log.append(h.commit(&decisions(1), stale, 1)).await;
    assert_eq!(
        answer,
        Append::Conflict {
            actual: Some(second)
        }
    );
    assert_eq!(h.tail().await, second);
}

pub(super) async fn a_stream_that_is_not_there_is_a_conflict(h: Harness) {
    let head = Head {
        position: Position(7),
        revision: Revision(3),
        hash: Hash::ZERO,
    };
    let answer = h
        .log
        .append(h.commit(&decisions(1), Expected::At(head), 1))
        .await;
    assert_eq!(answer, Append::Conflict { actual: None });
    assert_eq!(h.tail().await, Position::START);
}

pub(super) async fn the_same_commit_again_is_the_first_one(h: Harness) {
    let commit = h.commit(&decisions(1), Expected::NoStream, 2);
    let first = h.put(commit.clone()).await;
    let again = Append::Committed(Committed {
        position: first,
        duplicate: true,
    });
    assert_eq!(h.log.append(commit.clone()).await, again);
    // A retry that comes late expects what is no longer so. It still is no conflict.
    h.decide(&decisions(1)).await;
    assert_eq!(h.log.append(commit).await, again);
    assert_eq!(h.tail().await, Position(2));
}

pub(super) async fn a_repeat_in_a_journal_is_the_first_one(h: Harness) {
    let commit = h.commit(&journal(1), Expected::Any, 1);
    let answers = tokio::join!(h.log.append(commit.clone()), h.log.append(commit));
    let (Append::Committed(first), Append::Committed(second)) = answers else {
        panic!("answered {answers:?}");
    };
    assert_eq!(first.position, second.position);
    assert_ne!(first.duplicate, second.duplicate);
    assert_eq!(h.tail().await, Position(1));
}

pub(super) async fn an_id_that_another_stream_used_is_a_repeat(h: Harness) {
    let commit = h.commit(&journal(1), Expected::Any, 1);
    let mut other = h.commit(&journal(2), Expected::Any, 1);
    other.id = commit.id;
    let position = h.put(commit).await;
    let answer = h.log.append(other).await;
    assert_eq!(
        answer,
        Append::Committed(Committed {
            position,
            duplicate: true
        })
    );
    assert_eq!(h.log.head(&journal(2)).await.unwrap(), None);
}

pub(super) async fn of_two_writers_that_expect_the_same_one_wins(h: Harness) {
    h.decide(&decisions(1)).await;
    for _ in 0..20 {
        let expected = h.end_of(&decisions(1)).await;
        let one = h.commit(&decisions(1), expected, 1);
        let other = h.commit(&decisions(1), expected, 1);
        let answers = tokio::join!(h.log.append(one), h.log.append(other));
        match answers {
            (Append::Committed(won), Append::Conflict { actual })
            | (Append::Conflict { actual }, Append::Committed(won)) => {
                assert_eq!(actual, Some(won.position));
            }
            other => panic!("answered {other:?}"),
        }
    }
    assert_eq!(h.tail().await, Position(21));
}

pub(super) async fn many_writers_of_one_journal_leave_no_holes(h: Harness) {
    const WRITERS: usize = 64;
    const EACH: usize = 8;
    let writers = (0..WRITERS).map(|_| async {
        let mut positions = Vec::new();
        for _ in 0..EACH {
            positions.push(h.note(&journal(1)).await);
        }
        positions
    });
    let all: Vec<_> = join_all(writers).await.into_iter().flatten().collect();
    let expected: BTreeSet<_> = (1..=WRITERS * EACH).map(|at| Position(at as u64)).collect();
    assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), expected);
    let stored = h
        .log
        .read_stream(&journal(1), Position::START, 10_000)
        .await
        .unwrap();
    let positions: Vec<_> = stored.iter().map(|commit| commit.position).collect();
    assert_eq!(positions, expected.into_iter().collect::<Vec<_>>());
}

pub(super) async fn a_commit_that_does_not_continue_the_chain_is_refused(h: Harness) {
    let broken = Append::Refused(Refusal::Invalid(InvalidCommit::BrokenChain));
    h.decide(&decisions(1)).await;
    let head = h.head(&decisions(1)).await;
    let forged = [
        Head {
            hash: Hash([7; 32]),
            ..head
        },
        Head {
            revision: Revision(9),
            ..head
        },
    ];
    for head in forged {
        let commit = h.commit(&decisions(1), Expected::At(head), 1);
        assert_eq!(h.log.append(commit).await, broken);
    }
    let mut first = h.commit(&decisions(2), Expected::NoStream, 1);
    first.prev = Hash([7; 32]);
    assert_eq!(h.log.append(first).await, broken);
    assert_eq!(h.tail().await, Position(1));
}

pub(super) async fn what_is_too_large_is_refused_before_anything_is_written(h: Harness) {
    h.note(&journal(1)).await;
    assert!(matches!(
        h.encode(&journal(1), Expected::Any, 1, MAX_BODY_BYTES),
        Err(InvalidCommit::TooLarge(_))
    ));
    let large = vec![b' '; MAX_BODY_BYTES + 1];
    let mut too_large = h.commit(&journal(1), Expected::Any, 1);
    too_large.body = large.into();
    let mut too_many = h.commit(&journal(1), Expected::Any, 1);
    too_many.events = 1 + MAX_EVENTS as u32;
    let mut too_wordy = h.commit(&journal(1), Expected::Any, 1);
    too_wordy.headers = " ".repeat(64 * 1024);
    let mut empty = h.commit(&journal(1), Expected::Any, 1);
    empty.events = 0;
    for commit in [too_large, too_many, too_wordy, empty] {
        let answer = h.log.append(commit).await;
        assert!(
            matches!(answer, Append::Refused(Refusal::Invalid(_))),
            "answered {answer:?}"
        );
    }
    assert_eq!(h.tail().await, Position(1));
    // The largest one that is allowed is written.
    h.put(h.commit_of(&journal(1), Expected::Any, MAX_BODY_BYTES - 1024))
        .await;
}

pub(super) async fn an_expectation_of_the_wrong_kind_is_refused(h: Harness) {
    let wrong = Append::Refused(Refusal::Invalid(InvalidCommit::WrongExpectation));
    let mut journal_commit = h.commit(&journal(1), Expected::Any, 1);
    journal_commit.expected = Expected::NoStream;
    assert_eq!(h.log.append(journal_commit).await, wrong);
    let mut decision = h.commit(&decisions(1), Expected::NoStream, 1);
    decision.expected = Expected::Any;
    assert_eq!(h.log.append(decision).await, wrong);
    assert_eq!(h.tail().await, Position::START);
}

pub(super) async fn hashes_chain_along_a_decision_stream(h: Harness) {
    for _ in 0..4 {
        h.decide(&decisions(1)).await;
        h.decide(&decisions(2)).await;
        h.note(&journal(1)).await;
    }
    let stored = h
        .log
        .read_stream(&decisions(1), Position::START, 10)
        .await
        .unwrap();
    let mut last = (Hash::ZERO, Revision(0));
    for commit in &stored {
        assert_eq!(
            (commit.prev, commit.revision),
            (last.0, Revision(last.1.0 + 1))
        );
        assert!(commit.is_intact());
        last = (commit.hash, commit.head().revision);
    }
    let journal = h
        .log
        .read_stream(&journal(1), Position::START, 10)
        .await
        .unwrap();
    assert!(
        journal
            .iter()
            .all(|commit| commit.prev == Hash::ZERO && commit.is_intact())
    );
}

pub(super) async fn what_is_appended_verifies(h: Harness) {
    for _ in 0..3 {
        h.decide(&decisions(1)).await;
        h.note(&journal(1)).await;
    }
    h.put(h.commit(&journal(2), Expected::Any, 7)).await;
    let mut progress = Vec::new();
    let report = wharf_eventlog::verify(&*h.log, &mut |at| progress.push(at))
        .await
        .unwrap();
    assert_eq!((report.commits, report.events, report.streams), (7, 13, 3));
    assert_eq!(report.tail, Position(7));
    assert_ne!(report.chain, Hash::ZERO);
    assert_eq!(
        progress.last().map(|at| (at.done, at.tail)),
        Some((Position(7), Position(7)))
    );
}
