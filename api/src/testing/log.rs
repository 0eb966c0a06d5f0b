//! An event log in a `Vec`.

use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::watch;
use wharf_domain::{
    kernel::{Commit, CommitId, Expected, Head, Position, StoredCommit, StreamId},
    ports::{Append, Committed, Consumer, ConsumerSpec, Durability, EventLog, LogError},
};

/// The log of tests.
pub(crate) struct MemoryLog {
    commits: Mutex<Vec<StoredCommit>>,
    tail: watch::Sender<Position>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self {
            commits: Mutex::default(),
            tail: watch::channel(Position::START).0,
        }
    }
}

impl MemoryLog {
    fn after(&self, after: Position, of: Option<&StreamId>, limit: usize) -> Vec<StoredCommit> {
        let commits = self.commits.lock().unwrap();
        commits
            .iter()
            .filter(|commit| commit.position > after && of.is_none_or(|of| commit.stream == *of))
            .take(limit)
            .cloned()
            .collect()
    }

    /// Every commit.
    pub(crate) fn all(&self) -> Vec<StoredCommit> {
        self.after(Position::START, None, usize::MAX)
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(&self, commit: Commit) -> Append {
        let mut commits = self.commits.lock().unwrap();
        if let Some(known) = commits.iter().find(|known| known.id == commit.id) {
            return Append::Committed(Committed {
                position: known.position,
                duplicate: true,
            });
        }
        let last = commits
            .iter()
            .rfind(|known| known.stream == commit.stream)
            .map(|known| known.position);
        let matches = match commit.expected {
            Expected::Any => true,
            Expected::NoStream => last.is_none(),
            Expected::At(head) => last == Some(head.position),
        };
        if !matches {
            return Append::Conflict { actual: last };
        }
        let position = Position(commits.len() as u64 + 1);
        commits.push(commit.stored_at(position));
        self.tail.send_replace(position);
        Append::Committed(Committed {
            position,
            duplicate: false,
        })
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Position,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, LogError> {
        Ok(self.after(after, Some(stream), limit))
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        Ok(self.after(after, None, limit))
    }

    async fn follow(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        let mut tail = self.tail.subscribe();
        tail.wait_for(|tail| *tail > after).await.unwrap();
        Ok(self.after(after, None, limit))
    }

    async fn tail(&self) -> Result<Position, LogError> {
        Ok(*self.tail.borrow())
    }

    async fn find(&self, id: CommitId) -> Result<Option<StoredCommit>, LogError> {
        Ok(self.all().into_iter().find(|commit| commit.id == id))
    }

    async fn head(&self, stream: &StreamId) -> Result<Option<Head>, LogError> {
        let commits = self.after(Position::START, Some(stream), usize::MAX);
        Ok(commits.last().map(StoredCommit::head))
    }

    async fn consumer(&self, _spec: ConsumerSpec) -> Result<Box<dyn Consumer>, LogError> {
        Err(LogError::Unavailable("the API consumes nothing".into()))
    }

    fn durability(&self) -> Durability {
        Durability::Volatile
    }
}
