//! A log to be tested, and commits to put into it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::json;
use tempfile::TempDir;
use wharf_domain::{
    kernel::{
        Commit, CommitId, Expected, Head, InvalidCommit, Metadata, NewCommit, NewEvent, Position,
        ProjectId, StreamId, WebhookId,
    },
    ports::{Append, Clock, Committed, EventLog, Ids},
};
use wharf_eventlog::{JetStreamLog, JetStreamOptions, MemoryLog, Options, SqliteLog};
use wharf_tests::{
    clock::{SeededIds, VirtualClock},
    nats::Nats,
};

/// One log, with time and dice of its own.
pub(super) struct Harness {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) clock: Arc<VirtualClock>,
    ids: SeededIds,
    place: Place,
}

/// What outlives a restart.
enum Place {
    Memory,
    Sqlite { dir: TempDir, log: SqliteLog },
    JetStream { _dir: TempDir, log: JetStreamLog },
}

impl Harness {
    pub(super) fn memory() -> Self {
        let clock = Arc::new(VirtualClock::new());
        Self {
            log: Arc::new(MemoryLog::new(clock.clone())),
            clock,
            ids: SeededIds::new(1),
            place: Place::Memory,
        }
    }

    pub(super) fn sqlite() -> Self {
        let clock = Arc::new(VirtualClock::new());
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = SqliteLog::open(dir.path(), Options::default(), clock.clone()).expect("it opens");
        Self {
            log: Arc::new(log.clone()),
            clock,
            ids: SeededIds::new(1),
            place: Place::Sqlite { dir, log },
        }
    }

    /// The log of [`Harness::sqlite`].
    pub(super) fn sqlite_log(&self) -> &SqliteLog {
        match &self.place {
            Place::Sqlite { log, .. } => log,
            Place::Memory | Place::JetStream { .. } => panic!("it is not on SQLite"),
        }
    }

    /// A log with a stream of its own on the server that the tests share.
    pub(super) async fn jetstream() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self::on(options(Nats::shared(), dir.path()), dir).await
    }

    /// A log on a server of the test's.
    pub(super) async fn on(options: JetStreamOptions, dir: TempDir) -> Self {
        let clock = Arc::new(VirtualClock::new());
        let log = JetStreamLog::open(options, clock.clone()).await;
        let log = log.expect("it opens");
        Self {
            log: Arc::new(log.clone()),
            clock,
            ids: SeededIds::new(1),
            place: Place::JetStream { _dir: dir, log },
        }
    }

    /// Stops the log and starts it again. One that does not outlive its process stays as it is.
    pub(super) async fn restart(&mut self) {
        match &mut self.place {
            Place::Memory => {}
            Place::Sqlite { dir, log } => {
                log.close().await;
                *log = SqliteLog::open(dir.path(), Options::default(), self.clock.clone())
                    .expect("it opens again");
                self.log = Arc::new(log.clone());
            }
            Place::JetStream { log, .. } => {
                log.close().await;
                let options = log.options().clone();
                *log = JetStreamLog::open(options, self.clock.clone())
                    .await
                    .expect("it opens again");
                self.log = Arc::new(log.clone());
            }
        }
    }

    /// A commit of `events` events of `stream`.
    pub(super) fn commit(&self, stream: &StreamId, expected: Expected, events: usize) -> Commit {
        self.encode(stream, expected, events, 16)
            .expect("it is a valid commit")
    }

    /// A commit of one event with `bytes` bytes in it.
    pub(super) fn commit_of(&self, stream: &StreamId, expected: Expected, bytes: usize) -> Commit {
        self.encode(stream, expected, 1, bytes)
            .expect("it is a valid commit")
    }

    pub(super) fn encode(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: usize,
        bytes: usize,
    ) -> Result<Commit, InvalidCommit> {
        let happened = |index| {
            let fact = json!({ "index": index, "text": "x".repeat(bytes) });
            NewEvent::of("test.happened", 1, &fact).expect("it has a JSON form")
        };
        NewCommit {
            id: CommitId(self.ids.uuid()),
            stream: stream.clone(),
            expected,
            events: (0..events).map(happened).collect(),
            meta: Metadata {
                time: self.clock.now(),
                actor: "user:somebody".to_owned(),
                correlation: "request-1".to_owned(),
                causation: None,
                idempotency_key: None,
            },
        }
        .encode()
    }

    /// Appends `commit`, which must be accepted as a new one.
    #[track_caller]
    pub(super) fn put(&self, commit: Commit) -> impl Future<Output = Position> + Send + use<> {
        let (log, at) = (Arc::clone(&self.log), std::panic::Location::caller());
        async move {
            let answer = log.append(commit).await;
            let Append::Committed(Committed {
                position,
                duplicate: false,
            }) = answer
            else {
                panic!("{at}: answered {answer:?}");
            };
            position
        }
    }

    /// Appends one commit to a journal.
    #[track_caller]
    pub(super) fn note(&self, journal: &StreamId) -> impl Future<Output = Position> + Send + use<> {
        self.put(self.commit(journal, Expected::Any, 1))
    }

    /// Where `stream` ends, as an expectation.
    pub(super) async fn end_of(&self, stream: &StreamId) -> Expected {
        match self.log.head(stream).await.expect("it can be read") {
            Some(head) => Expected::At(head),
            None => Expected::NoStream,
        }
    }

    /// Appends one commit at the end of a decision stream.
    pub(super) async fn decide(&self, stream: &StreamId) -> Position {
        let expected = self.end_of(stream).await;
        self.put(self.commit(stream, expected, 1)).await
    }

    pub(super) async fn head(&self, stream: &StreamId) -> Head {
        self.log
            .head(stream)
            .await
            .expect("it can be read")
            .expect("the stream is there")
    }

    pub(super) async fn tail(&self) -> Position {
        self.log.tail().await.expect("it can be read")
    }
}

/// Options for a stream of its own on `server`, mirrored in `dir`.
pub(super) fn options(server: &Nats, dir: &Path) -> JetStreamOptions {
    static STREAMS: AtomicU64 = AtomicU64::new(0);
    let stream = STREAMS.fetch_add(1, Ordering::Relaxed);
    JetStreamOptions {
        servers: vec![server.url()],
        prefix: format!("t{stream}"),
        mirror: dir.join("mirror"),
        ..JetStreamOptions::default()
    }
}

/// Number `n` of the decision streams.
pub(super) fn decisions(n: u128) -> StreamId {
    StreamId::webhook(&project(), WebhookId(uuid::Uuid::from_u128(n)))
}

/// Number `n` of the journals.
pub(super) fn journal(n: u128) -> StreamId {
    StreamId::deliveries(&project(), WebhookId(uuid::Uuid::from_u128(n)))
}

/// A journal of another category.
pub(super) fn messages() -> StreamId {
    StreamId::messages(&project())
}

fn project() -> ProjectId {
    "acme".parse().expect("a project id")
}
