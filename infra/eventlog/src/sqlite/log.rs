//! [`SqliteLog`]: the port, put together from the writer and the readers.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use wharf_domain::{
    kernel::{Commit, CommitId, Head, Position, StoredCommit, StreamId},
    ports::{Append, Clock, Consumer, ConsumerSpec, Durability, EventLog, LogError, Refusal},
};

use super::{
    index::Unindexed,
    options::Options,
    readers::Readers,
    schema,
    stats::Stats,
    writer::{StartError, Writer},
};
use crate::{
    category::Filter,
    consumer::{Checkpoint, LogConsumer, Registry, Scan, Source, closed},
    error::Error,
    measure,
    verdict::admit,
};

/// How often a log that another process writes is looked at for news.
const POLL: Duration = Duration::from_millis(200);

/// The event log in `log.db`. Cheap to clone; the file is closed with the last clone and the last of
/// its consumers, or by [`SqliteLog::close`].
#[derive(Clone)]
pub struct SqliteLog {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    readers: Readers,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    /// `None`: another process writes.
    writer: Option<Writer>,
}

impl SqliteLog {
    /// Opens the log in `dir` for writing, and makes it if there is none. Blocks: it may have to count
    /// the commits of a large log.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process has it open so; the others tell what is wrong with the
    /// directory or the file.
    pub fn open(dir: &Path, options: Options, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let storage = |source| Error::Storage {
            dir: dir.to_owned(),
            source,
        };
        let write_lock = schema::lock(dir)?;
        let conn = schema::open_writer(dir, &options)?;
        schema::refuse_mirror(dir, &conn)?;
        let unindexed = Arc::new(Unindexed::load(&conn).map_err(storage)?);
        let registry = Arc::new(Registry::default());
        let writer = Writer::start(
            conn,
            write_lock,
            Arc::clone(&unindexed),
            Arc::clone(&registry),
            Arc::clone(&clock),
        );
        let writer = writer.map_err(|error| match error {
            StartError::Storage(source) => storage(source),
            StartError::Thread(source) => Error::Directory {
                dir: dir.to_owned(),
                source,
            },
        })?;
        let readers = Readers::new(dir.join(schema::FILE), options.readers, Some(unindexed));
        Ok(Self::new(dir, readers, registry, clock, Some(writer)))
    }

    /// Opens the log in `dir` for reading, whether or not a server writes it. Appends are refused and
    /// consumers cannot be opened; [`EventLog::follow`] looks for news now and then.
    ///
    /// # Errors
    /// There is no log, or not one that this version reads.
    pub fn open_read_only(
        dir: &Path,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        schema::open_reader(dir)?;
        let readers = Readers::new(dir.join(schema::FILE), options.readers, None);
        Ok(Self::new(dir, readers, Arc::default(), clock, None))
    }

    fn new(
        dir: &Path,
        readers: Readers,
        registry: Arc<Registry>,
        clock: Arc<dyn Clock>,
        writer: Option<Writer>,
    ) -> Self {
        let dir = dir.to_owned();
        Self {
            inner: Arc::new(Inner {
                dir,
                readers,
                registry,
                clock,
                writer,
            }),
        }
    }

    /// Takes no more commits, writes those it was given, saves the checkpoints of the consumers and
    /// gives the lock back. Reads go on working. For a shutdown that does not depend on who still holds
    /// a clone.
    pub async fn close(&self) {
        if let Some(writer) = &self.inner.writer {
            writer.close().await;
        }
    }

    /// What is in the log, and how large it is.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn stats(&self) -> Result<Stats, LogError> {
        let dir = self.inner.dir.clone();
        self.inner
            .readers
            .run(move |reader| reader.stats(&dir))
            .await
    }

    /// For what reads more than the port does.
    pub(super) fn readers(&self) -> &Readers {
        &self.inner.readers
    }
}

impl fmt::Debug for SqliteLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLog")
            .field("dir", &self.inner.dir)
            .field("read_only", &self.inner.writer.is_none())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl EventLog for SqliteLog {
    async fn append(&self, commit: Commit) -> Append {
        let started = Instant::now();
        let answer = match (admit(&commit), &self.inner.writer) {
            (Err(invalid), _) => Append::Refused(Refusal::Invalid(invalid)),
            (Ok(()), Some(writer)) => writer.append(commit).await,
            (Ok(()), None) => Append::Refused(Refusal::Closed("it is open for reading only")),
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
        let stream = stream.clone();
        self.inner
            .readers
            .run(move |reader| reader.stream(&stream, after, limit))
            .await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        self.inner
            .readers
            .run(move |reader| reader.all(after, limit))
            .await
    }

    async fn follow(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        if let Some(writer) = &self.inner.writer {
            let mut tail = writer.tail().clone();
            tail.wait_for(|&tail| tail > after)
                .await
                .map_err(|_| closed())?;
            return self.read_all(after, limit).await;
        }
        loop {
            let commits = self.read_all(after, limit).await?;
            if !commits.is_empty() {
                return Ok(commits);
            }
            let soon = self.inner.clock.now().saturating_add(POLL);
            // The end of time cannot be passed.
            self.inner.clock.sleep_until(soon.unwrap_or_default()).await;
        }
    }

    async fn tail(&self) -> Result<Position, LogError> {
        match &self.inner.writer {
            Some(writer) => Ok(*writer.tail().borrow()),
            None => self.inner.readers.run(|reader| reader.tail()).await,
        }
    }

    async fn find(&self, id: CommitId) -> Result<Option<StoredCommit>, LogError> {
        self.inner.readers.run(move |reader| reader.find(id)).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Option<Head>, LogError> {
        let stream = stream.clone();
        self.inner
            .readers
            .run(move |reader| reader.head(&stream))
            .await
    }

    async fn consumer(&self, spec: ConsumerSpec) -> Result<Box<dyn Consumer>, LogError> {
        let inner = &self.inner;
        let Some(writer) = &inner.writer else {
            return Err(LogError::Unavailable(
                "the event log is open for reading only".into(),
            ));
        };
        let stored = if inner.registry.knows(spec.name) {
            Checkpoint::default()
        } else {
            writer.open_consumer(spec.name, spec.from).await?
        };
        Ok(Box::new(LogConsumer::open(
            &spec,
            stored,
            &inner.registry,
            Arc::clone(inner),
            writer.tail().clone(),
            Arc::clone(&inner.clock),
        )))
    }

    fn durability(&self) -> Durability {
        Durability::Durable
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
        self.readers
            .run(move |reader| reader.scan(after, tail, filter, limit))
            .await
    }

    async fn pick(&self, positions: Vec<Position>) -> Result<Vec<StoredCommit>, LogError> {
        self.readers
            .run(move |reader| reader.pick(&positions))
            .await
    }

    fn save_soon(&self) {
        if let Some(writer) = &self.writer {
            writer.save_soon();
        }
    }

    async fn save_now(&self) -> Result<(), LogError> {
        match &self.writer {
            Some(writer) => writer.save_now().await,
            None => Ok(()),
        }
    }
}
