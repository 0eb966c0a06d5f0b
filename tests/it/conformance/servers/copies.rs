//! A log moves from a file to servers and back: the same commits at the same positions.

use std::sync::Arc;

use wharf_domain::{
    kernel::{Category, Expected, Position},
    ports::{ConsumerSpec, EventLog, StartAt},
};
use wharf_eventlog::{Options, SqliteImporter, SqliteLog, transfer};
use wharf_tests::{clock::VirtualClock, nats::Nats};

use super::{all, open, put};
use crate::conformance::harness::{Harness, decisions, journal, options};

const SPEC: ConsumerSpec = ConsumerSpec {
    name: "moved",
    from: StartAt::First,
    categories: &[Category::Delivery],
    max_in_flight: 10,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_moves_to_servers_and_back_and_stays_the_same() {
    let h = Harness::sqlite();
    for n in 0..200 {
        h.decide(&decisions(n % 7)).await;
        h.note(&journal(n % 3)).await;
    }
    let consumer = h.log.consumer(SPEC).await.unwrap();
    let fetched = consumer.fetch(5).await.unwrap();
    let positions: Vec<_> = fetched.iter().map(|commit| commit.position).collect();
    consumer.ack(&positions).await.unwrap();
    consumer.flush().await.unwrap();
    drop(consumer);

    let mirror = tempfile::tempdir().unwrap();
    let options = options(Nats::shared(), mirror.path());
    let servers = open(&options).await;
    let moved = transfer(h.sqlite_log(), &servers, &mut |_| {})
        .await
        .unwrap();
    assert_eq!(all(&servers).await, (1..=400).collect::<Vec<_>>());
    assert_eq!(
        moved,
        wharf_eventlog::verify(&*h.log, &mut |_| {}).await.unwrap()
    );

    // Its consumers go on where they were, its streams where they ended.
    let consumer = servers.consumer(SPEC).await.unwrap();
    assert_eq!(consumer.floor(), Position(10));
    assert_eq!(consumer.fetch(1).await.unwrap()[0].position, Position(12));
    let head = servers.head(&decisions(1)).await.unwrap().unwrap();
    assert_eq!(Some(head), h.log.head(&decisions(1)).await.unwrap());
    put(&servers, h.commit(&decisions(1), Expected::At(head), 1)).await;

    let back = tempfile::tempdir().unwrap();
    let clock = Arc::new(VirtualClock::new());
    let file = SqliteImporter::open(back.path(), Options::default(), clock.clone()).unwrap();
    let returned = transfer(&servers, &file, &mut |_| {}).await.unwrap();
    assert_eq!(returned.commits, 401);
    drop(file);
    let file = SqliteLog::open(back.path(), Options::default(), clock).unwrap();
    assert_eq!(file.verify(&mut |_| {}).await.unwrap(), returned);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_cut_off_goes_on() {
    let h = Harness::sqlite();
    for n in 0..40 {
        h.note(&journal(n % 3)).await;
    }
    let mirror = tempfile::tempdir().unwrap();
    let servers = open(&options(Nats::shared(), mirror.path())).await;
    let some = h.log.read_all(Position::START, 15).await.unwrap();
    wharf_eventlog::Destination::import(&servers, some)
        .await
        .unwrap();
    let moved = transfer(h.sqlite_log(), &servers, &mut |_| {})
        .await
        .unwrap();
    assert_eq!(moved.commits, 40);
    assert_eq!(all(&servers).await, (1..=40).collect::<Vec<_>>());
}
