//! What a node holds of a consumer, without a server.

use std::time::Duration;

use async_nats::jetstream::consumer::Info;
use bytes::Bytes;
use wharf_domain::kernel::{
    CommitId, Hash, Position, ProjectId, Revision, StoredCommit, StreamId, Timestamp,
};

use super::state::{Ended, Plan, State};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A consumer of which `pending` commits are not acknowledged, and everything up to `floor` is.
fn info(pending: usize, floor: u64, delivered: u64) -> Info {
    serde_json::from_value(serde_json::json!({
        "stream_name": "WHARF",
        "name": "test",
        "created": "2026-01-01T00:00:00Z",
        "config": {
            "deliver_policy": "all", "ack_policy": "explicit", "replay_policy": "instant",
            "num_replicas": 0,
        },
        "delivered": { "consumer_seq": delivered, "stream_seq": delivered },
        "ack_floor": { "consumer_seq": floor, "stream_seq": floor },
        "num_ack_pending": pending,
        "num_redelivered": 0,
        "num_waiting": 0,
        "num_pending": 0,
    }))
    .unwrap()
}

fn fresh(max_in_flight: usize) -> State {
    let mut state = State::new(&info(0, 0, 0));
    state.take_over(max_in_flight);
    state
}

fn arrive(state: &mut State, positions: impl IntoIterator<Item = u64>) {
    for at in positions {
        state.arrive(Position(at), format!("ack.{at}").into(), false);
    }
}

fn commit(position: u64) -> StoredCommit {
    let project: ProjectId = "acme".parse().unwrap();
    StoredCommit {
        position: Position(position),
        id: CommitId(uuid::Uuid::from_u128(u128::from(position))),
        stream: StreamId::messages(&project),
        revision: Revision(0),
        events: 1,
        headers: String::new(),
        body: Bytes::new(),
        prev: Hash::ZERO,
        hash: Hash::ZERO,
    }
}

fn hand_out(state: &mut State, positions: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let given = state.hand_out(positions.into_iter().map(commit).collect());
    given.iter().map(|commit| commit.position.0).collect()
}

fn positions(of: impl IntoIterator<Item = u64>) -> Vec<Position> {
    of.into_iter().map(Position).collect()
}

#[test]
fn it_asks_for_what_a_fetch_wants_and_no_more() {
    let mut state = fresh(10);
    assert_eq!(state.take_question(), None);
    assert_eq!(state.plan(NOW, 3, 0, false), Plan::Wait(None));
    assert_eq!(state.take_question(), Some(3));
    // One question at a time.
    state.plan(NOW, 9, 0, false);
    assert_eq!(state.take_question(), None);
}

#[test]
fn what_arrived_is_handed_out_when_the_answer_ends() {
    let mut state = fresh(10);
    state.plan(NOW, 5, 0, false);
    state.take_question();
    arrive(&mut state, [1, 2]);
    assert_eq!(state.plan(NOW, 5, 0, false), Plan::Soon { fresh: true });
    state.answered();
    let plan = state.plan(NOW, 5, 0, false);
    assert_eq!(plan, Plan::HandOut(positions([1, 2])));
    assert_eq!(hand_out(&mut state, [1, 2]), [1, 2]);
    // By a slower fetch: nothing is given twice.
    assert_eq!(hand_out(&mut state, [1, 2]), [0; 0]);
}

#[test]
fn as_many_as_were_wanted_end_the_answer_themselves() {
    let mut state = fresh(10);
    state.plan(NOW, 2, 0, false);
    state.take_question();
    arrive(&mut state, [4, 7]);
    assert_eq!(
        state.plan(NOW, 2, 0, false),
        Plan::HandOut(positions([4, 7]))
    );
}

#[test]
fn in_flight_there_is_only_so_much_room() {
    let mut state = fresh(2);
    state.plan(NOW, 10, 0, false);
    assert_eq!(state.take_question(), Some(2));
    arrive(&mut state, [1, 2]);
    hand_out(&mut state, [1, 2]);
    state.give_back(Position(1), NOW + Duration::from_secs(60));
    state.plan(NOW, 10, 0, false);
    assert_eq!(
        state.take_question(),
        None,
        "given back, it keeps its place"
    );
    state.ack(&positions([2]));
    state.plan(NOW, 10, 0, false);
    assert_eq!(state.take_question(), Some(1));
}

#[test]
fn given_back_it_waits_until_it_is_due() {
    let mut state = fresh(1);
    arrive(&mut state, [1]);
    hand_out(&mut state, [1]);
    let due = NOW + Duration::from_secs(10);
    assert!(state.give_back(Position(1), due));
    assert!(!state.give_back(Position(9), due), "it was never out");
    assert_eq!(state.plan(NOW, 5, 0, false), Plan::Wait(Some(due)));
    assert_eq!(state.plan(due, 5, 0, false), Plan::HandOut(positions([1])));
}

#[test]
fn opened_again_everything_comes_again_in_order() {
    let mut state = fresh(10);
    let first = state.take_over(10);
    arrive(&mut state, [1, 2, 3]);
    hand_out(&mut state, [1, 2, 3]);
    state.give_back(Position(2), NOW + Duration::from_secs(60));
    state.ack(&positions([1]));
    let second = state.take_over(10);
    assert_eq!(state.ended(first), Some(Ended::Superseded));
    assert_eq!(state.ended(second), None);
    let plan = state.plan(NOW, 10, 0, true);
    assert_eq!(plan, Plan::HandOut(positions([2, 3])));
}

#[test]
fn what_is_held_is_not_handed_out_again_when_the_server_repeats_it() {
    let mut state = fresh(10);
    arrive(&mut state, [1, 2, 3]);
    hand_out(&mut state, [1, 2]);
    state.ack(&positions([1]));
    state.take_acks();
    for at in [1, 2, 3] {
        state.arrive(Position(at), format!("again.{at}").into(), true);
    }
    assert_eq!(
        state.plan(NOW, 10, 0, true),
        Plan::HandOut(positions([3])),
        "only what was not handed out"
    );
    // The acknowledgement is said again, to where it counts now.
    assert_eq!(state.take_acks(), [(Position(1), "again.1".into())]);
    let held: Vec<_> = state.held().iter().map(ToString::to_string).collect();
    assert_eq!(held, ["again.2", "again.3"]);
}

#[test]
fn what_another_node_had_before_is_known_until_it_is_acknowledged() {
    let mut state = fresh(10);
    arrive(&mut state, [1]);
    state.arrive(Position(2), "again".into(), true);
    hand_out(&mut state, [1, 2]);
    assert!(!state.came_again(Position(1)));
    assert!(state.came_again(Position(2)));
    // Given back and handed out once more, it still is.
    state.give_back(Position(2), NOW);
    hand_out(&mut state, [2]);
    assert!(state.came_again(Position(2)));
    state.ack(&positions([2]));
    assert!(!state.came_again(Position(2)));
}

#[test]
fn an_acknowledgement_counts_at_once_and_is_confirmed_later() {
    let mut state = fresh(10);
    arrive(&mut state, [1, 2]);
    hand_out(&mut state, [1, 2]);
    assert_eq!(state.floor(), Position::START);
    state.ack(&positions([1, 77]));
    assert_eq!(state.floor(), Position(1));
    assert!(!state.is_confirmed());
    assert_eq!(state.take_acks(), [(Position(1), "ack.1".into())]);
    state.confirmed(Position(1));
    assert!(state.is_confirmed());
}

#[test]
fn the_floor_waits_for_what_other_nodes_hold() {
    let mut state = State::new(&info(2, 1, 5));
    state.take_over(10);
    assert_eq!(state.floor(), Position(1));
    // What they held comes here.
    for at in [2, 4] {
        state.arrive(Position(at), "ack".into(), true);
    }
    hand_out(&mut state, [2, 4]);
    state.ack(&positions([2, 4]));
    assert_eq!(state.floor(), Position(5));
    // Somebody holds something again.
    let happened = state.happened();
    state.look_elsewhere(&info(4, 3, 9), happened);
    assert_eq!(state.floor(), Position(3));
    // A look during which something happened says nothing.
    state.ack(&positions([99]));
    state.look_elsewhere(&info(0, 9, 9), happened);
    assert_eq!(state.floor(), Position(3));
}

#[test]
fn a_consumer_that_the_server_lost_hands_out_nothing() {
    let mut state = fresh(10);
    let opener = state.take_over(10);
    state.plan(NOW, 3, 0, false);
    state.set_lost();
    assert_eq!(state.ended(opener), Some(Ended::Lost));
    assert_eq!(state.take_question(), None);
}
