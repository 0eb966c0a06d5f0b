//! The tracker: what comes again, what is saved, and that no two fetches get the same.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use wharf_domain::{
    kernel::{
        Category, CommitId, Hash, Position, ProjectId, Revision, StoredCommit, StreamId, Timestamp,
    },
    ports::{Clock, ConsumerSpec, EventLog as _, LogError, StartAt},
};

use super::tracker::{Checkpoint, Plan, Tracker};
use crate::MemoryLog;

/// A clock that stands still.
struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        at(0)
    }

    async fn sleep_until(&self, _deadline: Timestamp) {
        std::future::pending().await
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn commits(positions: impl IntoIterator<Item = u64>) -> Vec<StoredCommit> {
    let project: ProjectId = "acme".parse().unwrap();
    let commit = |position| StoredCommit {
        position: Position(position),
        id: CommitId(uuid::Uuid::from_u128(u128::from(position))),
        stream: StreamId::messages(&project),
        revision: Revision(0),
        events: 1,
        headers: String::new(),
        body: Vec::new().into(),
        prev: Hash::ZERO,
        hash: Hash::ZERO,
    };
    positions.into_iter().map(commit).collect()
}

fn positions(commits: &[StoredCommit]) -> Vec<u64> {
    commits.iter().map(|commit| commit.position.0).collect()
}

/// A tracker that handed out positions 1 to `last`.
fn handed_out(last: u64) -> Tracker {
    let mut tracker = Tracker::resume(Checkpoint::default(), 1000);
    let plan = tracker.plan(at(0), 1000);
    let given = tracker.hand_out(&plan, Vec::new(), commits(1..=last), Position(last), at(0));
    assert_eq!(given.len() as u64, last);
    tracker
}

#[test]
fn of_two_fetches_of_the_same_the_faster_one_gets_it() {
    let mut tracker = Tracker::resume(Checkpoint::default(), 10);
    let plan = tracker.plan(at(0), 10);
    let slower = tracker.plan(at(0), 10);
    let first = tracker.hand_out(&plan, Vec::new(), commits([1, 2]), Position(2), at(0));
    assert_eq!(positions(&first), [1, 2]);
    let second = tracker.hand_out(&slower, Vec::new(), commits([1, 2]), Position(2), at(0));
    assert_eq!(positions(&second), [0; 0]);
}

#[test]
fn of_two_fetches_one_gets_what_was_given_back() {
    let mut tracker = handed_out(2);
    assert!(tracker.give_back(Position(1), at(5)));
    assert_eq!(tracker.plan(at(4), 10).again, []);
    let plan = tracker.plan(at(5), 10);
    assert_eq!(plan.again, [Position(1)]);
    let first = tracker.hand_out(&plan, commits([1]), Vec::new(), plan.after, at(5));
    let second = tracker.hand_out(&plan, commits([1]), Vec::new(), plan.after, at(5));
    assert_eq!((positions(&first), positions(&second)), (vec![1], vec![]));
}

#[test]
fn what_is_not_out_cannot_be_given_back() {
    let mut tracker = handed_out(2);
    tracker.ack(&[Position(1)], at(0));
    assert!(!tracker.give_back(Position(1), at(0)));
    assert!(!tracker.give_back(Position(9), at(0)));
    assert_eq!(tracker.floor(), Position(1));
}

#[test]
fn the_backlog_is_what_is_not_acknowledged_and_what_was_not_looked_at() {
    let mut tracker = Tracker::resume(Checkpoint::default(), 1000);
    let plan = tracker.plan(at(0), 1000);
    // Of the ten commits that were looked at, two are for this consumer.
    let new = commits([3, 7]);
    tracker.hand_out(&plan, Vec::new(), new, Position(10), at(0));
    assert_eq!(tracker.backlog(Position(14)), 6);
    assert!(tracker.give_back(Position(3), at(60)));
    tracker.ack(&[Position(7)], at(0));
    assert_eq!(tracker.backlog(Position(10)), 1);
    tracker.ack(&[Position(3)], at(0));
    assert_eq!(tracker.backlog(Position(10)), 0);
}

#[test]
fn a_checkpoint_holds_what_is_outstanding_however_far_the_rest_is() {
    let mut tracker = handed_out(500);
    assert!(tracker.give_back(Position(3), at(60)));
    let all_but_two: Vec<_> = (1..=500)
        .filter(|at| ![3, 7].contains(at))
        .map(Position)
        .collect();
    tracker.ack(&all_but_two, at(0));
    let checkpoint = tracker.save();
    let mut outstanding = checkpoint.outstanding.clone();
    outstanding.sort_unstable();
    assert_eq!(
        (checkpoint.floor, checkpoint.upto),
        (Position(2), Position(500))
    );
    assert_eq!(outstanding, [Position(3), Position(7)]);
    // Resumed, both come again at once, and nothing else.
    let resumed = Tracker::resume(checkpoint, 10);
    let plan = Plan {
        again: outstanding,
        after: Position(500),
        room: 8,
    };
    assert_eq!(resumed.plan(Timestamp::MIN, 10), plan);
}

#[test]
fn a_save_is_due_after_many_acknowledgements() {
    let mut tracker = handed_out(400);
    let acks: Vec<_> = (1..=400).map(Position).collect();
    tracker.ack(&acks[..255], at(0));
    assert!(!tracker.save_becomes_due(at(0)));
    tracker.ack(&acks[255..256], at(0));
    assert!(tracker.save_becomes_due(at(0)));
    // It is asked for once, and due until it is done.
    assert!(!tracker.save_becomes_due(at(0)));
    assert!(tracker.save_is_due(at(0)));
    tracker.save();
    assert!(!tracker.save_is_due(at(0)));
}

#[test]
fn a_save_is_due_after_a_second() {
    let mut tracker = handed_out(1);
    tracker.save();
    assert_eq!(tracker.wake_at(), None);
    tracker.ack(&[Position(1)], at(10));
    assert_eq!(tracker.wake_at(), Some(at(11)));
    assert!(!tracker.save_becomes_due(at(10)));
    assert!(tracker.save_becomes_due(at(11)));
}

#[test]
fn a_failed_save_is_tried_again() {
    let mut tracker = handed_out(1);
    tracker.ack(&[Position(1)], at(0));
    tracker.save();
    tracker.mark_unsaved(at(5));
    assert!(tracker.is_unsaved());
    assert!(tracker.save_becomes_due(at(6)));
}

#[tokio::test]
async fn an_earlier_opener_is_told_that_it_is_not_alone() {
    let log = MemoryLog::new(Arc::new(Still));
    let spec = ConsumerSpec {
        name: "test",
        from: StartAt::First,
        categories: &[Category::Message],
        max_in_flight: 1,
    };
    let earlier = log.consumer(spec.clone()).await.unwrap();
    let open_again = async {
        tokio::task::yield_now().await;
        log.consumer(spec).await.unwrap()
    };
    let (told, _later) = tokio::join!(earlier.fetch(1), open_again);
    assert!(matches!(told, Err(LogError::Unavailable(_))), "{told:?}");
    assert!(earlier.fetch(1).await.is_err());
    let wait = earlier.nak(Position(1), Duration::from_secs(1));
    wait.await.unwrap();
}
