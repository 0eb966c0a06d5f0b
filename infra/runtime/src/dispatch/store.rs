//! The streams of one aggregate: cache, turns, and the load–decide–append loop.

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
    ports::{Append, Clock, Context, DispatchError, EventLog, Ids, Receipt},
};

use super::commit_id;
use crate::journal::{append, metadata};

/// Streams whose state is kept in memory.
const CACHED_STREAMS: u64 = 100_000;
/// Turns: streams that share one wait for each other.
const TURNS: usize = 1024;
/// Decisions of one command before it gives way to the others.
const MAX_DECISIONS: u32 = 4;
/// Commits read at once while loading a stream.
const PAGE: usize = 512;

/// The streams of aggregate `A`.
pub struct Store<A: Decider> {
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
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
            None => self.catch_up(stream, Loaded::default()).await,
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
            match append(&*self.log, commit).await {
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
                    self.cache.insert(stream, Arc::new(next));
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
            if commits.len() < PAGE {
                break;
            }
        }
        let loaded = Arc::new(loaded);
        if loaded.head.is_some() {
            self.cache.insert(stream.clone(), loaded.clone());
        }
        Ok(loaded)
    }
}

fn unavailable<R: std::error::Error + 'static>(
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> DispatchError<R> {
    DispatchError::Unavailable(error.into())
}
