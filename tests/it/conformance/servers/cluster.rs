//! Three servers: their leader is killed while everybody writes, and nothing is lost or doubled.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream;
use futures::future::join_all;
use wharf_domain::{
    kernel::{Commit, CommitId, Expected, Position, StreamId},
    ports::{Append, EventLog, LogError},
};
use wharf_eventlog::JetStreamOptions;
use wharf_tests::nats::{Nats, Sync};

use super::{open, stream_of};
use crate::conformance::harness::{Harness, decisions, journal, options};

const WRITERS: usize = 16;
/// Commits of each writer, and after how many of all the leader is killed.
const EACH: usize = 40;
const KILL_AT: usize = 200;

/// Appends until it is known what became of `commit`.
async fn settle(log: &dyn EventLog, commit: &Commit) -> Position {
    loop {
        match log.append(commit.clone()).await {
            Append::Committed(committed) => return committed.position,
            // Asking again resolves it.
            Append::InDoubt { .. } => {}
            other @ (Append::Conflict { .. } | Append::Refused(_)) => panic!("answered {other:?}"),
        }
    }
}

async fn write(h: &Harness, stream: &StreamId, done: &AtomicUsize) -> BTreeMap<CommitId, Position> {
    let mut accepted = BTreeMap::new();
    let mut expected = match stream.category.kind() {
        wharf_domain::kernel::Kind::Decision => Expected::NoStream,
        wharf_domain::kernel::Kind::Journal => Expected::Any,
    };
    for _ in 0..EACH {
        let commit = h.commit(stream, expected, 1);
        let position = settle(&*h.log, &commit).await;
        if expected != Expected::Any {
            expected = Expected::At(commit.stored_at(position).head());
        }
        assert_eq!(accepted.insert(commit.id, position), None);
        done.fetch_add(1, Ordering::Relaxed);
    }
    accepted
}

/// Which of the servers leads the stream.
async fn leader(servers: &[Nats], stream: &str) -> usize {
    let context = jetstream::new(async_nats::connect(servers[0].url()).await.unwrap());
    let stream = context.get_stream(stream).await.unwrap();
    let cluster = stream.cached_info().cluster.clone().unwrap();
    let leader = cluster.leader.unwrap();
    servers
        .iter()
        .position(|server| server.name() == leader)
        .unwrap()
}

async fn killing_the_leader_loses_nothing(sync: Sync) {
    let mut servers = Vec::from(Nats::cluster(sync));
    let dir = tempfile::tempdir().unwrap();
    let options = JetStreamOptions {
        servers: servers.iter().map(Nats::url).collect(),
        replicas: 3,
        ..options(&servers[0], dir.path())
    };
    let h = Harness::on(options.clone(), dir).await;
    let done = AtomicUsize::new(0);
    let writers = (0..WRITERS as u128).map(|n| {
        let stream = if n % 2 == 0 { decisions(n) } else { journal(n) };
        let (h, done) = (&h, &done);
        async move { write(h, &stream, done).await }
    });
    let leader = leader(&servers, &stream_of(&options)).await;
    let kill = async {
        while done.load(Ordering::Relaxed) < KILL_AT {
            tokio::task::yield_now().await;
        }
        servers[leader].kill();
    };
    let (accepted, ()) = tokio::join!(join_all(writers), kill);
    let accepted: BTreeMap<_, _> = accepted.into_iter().flatten().collect();
    assert_eq!(accepted.len(), WRITERS * EACH);

    // It comes back, and another node sees the same: every commit once, where it was said to be.
    servers[leader].run();
    let mirror = tempfile::tempdir().unwrap();
    let other = open(&JetStreamOptions {
        mirror: mirror.path().to_owned(),
        ..options
    })
    .await;
    for log in [Arc::clone(&h.log), Arc::new(other)] {
        let report = wharf_eventlog::verify(&*log, &mut |_| {}).await.unwrap();
        assert_eq!(report.commits, (WRITERS * EACH) as u64);
        let stored = read(&*log, report.tail).await.unwrap();
        assert_eq!(stored, accepted);
    }
}

async fn read(
    log: &dyn EventLog,
    tail: Position,
) -> Result<BTreeMap<CommitId, Position>, LogError> {
    let mut found = BTreeMap::new();
    let mut positions = BTreeSet::new();
    let mut after = Position::START;
    while after < tail {
        for commit in log.read_all(after, 1000).await? {
            after = commit.position;
            assert!(positions.insert(commit.position));
            assert_eq!(found.insert(commit.id, commit.position), None, "doubled");
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv11_a_killed_leader_takes_nothing_with_it() {
    let case = killing_the_leader_loses_nothing(Sync::Always);
    tokio::time::timeout(Duration::from_secs(180), case)
        .await
        .expect("it ends");
}
