//! Lost answers: every row of the retry matrix, through a wire that loses what the server says.

use std::time::Duration;

use wharf_domain::{
    kernel::{Expected, Position},
    ports::{Append, Committed, EventLog, LogError},
};
use wharf_eventlog::{JetStreamLog, JetStreamOptions};
use wharf_tests::{
    nats::Nats,
    wire::{Mode, Wire},
};

use super::{all, open, put, stranger};
use crate::conformance::harness::{Harness, decisions, journal, options};

/// A node behind a wire, and one with a wire of its own to the same stream.
struct Two {
    wire: Wire,
    near: Harness,
    far: JetStreamLog,
    _far_mirror: tempfile::TempDir,
}

async fn two() -> Two {
    let dir = tempfile::tempdir().unwrap();
    let wire = Wire::to(Nats::shared().address()).await;
    let direct = options(Nats::shared(), dir.path());
    let far_mirror = tempfile::tempdir().unwrap();
    let far = open(&JetStreamOptions {
        mirror: far_mirror.path().to_owned(),
        ..direct.clone()
    })
    .await;
    let options = JetStreamOptions {
        servers: vec![wire.url()],
        attempt: Duration::from_millis(300),
        deadline: Duration::from_secs(4),
        ..direct
    };
    Two {
        wire,
        near: Harness::on(options, dir).await,
        far,
        _far_mirror: far_mirror,
    }
}

impl Two {
    /// Appends while the server's answers are lost; `meanwhile` begins once the commit is there.
    async fn unanswered(
        &self,
        commit: wharf_domain::kernel::Commit,
        meanwhile: impl AsyncFnOnce(),
    ) -> Append {
        let before = self.far.tail().await.unwrap();
        self.wire.set(Mode::Unanswered);
        let heal = async {
            self.far.follow(before, 1).await.unwrap();
            meanwhile().await;
            self.wire.mend();
        };
        let (answer, ()) = tokio::join!(self.near.log.append(commit), heal);
        answer
    }
}

const fn duplicate(position: u64) -> Append {
    Append::Committed(Committed {
        position: Position(position),
        duplicate: true,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv11_a_decision_whose_acknowledgement_was_lost_is_there_once() {
    let two = two().await;
    let h = &two.near;
    h.decide(&decisions(1)).await;
    let next = h.commit(&decisions(1), h.end_of(&decisions(1)).await, 1);
    assert_eq!(two.unanswered(next, async || {}).await, duplicate(2));
    let first = h.commit(&decisions(2), Expected::NoStream, 1);
    assert_eq!(two.unanswered(first, async || {}).await, duplicate(3));
    assert_eq!(all(&*h.log).await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv11_a_note_whose_acknowledgement_was_lost_is_there_once() {
    let two = two().await;
    let note = two.near.commit(&journal(1), Expected::Any, 1);
    assert_eq!(two.unanswered(note, async || {}).await, duplicate(1));
    assert_eq!(all(&*two.near.log).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_found_though_others_followed_it_before_the_answer_was_known() {
    let two = two().await;
    let h = &two.near;
    let first = h.commit(&decisions(1), Expected::NoStream, 1);
    let mut head = first.stored_at(Position(1)).head();
    let answer = two.unanswered(first, async || {
        for position in 2..=3 {
            let next = h.commit(&decisions(1), Expected::At(head), 1);
            head = next.stored_at(Position(position)).head();
            put(&two.far, next).await;
        }
    });
    assert_eq!(answer.await, duplicate(1));
    assert_eq!(all(&*h.log).await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_unanswered_is_in_doubt_and_asking_again_resolves_it() {
    let two = two().await;
    let h = &two.near;
    h.decide(&decisions(1)).await;
    let decision = h.commit(&decisions(1), h.end_of(&decisions(1)).await, 1);
    let note = h.commit(&journal(1), Expected::Any, 1);
    two.wire.set(Mode::Unanswered);
    let (one, other) = tokio::join!(h.log.append(decision.clone()), h.log.append(note.clone()));
    let doubt = |commit| Append::InDoubt { commit };
    assert_eq!((one, other), (doubt(decision.id), doubt(note.id)));
    two.wire.mend();
    let (one, other) = (put(&*h.log, decision).await, put(&*h.log, note).await);
    assert!(one.duplicate && other.duplicate, "{one:?} {other:?}");
    assert_eq!(all(&*h.log).await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_arrived_is_in_doubt_and_conflicts_once_another_was_faster() {
    let two = two().await;
    let h = &two.near;
    h.decide(&decisions(1)).await;
    let expected = h.end_of(&decisions(1)).await;
    let slow = h.commit(&decisions(1), expected, 1);
    let fast = h.commit(&decisions(1), expected, 1);
    two.wire.set(Mode::Silent);
    let answer = h.log.append(slow.clone()).await;
    assert_eq!(answer, Append::InDoubt { commit: slow.id });
    assert_eq!(put(&two.far, fast).await.position, Position(2));
    // Not mended: what was said into the silence is lost with it.
    two.wire.mend();
    let answer = h.log.append(slow).await;
    let conflict = Append::Conflict {
        actual: Some(Position(2)),
    };
    assert_eq!(answer, conflict);
    assert_eq!(all(&*h.log).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_wait_for_what_was_answered_and_say_so_when_it_does_not_come() {
    let two = two().await;
    let h = &two.near;
    h.note(&journal(1)).await;
    let before = h.log.read_all(Position::START, 10).await.unwrap();
    assert_eq!(before.len(), 1);
    put(&two.far, h.commit(&journal(2), Expected::Any, 1)).await;
    // It learns of the second commit, and then cannot get it.
    let second = h.log.follow(Position(1), 1).await.unwrap();
    assert_eq!(second[0].position, Position(2));
    two.wire.set(Mode::Silent);
    assert!(matches!(h.log.tail().await, Err(LogError::Unavailable(_))));
    two.wire.mend();
    assert_eq!(h.log.tail().await.unwrap(), Position(2));
    h.note(&journal(1)).await;
    assert_eq!(all(&*h.log).await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_somebody_else_is_damage_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(Nats::shared(), dir.path());
    let h = Harness::on(options.clone(), dir).await;
    h.note(&journal(1)).await;
    let theirs = stranger(Nats::shared()).await;
    let subject = format!("{}.evt.00.acme.webhook.x", options.prefix);
    theirs
        .publish(subject, "hello".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let found = h.log.follow(Position(1), 10).await;
    let Err(LogError::Damaged { position, what }) = found else {
        panic!("it was followed: {found:?}");
    };
    assert_eq!(
        (position, what.as_str()),
        (Position(2), "it has no commit id")
    );
    // What was there before can still be read; nothing is added to what cannot be trusted.
    assert_eq!(h.log.read_all(Position::START, 10).await.unwrap().len(), 1);
    assert!(matches!(
        h.log.read_all(Position(1), 10).await,
        Err(LogError::Damaged { .. })
    ));
    let answer = h.log.append(h.commit(&journal(1), Expected::Any, 1)).await;
    assert!(matches!(answer, Append::Refused(_)), "answered {answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_is_found_again() {
    let mut server = Nats::start(wharf_tests::nats::Sync::Default);
    let dir = tempfile::tempdir().unwrap();
    let options = options(&server, dir.path());
    let h = Harness::on(options, dir).await;
    h.note(&journal(1)).await;
    server.kill();
    let commit = h.commit(&journal(1), Expected::Any, 1);
    let restart = tokio::task::spawn_blocking(move || {
        server.run();
        server
    });
    let (answer, server) = tokio::join!(h.log.append(commit), restart);
    assert!(
        matches!(answer, Append::Committed(_)),
        "answered {answer:?}"
    );
    assert_eq!(all(&*h.log).await, [1, 2]);
    drop(server);
}
