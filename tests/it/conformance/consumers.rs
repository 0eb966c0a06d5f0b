//! Durable consumers: at least once, in order but for what was put back, from where they were.

use std::time::Duration;

use wharf_domain::{
    kernel::{Category, Position, StoredCommit},
    ports::{Consumer, ConsumerSpec, StartAt},
};

use super::{
    PATIENCE,
    harness::{Harness, decisions, journal, messages},
};

const SPEC: ConsumerSpec = ConsumerSpec {
    name: "test",
    from: StartAt::First,
    categories: &[Category::Delivery],
    max_in_flight: 100,
};

async fn open(h: &Harness, spec: ConsumerSpec) -> Box<dyn Consumer> {
    h.log.consumer(spec).await.unwrap()
}

async fn fetch(consumer: &dyn Consumer, max: usize) -> Vec<u64> {
    positions(&consumer.fetch(max).await.unwrap())
}

fn positions(commits: &[StoredCommit]) -> Vec<u64> {
    commits.iter().map(|commit| commit.position.0).collect()
}

async fn ack(consumer: &dyn Consumer, positions: &[u64]) {
    let positions: Vec<_> = positions.iter().copied().map(Position).collect();
    consumer.ack(&positions).await.unwrap();
}

async fn note(h: &Harness, times: usize) {
    for _ in 0..times {
        h.note(&journal(1)).await;
    }
}

pub(super) async fn a_consumer_gets_its_categories_in_order(h: Harness) {
    for _ in 0..3 {
        h.note(&journal(1)).await;
        h.note(&messages()).await;
        h.decide(&decisions(1)).await;
    }
    let one = open(&h, SPEC).await;
    assert_eq!(fetch(&*one, 2).await, [1, 4]);
    assert_eq!(fetch(&*one, 2).await, [7]);
    let two = ConsumerSpec {
        name: "two",
        categories: &[Category::Message, Category::Webhook],
        ..SPEC
    };
    assert_eq!(fetch(&*open(&h, two).await, 100).await, [2, 3, 5, 6, 8, 9]);
}

pub(super) async fn what_is_acknowledged_does_not_come_again(mut h: Harness) {
    note(&h, 4).await;
    let consumer = open(&h, SPEC).await;
    assert_eq!(fetch(&*consumer, 3).await, [1, 2, 3]);
    ack(&*consumer, &[1, 2, 3]).await;
    assert_eq!(consumer.floor(), Position(3));
    consumer.flush().await.unwrap();
    drop(consumer);
    h.restart().await;
    let consumer = open(&h, SPEC).await;
    assert_eq!(consumer.floor(), Position(3));
    assert_eq!(fetch(&*consumer, 10).await, [4]);
}

pub(super) async fn what_is_not_acknowledged_comes_again(mut h: Harness) {
    note(&h, 5).await;
    let consumer = open(&h, SPEC).await;
    assert_eq!(fetch(&*consumer, 4).await, [1, 2, 3, 4]);
    ack(&*consumer, &[1, 3]).await;
    // By another opener, and by another process.
    let consumer = open(&h, SPEC).await;
    assert_eq!(fetch(&*consumer, 10).await, [2, 4, 5]);
    ack(&*consumer, &[5]).await;
    consumer.flush().await.unwrap();
    drop(consumer);
    h.restart().await;
    let consumer = open(&h, SPEC).await;
    assert_eq!(consumer.floor(), Position(1));
    assert_eq!(fetch(&*consumer, 10).await, [2, 4]);
    ack(&*consumer, &[2, 4]).await;
    assert_eq!(consumer.floor(), Position(5));
}

pub(super) async fn acknowledged_out_of_order_the_floor_waits(h: Harness) {
    note(&h, 4).await;
    let consumer = open(&h, SPEC).await;
    fetch(&*consumer, 10).await;
    ack(&*consumer, &[4, 2]).await;
    assert_eq!(consumer.floor(), Position::START);
    ack(&*consumer, &[1]).await;
    assert_eq!(consumer.floor(), Position(2));
    // Twice, and what was never handed out: nothing happens.
    ack(&*consumer, &[1, 77]).await;
    assert_eq!(consumer.floor(), Position(2));
    ack(&*consumer, &[3]).await;
    assert_eq!(consumer.floor(), Position(4));
}

pub(super) async fn given_back_it_comes_again_after_its_delay(h: Harness) {
    note(&h, 3).await;
    let consumer = open(&h, SPEC).await;
    assert_eq!(fetch(&*consumer, 2).await, [1, 2]);
    consumer
        .nak(Position(1), Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!(fetch(&*consumer, 10).await, [3]);
    h.clock.advance(Duration::from_secs(9));
    note(&h, 1).await;
    assert_eq!(fetch(&*consumer, 10).await, [4]);
    ack(&*consumer, &[2, 3, 4]).await;
    assert_eq!(consumer.floor(), Position::START);
    // It waits for the clock, not for a commit.
    let (again, ()) = tokio::join!(fetch(&*consumer, 10), async {
        tokio::task::yield_now().await;
        h.clock.advance(Duration::from_secs(1));
    });
    assert_eq!(again, [1]);
    ack(&*consumer, &[1]).await;
    assert_eq!(consumer.floor(), Position(4));
}

pub(super) async fn given_back_it_keeps_its_place_in_flight(h: Harness) {
    note(&h, 5).await;
    let consumer = open(
        &h,
        ConsumerSpec {
            max_in_flight: 2,
            ..SPEC
        },
    )
    .await;
    assert_eq!(fetch(&*consumer, 10).await, [1, 2]);
    consumer
        .nak(Position(1), Duration::from_secs(60))
        .await
        .unwrap();
    ack(&*consumer, &[2]).await;
    assert_eq!(fetch(&*consumer, 10).await, [3]);
    ack(&*consumer, &[3]).await;
    h.clock.advance(Duration::from_secs(60));
    assert_eq!(fetch(&*consumer, 10).await, [1, 4]);
}

pub(super) async fn a_consumer_from_now_skips_the_past(h: Harness) {
    note(&h, 3).await;
    let consumer = open(
        &h,
        ConsumerSpec {
            from: StartAt::Now,
            ..SPEC
        },
    )
    .await;
    assert_eq!(consumer.floor(), Position(3));
    note(&h, 2).await;
    assert_eq!(fetch(&*consumer, 10).await, [4, 5]);
}

pub(super) async fn a_consumer_from_now_stays_where_it_began(mut h: Harness) {
    note(&h, 2).await;
    let spec = ConsumerSpec {
        from: StartAt::Now,
        ..SPEC
    };
    drop(open(&h, spec.clone()).await);
    note(&h, 2).await;
    h.restart().await;
    note(&h, 1).await;
    assert_eq!(fetch(&*open(&h, spec).await, 10).await, [3, 4, 5]);
}

pub(super) async fn a_full_consumer_waits_for_acknowledgements(h: Harness) {
    note(&h, 5).await;
    let consumer = open(
        &h,
        ConsumerSpec {
            max_in_flight: 2,
            ..SPEC
        },
    )
    .await;
    assert_eq!(fetch(&*consumer, 10).await, [1, 2]);
    let (next, ()) = tokio::join!(fetch(&*consumer, 10), async {
        tokio::task::yield_now().await;
        ack(&*consumer, &[1]).await;
    });
    assert_eq!(next, [3]);
}

pub(super) async fn the_floor_passes_what_is_none_of_its_business(mut h: Harness) {
    for _ in 0..50 {
        h.note(&messages()).await;
    }
    note(&h, 1).await;
    let consumer = open(&h, SPEC).await;
    assert_eq!(fetch(&*consumer, 10).await, [51]);
    assert_eq!(consumer.floor(), Position(50));
    ack(&*consumer, &[51]).await;
    h.note(&messages()).await;
    consumer.flush().await.unwrap();
    drop(consumer);
    h.restart().await;
    let consumer = open(&h, SPEC).await;
    assert_eq!(consumer.floor(), Position(51));
    note(&h, 1).await;
    assert_eq!(fetch(&*consumer, 10).await, [53]);
    assert_eq!(consumer.floor(), Position(52));
}

pub(super) async fn what_an_earlier_opener_may_have_had_is_told_apart(mut h: Harness) {
    note(&h, 2).await;
    let consumer = open(&h, SPEC).await;
    note(&h, 1).await;
    assert_eq!(fetch(&*consumer, 10).await, [1, 2, 3]);
    let again = |consumer: &dyn Consumer| {
        [1, 2, 3, 4].map(|position| consumer.comes_again(Position(position)))
    };
    assert_eq!(again(&*consumer), [true, true, false, false]);
    drop(consumer);
    h.restart().await;
    let consumer = open(&h, SPEC).await;
    note(&h, 1).await;
    assert_eq!(fetch(&*consumer, 10).await, [1, 2, 3, 4]);
    assert_eq!(again(&*consumer), [true, true, true, false]);
}

pub(super) async fn nothing_is_left_once_all_is_acknowledged(h: Harness) {
    let consumer = open(&h, SPEC).await;
    note(&h, 3).await;
    backlog(&*consumer, 3).await;
    assert_eq!(fetch(&*consumer, 2).await, [1, 2]);
    backlog(&*consumer, 3).await;
    ack(&*consumer, &[1, 2]).await;
    assert_eq!(fetch(&*consumer, 2).await, [3]);
    backlog(&*consumer, 1).await;
    ack(&*consumer, &[3]).await;
    consumer.flush().await.unwrap();
    backlog(&*consumer, 0).await;
    // What is none of its business is passed by as soon as somebody fetches.
    h.note(&messages()).await;
    tokio::select! {
        fetched = consumer.fetch(10) => panic!("{:?}", positions(&fetched.unwrap())),
        () = backlog(&*consumer, 0) => {}
    }
}

/// Waits until so many are left: a server counts a moment after it has acknowledged.
async fn backlog(consumer: &dyn Consumer, left: u64) {
    let counted = async {
        while consumer.backlog().await.unwrap() != left {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, counted).await;
    assert!(waited.is_ok(), "{left} are not left");
}

pub(super) async fn consumers_do_not_disturb_each_other(h: Harness) {
    note(&h, 3).await;
    let one = open(&h, SPEC).await;
    let other = open(
        &h,
        ConsumerSpec {
            name: "other",
            ..SPEC
        },
    )
    .await;
    assert_eq!(fetch(&*one, 10).await, [1, 2, 3]);
    ack(&*one, &[1, 2, 3]).await;
    assert_eq!(other.floor(), Position::START);
    assert_eq!(fetch(&*other, 10).await, [1, 2, 3]);
}

pub(super) async fn a_dropped_fetch_loses_nothing(h: Harness) {
    note(&h, 3).await;
    let consumer = open(&h, SPEC).await;
    for polls in 0..3 {
        let mut fetch = Box::pin(consumer.fetch(10));
        for _ in 0..polls {
            if let std::task::Poll::Ready(fetched) = futures::poll!(&mut fetch) {
                let given = fetched.unwrap();
                let all: Vec<_> = given.iter().map(|commit| commit.position).collect();
                for position in all {
                    consumer.nak(position, Duration::ZERO).await.unwrap();
                }
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(fetch(&*consumer, 10).await, [1, 2, 3]);
}

pub(super) async fn fetching_waits_for_the_next_commit(h: Harness) {
    let consumer = open(&h, SPEC).await;
    let (fetched, ()) = tokio::join!(fetch(&*consumer, 10), async {
        tokio::task::yield_now().await;
        h.note(&messages()).await;
        h.note(&journal(1)).await;
    });
    assert_eq!(fetched, [2]);
}
