//! The streams of one aggregate: cache, snapshots, turns, and the load–decide–append loop.
//!
//! A state comes from the cache, else from a snapshot and the rest of its stream, else from the whole
//! stream. None of the three is trusted over the log: the append's expectation finds out a stale one.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

use moka::sync::Cache;
use tokio::sync::Semaphore;
use wharf_domain::{
    kernel::{
        Decider, EventSet, Expected, Head, Loaded, NewCommit, Position, Revision, StreamId,
        decode_all,
    },
    ports::{
        Append, Clock, Context, DispatchError, EventLog, Ids, NoSnapshots, READ_BYTES, Receipt,
        Snapshot, Snapshots,
    },
};

use super::commit_id;
use crate::{
    journal::{append, metadata},
    trace,
};

/// Streams whose state is kept in memory.
const CACHED_STREAMS: u64 = 100_000;
/// Turns: streams that share one wait for each other.
const TURNS: usize = 1024;
/// Decisions of one command before it gives way to the others.
const MAX_DECISIONS: u32 = 4;
/// Commits read at once while loading a stream.
const PAGE: usize = 512;
/// Events between two snapshots of a stream: folding so many takes longer than reading one.
const SNAPSHOT_EVERY: u64 = 128;

/// The streams of aggregate `A`.
pub struct Store<A: Decider> {
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    /// None, unless the dispatcher is given some.
    pub(super) snapshots: Arc<dyn Snapshots>,
    /// Never trusted: the append's expectation finds a stale entry out.
    cache: Cache<StreamId, Arc<Loaded<A>>>,
    turns: Vec<Semaphore>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl<A: Decider> Store<A> {
    /// The streams of `A` in `log`.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self {
            log,
            clock,
            ids,
            snapshots: Arc::new(NoSnapshots),
            cache: Cache::new(CACHED_STREAMS),
            turns: (0..TURNS).map(|_| Semaphore::new(1)).collect(),
            hasher: BuildHasherDefault::new(),
        }
    }

    /// The aggregate as of `position` or later. The cache may be behind the log even in this process: a
    /// commit is seen by whoever follows the log before the writer has put it into the cache.
    ///
    /// # Errors
    /// [`DispatchError::Unavailable`].
    pub async fn load_at(
        &self,
        stream: &StreamId,
        position: Position,
    ) -> Result<Arc<Loaded<A>>, DispatchError<A::Refusal>> {
        let loaded = self.load(stream).await?;
        if loaded.head.is_some_and(|head| head.position >= position) {
            return Ok(loaded);
        }
        self.catch_up(stream, loaded.as_ref().clone()).await
    }

    /// The aggregate as the cache or the log has it: good enough to decide upon, since the append's
    /// expectation finds out if it is old.
    ///
    /// # Errors
    /// [`DispatchError::Unavailable`].
    pub async fn load(
        &self,
        stream: &StreamId,
    ) -> Result<Arc<Loaded<A>>, DispatchError<A::Refusal>> {
        match self.cache.get(stream) {
            Some(loaded) => Ok(loaded),
            None => self.catch_up(stream, self.recall(stream).await?).await,
        }
    }

    /// Decides `command` and appends what it says.
    ///
    /// # Errors
    /// [`DispatchError`].
    pub async fn execute(
        &self,
        stream: StreamId,
        command: &A::Command,
        context: &Context,
    ) -> Result<Receipt, DispatchError<A::Refusal>> {
        let decided = self.decide(stream, command, context);
        trace::dispatch(A::CATEGORY, &context.correlation, decided).await
    }

    async fn decide(
        &self,
        stream: StreamId,
        command: &A::Command,
        context: &Context,
    ) -> Result<Receipt, DispatchError<A::Refusal>> {
        let turn = usize::try_from(self.hasher.hash_one(&stream)).unwrap_or(usize::MAX) % TURNS;
        // Never closed; without a turn the expectation still protects the stream.
        let _turn = match self.turns.get(turn) {
            Some(turn) => turn.acquire().await.ok(),
            None => None,
        };
        let id = commit_id(&stream, context, &*self.ids);
        let mut loaded = self.load(&stream).await?;
        for _ in 0..MAX_DECISIONS {
            let events = match loaded.state.decide(command) {
                Ok(events) if !events.is_empty() => events,
                nothing => {
                    // What another node just wrote may not be read here yet, unless the log is asked how
                    // far it is.
                    self.log.tail().await.map_err(unavailable)?;
                    // A repeat of a command that was carried out before finds its own effects.
                    if context.idempotency_key.is_some()
                        && let Some(commit) = self.log.find(id).await.map_err(unavailable)?
                    {
                        return Ok(Receipt {
                            position: commit.position,
                            duplicate: true,
                        });
                    }
                    // A refusal by a stale cache would be wrong: look at the log before saying no.
                    let fresh = self.catch_up(&stream, loaded.as_ref().clone()).await?;
                    if fresh.head != loaded.head {
                        loaded = fresh;
                        continue;
                    }
                    nothing.map_err(DispatchError::Refused)?;
                    let position = loaded.head.map_or(Position::START, |head| head.position);
                    return Ok(Receipt {
                        position,
                        duplicate: false,
                    });
                }
            };
            let commit = NewCommit {
                id,
                stream: stream.clone(),
                expected: loaded.head.map_or(Expected::NoStream, Expected::At),
                events: events
                    .iter()
                    .map(EventSet::encode)
                    .collect::<Result<_, _>>()
                    .map_err(unavailable)?,
                meta: metadata(context, &*self.clock),
            }
            .encode()
            .map_err(|invalid| DispatchError::Log(invalid.into()))?;
            let (revision, hash) = (commit.revision, commit.hash);
            match append(&*self.log, &context.correlation, commit).await {
                Append::Committed(committed) if committed.duplicate => {
                    self.cache.invalidate(&stream);
                    return Ok(Receipt {
                        position: committed.position,
                        duplicate: true,
                    });
                }
                Append::Committed(committed) => {
                    let mut next = loaded.as_ref().clone();
                    for event in &events {
                        next.apply(event);
                    }
                    next.head = Some(Head {
                        position: committed.position,
                        revision: Revision(revision.0 + events.len() as u64 - 1),
                        hash,
                    });
                    self.keep(&stream, loaded.head, next);
                    return Ok(Receipt {
                        position: committed.position,
                        duplicate: false,
                    });
                }
                Append::Conflict { .. } => {
                    loaded = self.catch_up(&stream, loaded.as_ref().clone()).await?;
                }
                Append::InDoubt { .. } => {
                    self.cache.invalidate(&stream);
                    return Err(DispatchError::InDoubt);
                }
                Append::Refused(refusal) => {
                    self.cache.invalidate(&stream);
                    return Err(DispatchError::Log(refusal));
                }
            }
        }
        Err(DispatchError::Contended(stream))
    }

    /// Folds what the log has beyond `loaded`.
    async fn catch_up(
        &self,
        stream: &StreamId,
        mut loaded: Loaded<A>,
    ) -> Result<Arc<Loaded<A>>, DispatchError<A::Refusal>> {
        let before = loaded.head;
        loop {
            let after = loaded.head.map_or(Position::START, |head| head.position);
            let commits = self
                .log
                .read_stream(stream, after, PAGE)
                .await
                .map_err(unavailable)?;
            for commit in &commits {
                for recorded in decode_all::<A::Event>(commit).map_err(unavailable)? {
                    loaded.apply(&recorded.event);
                }
                loaded.head = Some(commit.head());
            }
            let bytes: usize = commits.iter().map(|commit| commit.body.len()).sum();
            if commits.len() < PAGE && bytes < READ_BYTES {
                break;
            }
        }
        Ok(self.keep(stream, before, loaded))
    }

    /// What a snapshot says, if the log has the commit at which it was taken; else nothing.
    async fn recall(&self, stream: &StreamId) -> Result<Loaded<A>, DispatchError<A::Refusal>> {
        let Some(Snapshot { head, state }) = self.snapshots.load(stream, A::STATE_VERSION).await
        else {
            return Ok(Loaded::default());
        };
        let before = Position(head.position.0.saturating_sub(1));
        let at = self
            .log
            .read_stream(stream, before, 1)
            .await
            .map_err(unavailable)?;
        let of_this_log = at.first().is_some_and(|commit| commit.head() == head);
        match serde_json::from_slice(&state) {
            Ok(state) if of_this_log => Ok(Loaded {
                state,
                head: Some(head),
            }),
            Ok(_) | Err(_) => {
                tracing::warn!(
                    %stream, position = %head.position, of_this_log,
                    "a snapshot is of no use; the stream is folded from its first event"
                );
                self.snapshots.forget(stream);
                Ok(Loaded::default())
            }
        }
    }

    /// Caches what was folded beyond `before`, and offers a snapshot each time that enough was.
    fn keep(&self, stream: &StreamId, before: Option<Head>, loaded: Loaded<A>) -> Arc<Loaded<A>> {
        let loaded = Arc::new(loaded);
        let Some(head) = loaded.head else {
            return loaded;
        };
        let snapshots = |head: Head| head.revision.0 / SNAPSHOT_EVERY;
        if snapshots(head) > before.map_or(0, snapshots)
            && let Ok(state) = serde_json::to_vec(&loaded.state)
        {
            let snapshot = Snapshot { head, state };
            self.snapshots.save(stream, A::STATE_VERSION, snapshot);
        }
        self.cache.insert(stream.clone(), loaded.clone());
        loaded
    }
}

fn unavailable<R: std::error::Error + 'static>(
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> DispatchError<R> {
    DispatchError::Unavailable(error.into())
}
