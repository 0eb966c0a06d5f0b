//! Several nodes on one stream: they see each other's commits, and share a consumer's work.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tempfile::TempDir;
use wharf_domain::{
    kernel::{Category, Expected, Position},
    ports::{Append, ConsumerSpec, EventLog, LogError, StartAt},
};
use wharf_eventlog::{JetStreamLog, JetStreamOptions};
use wharf_tests::nats::Nats;

use super::{open, put, stranger, stream_of};
use crate::conformance::{
    PATIENCE,
    harness::{Harness, decisions, journal, options},
};

const SPEC: ConsumerSpec = ConsumerSpec {
    name: "shared",
    from: StartAt::First,
    categories: &[Category::Delivery],
    max_in_flight: 64,
};

/// Two nodes on a stream of their own.
struct Pair {
    one: Harness,
    two: JetStreamLog,
    options: JetStreamOptions,
    _mirror: TempDir,
}

async fn pair() -> Pair {
    let dir = tempfile::tempdir().unwrap();
    let mirror = tempfile::tempdir().unwrap();
    let options = options(Nats::shared(), dir.path());
    let one = Harness::on(options.clone(), dir).await;
    let two = open(&JetStreamOptions {
        mirror: mirror.path().to_owned(),
        ..options.clone()
    })
    .await;
    Pair {
        one,
        two,
        options,
        _mirror: mirror,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_reads_what_another_wrote_once_it_knows_the_tail() {
    let pair = pair().await;
    for n in 1..=50 {
        let position = pair.one.note(&journal(1)).await;
        assert_eq!(pair.two.tail().await.unwrap(), position);
        let read = pair.two.read_all(Position(n - 1), 1).await.unwrap();
        assert_eq!(read[0].position, position);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_with_another_node_leaves_what_to_build_upon() {
    let pair = pair().await;
    let h = &pair.one;
    let ours = h.commit(&decisions(1), Expected::NoStream, 1);
    let theirs = h.commit(&decisions(1), Expected::NoStream, 1);
    put(&pair.two, theirs.clone()).await;
    let answer = h.log.append(ours).await;
    let Append::Conflict { actual } = answer else {
        panic!("answered {answer:?}");
    };
    assert_eq!(actual, Some(Position(1)));
    let head = h.head(&decisions(1)).await;
    assert_eq!(head, theirs.stored_at(Position(1)).head());
    h.put(h.commit(&decisions(1), Expected::At(head), 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_on_another_node_is_the_first_one() {
    let pair = pair().await;
    let note = pair.one.commit(&journal(1), Expected::Any, 1);
    let first = put(&*pair.one.log, note.clone()).await;
    let again = put(&pair.two, note).await;
    assert_eq!(again.position, first.position);
    assert!(again.duplicate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_share_a_consumers_commits() {
    const COMMITS: usize = 200;
    let pair = pair().await;
    for _ in 0..COMMITS {
        pair.one.note(&journal(1)).await;
    }
    let taken = async |log: &dyn EventLog| {
        let consumer = log.consumer(SPEC).await.unwrap();
        let mut taken = Vec::new();
        loop {
            // The other one may take the rest; then nothing comes any more.
            let fetch = tokio::time::timeout(Duration::from_secs(1), consumer.fetch(8)).await;
            let Ok(fetched) = fetch else { break };
            let fetched: Vec<_> = fetched.unwrap().iter().map(|c| c.position).collect();
            consumer.ack(&fetched).await.unwrap();
            taken.extend(fetched.into_iter().map(|position| position.0));
        }
        consumer.flush().await.unwrap();
        taken
    };
    let (one, two) = tokio::join!(taken(&*pair.one.log), taken(&pair.two));
    assert!(
        !one.is_empty() && !two.is_empty(),
        "{} and {}",
        one.len(),
        two.len()
    );
    let all: BTreeSet<_> = one.iter().chain(&two).copied().collect();
    assert_eq!(one.len() + two.len(), COMMITS, "nothing twice");
    assert_eq!(all, (1..=COMMITS as u64).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_held_when_it_stopped_goes_to_another_at_once() {
    let pair = pair().await;
    for _ in 0..3 {
        pair.one.note(&journal(1)).await;
    }
    let ours = pair.one.log.consumer(SPEC).await.unwrap();
    assert_eq!(ours.fetch(3).await.unwrap().len(), 3);
    ours.ack(&[Position(2)]).await.unwrap();
    let theirs = pair.two.consumer(SPEC).await.unwrap();
    drop(ours);
    let mut taken = Vec::new();
    while taken.len() < 2 {
        let fetched = tokio::time::timeout(PATIENCE / 3, theirs.fetch(3))
            .await
            .unwrap();
        taken.extend(fetched.unwrap().iter().map(|commit| commit.position.0));
    }
    assert_eq!(taken, [1, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_consumer_is_an_error_and_never_a_new_start() {
    let pair = pair().await;
    pair.one.note(&journal(1)).await;
    let consumer = pair.one.log.consumer(SPEC).await.unwrap();
    assert_eq!(consumer.fetch(1).await.unwrap().len(), 1);
    let theirs = stranger(Nats::shared()).await;
    theirs
        .delete_consumer_from_stream(SPEC.name, stream_of(&pair.options))
        .await
        .unwrap();
    let lost =
        |error: &LogError| matches!(error, LogError::CheckpointLost(name) if name == "shared");
    // By whoever has it open, and by whoever opens it.
    let fetched = tokio::time::timeout(PATIENCE / 2, consumer.fetch(1))
        .await
        .unwrap();
    assert!(fetched.as_ref().is_err_and(lost), "{fetched:?}");
    let opened = pair.two.consumer(SPEC).await.err().expect("it is lost");
    assert!(lost(&opened), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_node_takes_no_commits_and_waits_for_nothing() {
    let pair = pair().await;
    pair.one.note(&journal(1)).await;
    assert_eq!(pair.two.tail().await.unwrap(), Position(1));
    assert_eq!(
        pair.two.read_all(Position::START, 10).await.unwrap().len(),
        1
    );
    let consumer = pair.two.consumer(SPEC).await.unwrap();
    pair.two.close().await;
    let refused = pair
        .two
        .append(pair.one.commit(&journal(1), Expected::Any, 1))
        .await;
    assert!(matches!(refused, Append::Refused(_)), "{refused:?}");
    assert!(matches!(
        pair.two.follow(Position(1), 10).await,
        Err(LogError::Unavailable(_))
    ));
    assert!(consumer.fetch(1).await.is_err());
    assert_eq!(
        pair.two.read_all(Position::START, 10).await.unwrap().len(),
        1
    );
    let arc: Arc<dyn EventLog> = Arc::new(pair.two.clone());
    assert!(arc.consumer(SPEC).await.is_err());
}
