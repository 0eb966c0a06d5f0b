//! The writer: the one thread that changes `log.db`.
//!
//! Commits wait in a bounded queue; whatever waits when the writer is free becomes one group. Under
//! load groups grow by themselves, without load a commit waits for nobody. It answers only after the
//! group is durable. It never runs on the runtime's threads.

use std::{
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Instant,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};
use wharf_domain::{
    kernel::{Commit, Position},
    ports::{Append, Clock, LogError, Refusal, StartAt},
};

use super::{checkpoints, group::Unwritten, index::Unindexed, ledger::Ledger, schema::WriteLock};
use crate::{
    consumer::{Checkpoint, Registry, closed},
    locks::lock,
    measure,
};

/// Requests that wait for the writer; who comes when it is full waits as well.
const QUEUE: usize = 1024;
/// Most requests that share one fsync.
const GROUP: usize = 256;

/// What the writer is asked.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are appends; a box each would only cost"
)]
enum Request {
    Append {
        commit: Commit,
        answer: oneshot::Sender<Append>,
    },
    OpenConsumer {
        name: &'static str,
        from: StartAt,
        answer: OpenAnswer,
    },
    Save {
        answer: Option<oneshot::Sender<Result<(), LogError>>>,
    },
    Close,
}

type OpenAnswer = oneshot::Sender<Result<Checkpoint, LogError>>;

/// What came of a request, unless its group fails.
enum Outcome {
    Append(Append),
    Consumer(Option<Checkpoint>),
    Saved,
}

/// The way to the writer. Dropping it waits until the writer has written what it was given.
#[derive(Debug)]
pub(super) struct Writer {
    requests: mpsc::Sender<Request>,
    tail: watch::Receiver<Position>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread on `conn`; it holds `write_lock` until it ends.
    pub(super) fn start(
        conn: Connection,
        write_lock: WriteLock,
        unindexed: Arc<Unindexed>,
        registry: Arc<Registry>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let last = Ledger::open(&conn, Arc::clone(&unindexed))?.durable();
        let (requests, queue) = mpsc::channel(QUEUE);
        let (tail, tail_seen) = watch::channel(last);
        let thread = std::thread::Builder::new()
            .name("wharf-log".to_owned())
            .spawn(move || {
                if let Err(error) = run(&conn, queue, &tail, unindexed, &registry, &*clock) {
                    tracing::error!(%error, "the event log's writer stopped");
                }
                // In this order: whoever gets the lock next must find the file at rest, and whoever waits
                // for the tail may open the log again.
                drop(conn);
                drop(write_lock);
                drop(tail);
            })?;
        Ok(Self {
            requests,
            tail: tail_seen,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Position of the last durable commit, to be watched.
    pub(super) const fn tail(&self) -> &watch::Receiver<Position> {
        &self.tail
    }

    /// See [`EventLog::append`](wharf_domain::ports::EventLog::append).
    pub(super) async fn append(&self, commit: Commit) -> Append {
        let id = commit.id;
        let (answer, answered) = oneshot::channel();
        if self
            .requests
            .send(Request::Append { commit, answer })
            .await
            .is_err()
        {
            return Append::Refused(Refusal::Closed("it is closed"));
        }
        // No answer: the thread is gone, and nobody knows how far it came.
        answered.await.unwrap_or(Append::InDoubt { commit: id })
    }

    /// The checkpoint of a consumer, made durably if it is new.
    pub(super) async fn open_consumer(
        &self,
        name: &'static str,
        from: StartAt,
    ) -> Result<Checkpoint, LogError> {
        let (answer, answered) = oneshot::channel();
        let request = Request::OpenConsumer { name, from, answer };
        self.requests.send(request).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Saves the checkpoints that are due with the next group. If the queue is full there will be one.
    pub(super) fn save_soon(&self) {
        let _ = self.requests.try_send(Request::Save { answer: None });
    }

    /// Saves all checkpoints.
    pub(super) async fn save_now(&self) -> Result<(), LogError> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Save {
            answer: Some(answer),
        };
        self.requests.send(request).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Takes no more, writes what waits, saves the checkpoints and gives the lock back.
    pub(super) async fn close(&self) {
        let _ = self.requests.send(Request::Close).await;
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // Fails only if the thread panicked, which has been reported by then.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let (unconnected, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.requests, unconnected));
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

/// The thread could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Storage(#[from] rusqlite::Error),
    #[error(transparent)]
    Thread(#[from] std::io::Error),
}

/// The thread: until the queue is closed and empty.
fn run(
    conn: &Connection,
    mut queue: mpsc::Receiver<Request>,
    tail: &watch::Sender<Position>,
    unindexed: Arc<Unindexed>,
    registry: &Registry,
    clock: &dyn Clock,
) -> rusqlite::Result<()> {
    let mut ledger = Ledger::open(conn, unindexed)?;
    let mut requests = Vec::with_capacity(GROUP);
    let mut outcomes = Vec::with_capacity(GROUP);
    while queue.blocking_recv_many(&mut requests, GROUP) > 0 {
        if requests
            .iter()
            .any(|request| matches!(request, Request::Close))
        {
            queue.close();
        }
        let written = write(&mut ledger, &requests, &mut outcomes, registry, clock);
        if let Err(unwritten) = &written {
            let error = unwritten.error();
            tracing::error!(%error, commits = requests.len(), "the event log cannot be written");
        }
        // Before any answer: whoever has one finds the tail there.
        tail.send_if_modified(|tail| std::mem::replace(tail, ledger.durable()) < ledger.durable());
        let mut outcomes = outcomes.drain(..);
        for request in requests.drain(..) {
            answer(
                request,
                outcomes.next(),
                written.as_ref().err(),
                ledger.durable(),
            );
        }
    }
    // The last acknowledgements, and what is not indexed: the next start has nothing to read.
    requests.push(Request::Close);
    if let Err(unwritten) = write(&mut ledger, &requests, &mut outcomes, registry, clock) {
        tracing::warn!(error = %unwritten.error(), "the event log was not put in order at its end");
    }
    Ok(())
}

/// Writes one group: every commit with its verdict, and the checkpoints that are due.
fn write(
    ledger: &mut Ledger<'_>,
    requests: &[Request],
    outcomes: &mut Vec<Outcome>,
    registry: &Registry,
    clock: &dyn Clock,
) -> Result<(), Unwritten> {
    let started = Instant::now();
    let now = clock.now();
    let before = ledger.durable();
    let closing = requests
        .iter()
        .any(|request| matches!(request, Request::Close));
    let all = closing
        || requests
            .iter()
            .any(|request| matches!(request, Request::Save { answer: Some(_) }));
    let saves = registry.unsaved(now, all);
    let written =
        ledger.write(closing, |ledger| {
            for request in requests {
                outcomes.push(match request {
                    Request::Append { commit, .. } => Outcome::Append(ledger.append(commit)?),
                    Request::OpenConsumer { name, from, .. } => Outcome::Consumer(
                        checkpoints::open(ledger.conn(), name, *from, ledger.last(), now)?,
                    ),
                    Request::Save { .. } | Request::Close => Outcome::Saved,
                });
            }
            for save in &saves {
                checkpoints::save(ledger.conn(), save, now)?;
            }
            Ok(())
        });
    match &written {
        Ok(()) => {
            let commits = ledger.durable().0 - before.0;
            if commits > 0 {
                measure::group(commits, started.elapsed());
            }
        }
        Err(_) => {
            measure::group_failed();
            saves.into_iter().for_each(|save| save.failed(now));
        }
    }
    written
}

/// Tells who asked. Nobody may be listening any more: that is fine.
fn answer(
    request: Request,
    outcome: Option<Outcome>,
    unwritten: Option<&Unwritten>,
    durable: Position,
) {
    match request {
        Request::Append { commit, answer } => {
            let verdict = match outcome {
                Some(Outcome::Append(verdict)) => Some(verdict),
                Some(Outcome::Consumer(_) | Outcome::Saved) | None => None,
            };
            let _ = answer.send(match (unwritten, verdict) {
                (None, Some(verdict)) => verdict,
                (Some(unwritten), verdict) => unwritten.answer(commit.id, verdict, durable),
                (None, None) => Append::InDoubt { commit: commit.id },
            });
        }
        Request::OpenConsumer { name, answer, .. } => {
            let _ = answer.send(match (unwritten, outcome) {
                (None, Some(Outcome::Consumer(Some(checkpoint)))) => Ok(checkpoint),
                (None, _) => Err(LogError::CheckpointLost(name.to_owned())),
                (Some(unwritten), _) => Err(unwritten.as_log_error()),
            });
        }
        Request::Save {
            answer: Some(answer),
        } => {
            let _ =
                answer.send(unwritten.map_or(Ok(()), |unwritten| Err(unwritten.as_log_error())));
        }
        Request::Save { answer: None } | Request::Close => {}
    }
}
