//! The log in memory: the oracle of the conformance suite and the log of fast tests. It survives
//! nothing.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Instant,
};

use async_trait::async_trait;
use tokio::sync::watch;
use wharf_domain::{
    kernel::{Commit, CommitId, Head, InvalidCommit, Position, StoredCommit, StreamId},
    ports::{
        Append, Clock, Committed, Consumer, ConsumerSpec, Durability, EventLog, LogError,
        READ_BYTES, Refusal, StartAt,
    },
};

use crate::{
    category::Filter,
    consumer::{Checkpoint, LogConsumer, Registry, Scan, Source},
    locks::lock,
    measure,
    verdict::{Verdict, admit, head_of, judge},
};

/// An event log that lives as long as its last clone and the consumers it opened.
#[derive(Clone)]
pub struct MemoryLog {
    inner: Arc<Inner>,
}

struct Inner {
    commits: Mutex<Commits>,
    tail: watch::Sender<Position>,
    registry: Registry,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Commits {
    /// Position 1 is the first.
    all: Vec<StoredCommit>,
    by_stream: HashMap<StreamId, Vec<Position>>,
    by_id: HashMap<CommitId, Position>,
}

impl MemoryLog {
    /// An empty log; `clock` times what consumers give back.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            inner: Arc::new(Inner {
                commits: Mutex::default(),
                tail: watch::Sender::new(Position::START),
                registry: Registry::default(),
                clock,
            }),
        }
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog")
            .field("tail", &*self.inner.tail.borrow())
            .finish_non_exhaustive()
    }
}

impl Commits {
    fn at(&self, position: Position) -> Option<&StoredCommit> {
        self.after(Position(position.0.checked_sub(1)?)).next()
    }

    fn after(&self, after: Position) -> impl Iterator<Item = &StoredCommit> {
        self.all
            .iter()
            .skip(usize::try_from(after.0).unwrap_or(usize::MAX))
    }

    fn last_of(&self, stream: &StreamId) -> Option<&StoredCommit> {
        self.at(*self.by_stream.get(stream)?.last()?)
    }

    fn append(&mut self, commit: &Commit) -> Append {
        if let Some(&position) = self.by_id.get(&commit.id) {
            return Append::Committed(Committed {
                position,
                duplicate: true,
            });
        }
        match judge(commit, self.last_of(&commit.stream).map(head_of)) {
            Verdict::Conflict(actual) => Append::Conflict { actual },
            Verdict::Broken => Append::Refused(Refusal::Invalid(InvalidCommit::BrokenChain)),
            Verdict::Extends => {
                let position = Position(self.all.len() as u64 + 1);
                self.all.push(commit.stored_at(position));
                self.by_stream
                    .entry(commit.stream.clone())
                    .or_default()
                    .push(position);
                self.by_id.insert(commit.id, position);
                Append::Committed(Committed {
                    position,
                    duplicate: false,
                })
            }
        }
    }
}

/// The first of `commits`: at most `limit`, and until their bodies reach [`READ_BYTES`].
fn batch<'a>(commits: impl Iterator<Item = &'a StoredCommit>, limit: usize) -> Vec<StoredCommit> {
    let mut bytes = 0;
    let fits = |commit: &&StoredCommit| {
        let room = bytes < READ_BYTES;
        bytes += commit.body.len();
        room
    };
    commits.take(limit).take_while(fits).cloned().collect()
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(&self, commit: Commit) -> Append {
        let started = Instant::now();
        let answer = match admit(&commit) {
            Err(invalid) => Append::Refused(Refusal::Invalid(invalid)),
            Ok(()) => {
                let mut commits = lock(&self.inner.commits);
                let answer = commits.append(&commit);
                // Under the lock, so that the tail never goes back.
                self.inner
                    .tail
                    .send_replace(Position(commits.all.len() as u64));
                answer
            }
        };
        measure::appended(&answer, started.elapsed());
        answer
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Position,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, LogError> {
        let commits = lock(&self.inner.commits);
        let positions = commits.by_stream.get(stream).map_or(&[][..], Vec::as_slice);
        let later = positions.iter().filter(|&&at| at > after);
        Ok(batch(later.filter_map(|&at| commits.at(at)), limit))
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        Ok(batch(lock(&self.inner.commits).after(after), limit))
    }

    async fn follow(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        let mut tail = self.inner.tail.subscribe();
        // `self` holds the sender: it does not go away while we wait.
        let _ = tail.wait_for(|&tail| tail > after).await;
        self.read_all(after, limit).await
    }

    async fn tail(&self) -> Result<Position, LogError> {
        Ok(*self.inner.tail.borrow())
    }

    async fn find(&self, id: CommitId) -> Result<Option<StoredCommit>, LogError> {
        let commits = lock(&self.inner.commits);
        Ok(commits
            .by_id
            .get(&id)
            .and_then(|&at| commits.at(at))
            .cloned())
    }

    async fn head(&self, stream: &StreamId) -> Result<Option<Head>, LogError> {
        Ok(lock(&self.inner.commits).last_of(stream).map(head_of))
    }

    async fn consumer(&self, spec: ConsumerSpec) -> Result<Box<dyn Consumer>, LogError> {
        let start = match spec.from {
            StartAt::First => Position::START,
            StartAt::Now => *self.inner.tail.borrow(),
        };
        Ok(Box::new(LogConsumer::open(
            &spec,
            Checkpoint::at(start),
            &self.inner.registry,
            Arc::clone(&self.inner),
            self.inner.tail.subscribe(),
            Arc::clone(&self.inner.clock),
        )))
    }

    fn durability(&self) -> Durability {
        Durability::Volatile
    }
}

#[async_trait]
impl Source for Inner {
    async fn scan(
        &self,
        after: Position,
        tail: Position,
        filter: Filter,
        limit: usize,
    ) -> Result<Scan, LogError> {
        let commits = lock(&self.commits);
        let seen = commits
            .after(after)
            .take_while(|commit| commit.position <= tail);
        let found = batch(
            seen.filter(|commit| filter.matches(commit.stream.category)),
            limit,
        );
        // Stopped early, by the limit or by size? Then whatever follows was not looked at.
        let last = found.last().map_or(after, |commit| commit.position);
        let more = commits
            .after(last)
            .take_while(|commit| commit.position <= tail)
            .any(|commit| filter.matches(commit.stream.category));
        Ok(Scan {
            commits: found,
            upto: if more { last } else { tail },
        })
    }

    async fn pick(&self, positions: Vec<Position>) -> Result<Vec<StoredCommit>, LogError> {
        let commits = lock(&self.commits);
        Ok(positions
            .into_iter()
            .filter_map(|at| commits.at(at))
            .cloned()
            .collect())
    }

    fn save_soon(&self) {
        self.registry.unsaved(self.clock.now(), false);
    }

    async fn save_now(&self) -> Result<(), LogError> {
        self.registry.unsaved(self.clock.now(), true);
        Ok(())
    }
}
