//! Copying a log: cut off anywhere it goes on, what consumers had done is carried, a wrong commit is refused.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use serde_json::json;
use wharf_domain::{
    kernel::{
        Category, CommitId, Expected, Metadata, NewCommit, NewEvent, Position, StoredCommit,
        StreamId,
    },
    ports::{Append, Clock, ConsumerSpec, EventLog, Ids, LogError, StartAt},
};
use wharf_eventlog::{
    ConsumerCheckpoint, Destination, Options, Origin as _, SqliteImporter, SqliteLog,
    TransferError, backup, transfer,
};
use wharf_tests::clock::{SeededIds, VirtualClock};

/// More than are read at once, so that there are several batches.
const COMMITS: u64 = 2_500;

const CONSUMER: ConsumerSpec = ConsumerSpec {
    name: "test",
    from: StartAt::First,
    categories: &[Category::Message, Category::Integration],
    max_in_flight: 100,
};

fn open(dir: &Path) -> SqliteLog {
    SqliteLog::open(dir, Options::default(), Arc::new(VirtualClock::new())).unwrap()
}

fn importer(dir: &Path) -> SqliteImporter {
    SqliteImporter::open(dir, Options::default(), Arc::new(VirtualClock::new())).unwrap()
}

/// A log of decisions and messages, in turn, and a consumer with something outstanding.
async fn filled(dir: &Path) -> SqliteLog {
    let log = open(dir);
    let ids = SeededIds::new(7);
    let project = "p".parse().unwrap();
    let integration = wharf_domain::kernel::IntegrationId(ids.uuid());
    let decisions = StreamId::integration(&project, integration);
    let messages = StreamId::messages(&project);
    let now = VirtualClock::new().now();
    let mut head = None;
    for n in 0..COMMITS {
        let decides = n % 5 == 0;
        let (stream, expected) = match (decides, head) {
            (true, None) => (&decisions, Expected::NoStream),
            (true, Some(head)) => (&decisions, Expected::At(head)),
            (false, _) => (&messages, Expected::Any),
        };
        let fact = NewEvent::of("test.happened", 1, &json!({ "n": n })).unwrap();
        let commit = NewCommit {
            id: CommitId(ids.uuid()),
            stream: stream.clone(),
            expected,
            events: vec![fact],
            meta: Metadata {
                time: now,
                actor: "user:somebody".to_owned(),
                correlation: "request-1".to_owned(),
                causation: None,
                idempotency_key: None,
            },
        };
        let commit = commit.encode().unwrap();
        let Append::Committed(committed) = log.append(commit.clone()).await else {
            panic!("it is accepted");
        };
        if decides {
            head = Some(commit.stored_at(committed.position).head());
        }
    }
    let consumer = log.consumer(CONSUMER).await.unwrap();
    let taken = consumer.fetch(10).await.unwrap();
    let done: Vec<_> = taken
        .iter()
        .map(|commit| commit.position)
        .filter(|at| at.0 != 3)
        .collect();
    consumer.ack(&done).await.unwrap();
    consumer.flush().await.unwrap();
    log
}

/// A destination whose machine fails after some batches.
struct Failing {
    inner: SqliteImporter,
    batches: AtomicUsize,
}

#[async_trait]
impl Destination for Failing {
    fn log(&self) -> &dyn EventLog {
        self.inner.log()
    }

    async fn tail(&self) -> Result<Position, LogError> {
        self.inner.tail().await
    }

    async fn import(&self, commits: Vec<StoredCommit>) -> Result<(), LogError> {
        if self.batches.fetch_sub(1, Ordering::Relaxed) == 0 {
            return Err(LogError::Unavailable("the power is cut".into()));
        }
        self.inner.import(commits).await
    }

    async fn finish(&self, checkpoints: Vec<ConsumerCheckpoint>) -> Result<(), LogError> {
        self.inner.finish(checkpoints).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_cut_off_goes_on_where_it_was() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = filled(from.path()).await;
    let failing = Failing {
        inner: importer(to.path()),
        batches: AtomicUsize::new(1),
    };
    let cut = transfer(&log, &failing, &mut |_| {}).await.unwrap_err();
    assert!(matches!(cut, TransferError::Destination(_)), "{cut}");
    let there = failing.tail().await.unwrap();
    assert!(
        there > Position::START && there < Position(COMMITS),
        "{there}"
    );
    drop(failing);

    let again = importer(to.path());
    let report = transfer(&log, &again, &mut |_| {}).await.unwrap();
    assert_eq!(report.tail, Position(COMMITS));
    drop(again);
    let copy = open(to.path());
    let (original, copied) = (
        log.verify(&mut |_| {}).await,
        copy.verify(&mut |_| {}).await,
    );
    assert_eq!(original.unwrap(), copied.unwrap());
    let checkpoints = copy.checkpoints().await.unwrap();
    assert_eq!(checkpoints, log.checkpoints().await.unwrap());
    assert_eq!(checkpoints[0].outstanding, [Position(3)]);
    // What was not acknowledged comes again, and then what is new.
    let consumer = copy.consumer(CONSUMER).await.unwrap();
    let next = consumer.fetch(2).await.unwrap();
    let next: Vec<_> = next.iter().map(|commit| commit.position.0).collect();
    assert_eq!(next, [3, 11]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_further_in_the_copy_stays_there() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = filled(from.path()).await;
    let first = importer(to.path());
    transfer(&log, &first, &mut |_| {}).await.unwrap();
    let further = ConsumerCheckpoint {
        name: "test".to_owned(),
        floor: Position(50),
        upto: Position(50),
        outstanding: vec![],
    };
    first.finish(vec![further.clone()]).await.unwrap();
    transfer(&log, &first, &mut |_| {}).await.unwrap();
    drop(first);
    assert_eq!(open(to.path()).checkpoints().await.unwrap(), [further]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_do_not_follow_are_refused() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = filled(from.path()).await;
    let commits = log.read_all(Position::START, 20).await.unwrap();
    let importer = importer(to.path());
    let refused = |error: LogError, at: u64| {
        assert!(
            matches!(&error, LogError::Damaged { position, .. } if position.0 == at),
            "{error}"
        );
    };
    // A hole.
    refused(importer.import(commits[1..].to_vec()).await.unwrap_err(), 1);
    importer.import(commits[..5].to_vec()).await.unwrap();
    // A commit that is there already, at the next position.
    let mut twice = commits[4].clone();
    twice.position = Position(6);
    refused(importer.import(vec![twice]).await.unwrap_err(), 6);
    // A decision that does not build upon the stream's end.
    let mut broken = commits[5].clone();
    assert_eq!(broken.stream.category, Category::Integration);
    broken.prev = wharf_domain::kernel::Hash::ZERO;
    refused(importer.import(vec![broken]).await.unwrap_err(), 6);
    assert_eq!(importer.tail().await.unwrap(), Position(5));
    importer.import(commits[5..].to_vec()).await.unwrap();
    assert_eq!(importer.tail().await.unwrap(), Position(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_one_moment_while_commits_go_on() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = filled(from.path()).await;
    let source = from.path().join("log.db");
    let target = to.path().join("log.db");
    let writing = async {
        let ids = SeededIds::new(8);
        let messages = StreamId::messages(&"p".parse().unwrap());
        for n in 0..300 {
            let commit = NewCommit {
                id: CommitId(ids.uuid()),
                stream: messages.clone(),
                expected: Expected::Any,
                events: vec![NewEvent::of("test.happened", 1, &json!({ "n": n })).unwrap()],
                meta: Metadata {
                    time: VirtualClock::new().now(),
                    actor: "user:somebody".to_owned(),
                    correlation: "request-2".to_owned(),
                    causation: None,
                    idempotency_key: None,
                },
            };
            let answer = log.append(commit.encode().unwrap()).await;
            assert!(matches!(answer, Append::Committed(_)));
        }
    };
    let (from_file, to_file) = (source.clone(), target.clone());
    let copying = tokio::task::spawn_blocking(move || {
        let mut steps = vec![];
        backup(&from_file, &to_file, &mut |done, all| {
            steps.push((done, all))
        })
        .unwrap();
        steps
    });
    let (steps, ()) = tokio::join!(copying, writing);
    let steps = steps.unwrap();
    let all = steps[0].1;
    assert!(
        steps.iter().all(|step| step.1 == all),
        "it never began again"
    );
    assert_eq!(steps.last().unwrap().0, all);
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 1, "one file");
    let copy =
        SqliteLog::open_read_only(to.path(), Options::default(), Arc::new(VirtualClock::new()))
            .unwrap();
    let report = copy.verify(&mut |_| {}).await.unwrap();
    assert!(report.tail >= Position(COMMITS));
    let again = backup(&source, &target, &mut |_, _| {}).unwrap_err();
    assert!(again.to_string().contains("none yet"), "{again}");
}
