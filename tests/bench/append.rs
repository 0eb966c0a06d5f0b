//! Appends: the log beside the raw rate of group commits on the same disk under the same settings.
//!
//! Both arms have 64 writers that each make a commit, hand it over and wait for its answer. The raw one
//! inserts the bytes into one table without index, in transactions of whatever is waiting: no verdict,
//! no chain, no way to find anything again. Rounds take turns, so that a busy disk is busy for both.

use std::{path::Path, sync::Arc, thread, time::Instant};

use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};
use wharf_domain::{
    kernel::{
        Commit, CommitId, Expected, Head, Metadata, NewCommit, NewEvent, Position, ProjectId,
        Revision, StreamId, WebhookId,
    },
    ports::{Append, Clock as _, EventLog, Ids as _},
};
use wharf_eventlog::{Options, SqliteLog};
use wharf_tests::{
    clock::{SeededIds, VirtualClock},
    process::workspace,
};

use crate::{
    pace::{Pace, median},
    table::Row,
};

/// Writers that each wait for their answer, each with a decision stream of its own.
pub(crate) const WRITERS: u64 = 64;
/// Commits of one writer in one round.
const COMMITS: usize = 1_500;
/// Rounds of each arm; the median counts.
const ROUNDS: usize = 5;
/// Bytes of a payload.
const PAYLOAD: usize = 512;
/// What waits for the raw writer, and what one transaction takes: as in the log.
const QUEUE: usize = 1024;
const GROUP: usize = 256;
/// Commits that are read back.
const READ_BATCH: usize = 4096;

/// Measures.
///
/// # Errors
/// The disk cannot be written.
pub(crate) async fn run() -> anyhow::Result<Vec<Row>> {
    let mut raw_rates = Vec::new();
    let mut log_rates = Vec::new();
    let mut read_rates = Vec::new();
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir_in(workspace().join("target"))?;
        raw_rates.push(write(RawWriter::start(dir.path())?, COMMITS).await?.rate());
        let clock = Arc::new(VirtualClock::new());
        let log = SqliteLog::open(dir.path(), Options::default(), clock)?;
        log_rates.push(write(log.clone(), COMMITS).await?.rate());
        read_rates.push(read(&log).await?);
    }
    let (raw, log) = (median(raw_rates), median(log_rates));
    Ok(vec![
        Row::at_least(
            "append, 64 writers, beside raw group commits",
            log / raw,
            0.7,
            format!("{log:.0}/s of {raw:.0}/s, median of {ROUNDS}"),
        ),
        Row::reaches(
            "read all, from a filled log",
            median(read_rates),
            500_000.0,
            "commits/s",
            "",
        ),
    ])
}

/// Something that makes commits durable.
pub(crate) trait Target: Clone + Send + Sync + 'static {
    /// Where `commit` lies.
    fn put(&self, commit: Commit) -> impl Future<Output = anyhow::Result<Position>> + Send;
}

impl<L: EventLog + Clone> Target for L {
    async fn put(&self, commit: Commit) -> anyhow::Result<Position> {
        match self.append(commit).await {
            Append::Committed(committed) => Ok(committed.position),
            other @ (Append::Conflict { .. } | Append::InDoubt { .. } | Append::Refused(_)) => {
                anyhow::bail!("not taken: {other:?}")
            }
        }
    }
}

/// How fast `target` takes commits, if each writer makes so many.
pub(crate) async fn write(target: impl Target, commits: usize) -> anyhow::Result<Pace> {
    let begin = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let target = target.clone();
        writers.spawn(async move {
            let maker = Maker::new(writer)?;
            let mut expected = Expected::NoStream;
            let mut took = Vec::with_capacity(commits);
            for _ in 0..commits {
                let commit = maker.commit(expected)?;
                let (revision, hash) = (commit.revision, commit.hash);
                let sent = Instant::now();
                let position = target.put(commit).await?;
                took.push(sent.elapsed());
                expected = Expected::At(Head {
                    position,
                    revision: Revision(revision.0),
                    hash,
                });
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Vec::with_capacity(WRITERS as usize * commits);
    for writer in writers.join_all().await {
        took.extend(writer?);
    }
    Ok(Pace::of(took, begin.elapsed()))
}

/// Commits a second.
async fn read(log: &SqliteLog) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let mut after = Position::START;
    while let Some(last) = log.read_all(after, READ_BATCH).await?.last() {
        after = last.position;
    }
    Ok(after.0 as f64 / begin.elapsed().as_secs_f64())
}

/// Makes the commits of one writer.
struct Maker {
    stream: StreamId,
    ids: SeededIds,
    time: wharf_domain::kernel::Timestamp,
    payload: serde_json::Value,
}

impl Maker {
    fn new(writer: u64) -> anyhow::Result<Self> {
        let project: ProjectId = "bench".parse()?;
        let ids = SeededIds::new(writer);
        Ok(Self {
            stream: StreamId::webhook(&project, WebhookId(ids.uuid())),
            ids,
            time: VirtualClock::new().now(),
            payload: serde_json::Value::String("x".repeat(PAYLOAD)),
        })
    }

    fn commit(&self, expected: Expected) -> anyhow::Result<Commit> {
        let commit = NewCommit {
            id: CommitId(self.ids.uuid()),
            stream: self.stream.clone(),
            expected,
            events: vec![NewEvent::of("bench.happened", 1, &self.payload)?],
            meta: Metadata {
                time: self.time,
                actor: "user:bench".to_owned(),
                correlation: "bench".to_owned(),
                causation: None,
                idempotency_key: None,
            },
        };
        Ok(commit.encode()?)
    }
}

/// The raw arm: a thread, a queue, a table.
#[derive(Clone)]
struct RawWriter {
    requests: mpsc::Sender<(Commit, oneshot::Sender<Position>)>,
}

impl RawWriter {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        let conn = Connection::open(dir.join("raw.db"))?;
        conn.execute_batch(
            "pragma page_size = 8192; pragma journal_mode = wal; pragma synchronous = full;
             pragma cache_size = -16384; pragma wal_autocheckpoint = 4096;
             create table commits (
                 position integer primary key, revision integer, events integer, commit_id blob,
                 prev blob, hash blob, headers text, body blob
             ) strict;",
        )?;
        let (requests, queue) = mpsc::channel(QUEUE);
        thread::spawn(move || raw_loop(&conn, queue));
        Ok(Self { requests })
    }
}

impl Target for RawWriter {
    async fn put(&self, commit: Commit) -> anyhow::Result<Position> {
        let (answer, answered) = oneshot::channel();
        self.requests.send((commit, answer)).await?;
        Ok(answered.await?)
    }
}

/// Ends with the queue, or with the first error: then nobody gets an answer, which is noticed.
fn raw_loop(
    conn: &Connection,
    mut queue: mpsc::Receiver<(Commit, oneshot::Sender<Position>)>,
) -> rusqlite::Result<()> {
    let mut begin = conn.prepare("begin immediate")?;
    let mut end = conn.prepare("commit")?;
    let mut insert = conn.prepare("insert into commits values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    let mut position = 0_u64;
    let mut group = Vec::with_capacity(GROUP);
    let mut answers = Vec::with_capacity(GROUP);
    while queue.blocking_recv_many(&mut group, GROUP) > 0 {
        begin.execute([])?;
        for (commit, answer) in group.drain(..) {
            position += 1;
            insert.execute(params![
                position.cast_signed(),
                commit.revision.0.cast_signed(),
                commit.events,
                commit.id.0.as_bytes(),
                commit.prev.0,
                commit.hash.0,
                commit.headers,
                commit.body.as_ref(),
            ])?;
            answers.push((answer, Position(position)));
        }
        end.execute([])?;
        for (answer, position) in answers.drain(..) {
            let _ = answer.send(position);
        }
    }
    Ok(())
}
