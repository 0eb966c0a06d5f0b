//! The mirror: the whole stream once more in this node's `SQLite`, under the embedded log's schema.
//!
//! A cold load from the server takes a hundred times as long as one from here; here a flipped bit or a
//! missing commit is noticed, because positions are counted and hashes chain; and what the servers lost
//! can be restored from here. The [`follower`] is a thread that owns the only writing connection and
//! copies the stream in order. Everybody else reads.
//!
//! It is never ahead of the stream and may be behind it, but not of what this node was told: whoever
//! reads first waits until the mirror has reached the highest position that an answer named. Who reads one
//! stream does not wait for what this node wrote to others.

mod follower;
mod identity;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::watch;
use wharf_domain::{
    kernel::{CommitId, Head, Position, StoredCommit, StreamId},
    ports::LogError,
};

use super::api::{Api, unavailable};
use crate::{
    consumer::closed,
    error::Error,
    locks::lock,
    sqlite::{Readers, Unindexed, schema},
};
use follower::Follower;

pub(super) use identity::{Identity, check_owner, end_of, give_to};

/// Commits behind the stream's end up to which the mirror counts as fresh: it passes them in a moment.
const FRESH: u64 = 1024;

/// How far the mirror is.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    pub(super) position: Position,
    /// How many more the stream had at that moment; `None` while it is not followed.
    behind: Option<u64>,
    end: Option<End>,
}

/// Why it goes no further.
#[derive(Clone, Debug)]
enum End {
    Closed,
    Damaged { position: Position, what: String },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Mirror {
    readers: Readers,
    reached: watch::Receiver<Reached>,
    /// The highest position that somebody was told and that may be any stream's.
    told: AtomicU64,
    /// The highest position that this node wrote.
    wrote: AtomicU64,
    /// The servers were seen to have something else.
    lost: AtomicBool,
    patience: Duration,
    /// Dropped to stop the follower.
    stop: Mutex<Option<watch::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Mirror {
    /// Opens the mirror in `dir`, which must be of the stream with this identity, and follows. Blocks.
    pub(super) fn open(
        dir: &Path,
        readers: usize,
        identity: &Identity,
        api: Api,
        patience: Duration,
    ) -> Result<Self, Error> {
        let storage = |source| Error::Storage {
            dir: dir.to_owned(),
            source,
        };
        let write_lock = schema::lock(dir)?;
        let conn = schema::open_writer(dir, &identity::options())?;
        // What a power cut takes from it, the stream gives again.
        conn.pragma_update(None, "synchronous", "normal")
            .map_err(storage)?;
        let unindexed = Arc::new(Unindexed::load(&conn).map_err(storage)?);
        let readers = Readers::new(
            dir.join(schema::FILE),
            readers,
            Some(Arc::clone(&unindexed)),
        );
        let position = identity.check(dir, &conn)?;
        let (stop, stopped) = watch::channel(());
        let (reach, reached) = watch::channel(Reached {
            position,
            behind: None,
            end: None,
        });
        let thread = Follower {
            conn,
            write_lock,
            unindexed,
            api,
            reach,
            stopped,
        }
        .start();
        let thread = thread.map_err(|source| Error::Directory {
            dir: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            readers,
            reached,
            told: AtomicU64::new(position.0),
            wrote: AtomicU64::new(position.0),
            lost: AtomicBool::new(false),
            patience,
            stop: Mutex::new(Some(stop)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Somebody was told of `position`: whoever reads from now on finds it.
    pub(super) fn tell(&self, position: Position) {
        self.told.fetch_max(position.0, Ordering::AcqRel);
    }

    /// This node wrote the commit at `position`: who reads its stream, or everything, finds it.
    pub(super) fn wrote(&self, position: Position) {
        self.wrote.fetch_max(position.0, Ordering::AcqRel);
    }

    /// Commits that the stream had and it had not when it last looked; `None` while it cannot look.
    pub(super) fn behind(&self) -> Option<u64> {
        self.reached.borrow().behind
    }

    /// The last position that is there.
    pub(super) fn position(&self) -> Position {
        self.reached.borrow().position
    }

    /// Every position up to here is taken, as far as this node knows.
    pub(super) fn known(&self) -> Position {
        self.position().max(self.told()).max(self.written())
    }

    /// Whether it is nearly where the stream is.
    pub(super) fn is_fresh(&self) -> bool {
        self.behind().is_some_and(|behind| behind <= FRESH)
    }

    /// Waits until `position` is there.
    pub(super) async fn wait(&self, position: Position) -> Result<(), LogError> {
        let mut reached = self.reached.clone();
        let there =
            reached.wait_for(|reached| reached.position >= position || reached.end.is_some());
        let there = tokio::time::timeout(self.patience, there)
            .await
            .map_err(|_| unavailable("the mirror is behind the event log; try again"))?;
        let there = there.map_err(|_| closed())?;
        match &there.end {
            Some(end) if there.position < position => Err(end.error()),
            Some(_) | None => Ok(()),
        }
    }

    /// Waits until there is something after `after`, however long that takes.
    pub(super) async fn wait_beyond(&self, after: Position) -> Result<(), LogError> {
        let mut reached = self.reached.clone();
        let there = reached
            .wait_for(|reached| reached.position > after || reached.end.is_some())
            .await
            .map_err(|_| closed())?;
        match &there.end {
            Some(end) if there.position <= after => Err(end.error()),
            Some(_) | None => Ok(()),
        }
    }

    /// See [`EventLog::read_stream`](wharf_domain::ports::EventLog::read_stream); `own` is the last commit of
    /// `stream` that this node wrote. What it wrote to other streams is not waited for.
    pub(super) async fn stream(
        &self,
        stream: &StreamId,
        own: Position,
        after: Position,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, LogError> {
        self.wait(self.told().max(own)).await?;
        let stream = stream.clone();
        self.readers
            .run(move |reader| reader.stream(&stream, after, limit))
            .await
    }

    /// See [`EventLog::read_all`](wharf_domain::ports::EventLog::read_all).
    pub(super) async fn all(
        &self,
        after: Position,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, LogError> {
        self.catch_up().await?;
        let commits = self
            .readers
            .run(move |reader| reader.all(after, limit))
            .await?;
        // Damage is no tail.
        match &self.reached.borrow().end {
            Some(end @ End::Damaged { .. }) if commits.is_empty() => Err(end.error()),
            Some(_) | None => Ok(commits),
        }
    }

    /// The commit with this id.
    pub(super) async fn find(&self, id: CommitId) -> Result<Option<StoredCommit>, LogError> {
        self.catch_up().await?;
        self.readers.run(move |reader| reader.find(id)).await
    }

    /// Where `stream` ends.
    pub(super) async fn head(&self, stream: &StreamId) -> Result<Option<Head>, LogError> {
        self.catch_up().await?;
        let stream = stream.clone();
        self.readers.run(move |reader| reader.head(&stream)).await
    }

    /// The commit at `position`, if the mirror has it already.
    pub(super) async fn at(&self, position: Position) -> Result<Option<StoredCommit>, LogError> {
        Ok(self.pick(vec![position]).await?.pop())
    }

    /// The commits at `positions`, without those that the mirror has not yet.
    pub(super) async fn pick(
        &self,
        positions: Vec<Position>,
    ) -> Result<Vec<StoredCommit>, LogError> {
        self.readers
            .run(move |reader| reader.pick(&positions))
            .await
    }

    /// The servers have something else than the mirror: nothing can be appended any more.
    pub(super) fn lose(&self) {
        if !self.lost.swap(true, Ordering::AcqRel) {
            tracing::error!("the servers lost commits of the event log");
        }
    }

    /// Whether nothing can be appended because the stream is damaged.
    pub(super) fn is_damaged(&self) -> bool {
        let damaged = matches!(self.reached.borrow().end, Some(End::Damaged { .. }));
        damaged || self.lost.load(Ordering::Acquire)
    }

    /// Stops following; what is there can still be read.
    pub(super) async fn close(&self) {
        drop(lock(&self.stop).take());
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // Fails only if the thread panicked, which has been reported by then.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    async fn catch_up(&self) -> Result<(), LogError> {
        self.wait(self.told().max(self.written())).await
    }

    fn written(&self) -> Position {
        Position(self.wrote.load(Ordering::Acquire))
    }

    fn told(&self) -> Position {
        Position(self.told.load(Ordering::Acquire))
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        drop(lock(&self.stop).take());
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

impl End {
    fn error(&self) -> LogError {
        match self {
            Self::Closed => closed(),
            Self::Damaged { position, what } => LogError::Damaged {
                position: *position,
                what: what.clone(),
            },
        }
    }
}
