//! The receiving end of a copy on `SQLite`: commits at the positions that they had elsewhere.
//!
//! Driven by [`transfer`](crate::transfer()); never open while a hub writes the same folder.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use rusqlite::Connection;
use wharf_domain::{
    kernel::{Commit, Expected, Kind, Position, StoredCommit, Timestamp},
    ports::{Append, Clock, EventLog, LogError},
};

use super::{
    checkpoints,
    index::Unindexed,
    ledger::Ledger,
    log::SqliteLog,
    options::Options,
    rows::{damaged, failed},
    schema::{self, WriteLock},
};
use crate::{
    error::Error,
    locks::lock,
    transfer::{ConsumerCheckpoint, Destination, Origin},
};

/// A log in a folder that takes commits as they are, in order.
pub struct SqliteImporter {
    file: Arc<Mutex<Import>>,
    log: SqliteLog,
    clock: Arc<dyn Clock>,
}

/// The file, as its one writer has it.
struct Import {
    conn: Connection,
    unindexed: Arc<Unindexed>,
    _lock: WriteLock,
}

impl fmt::Debug for SqliteImporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteImporter")
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl SqliteImporter {
    /// Opens the log in `dir`, and makes it if there is none. Blocks.
    ///
    /// # Errors
    /// [`Error::Locked`] while a hub has it open; the others as in [`SqliteLog::open`].
    pub fn open(dir: &Path, options: Options, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let lock = schema::lock(dir)?;
        let conn = schema::open_writer(dir, &options)?;
        let unindexed = Unindexed::load(&conn).map_err(|source| Error::Storage {
            dir: PathBuf::from(dir),
            source,
        })?;
        let log = SqliteLog::open_read_only(dir, options, Arc::clone(&clock))?;
        let file = Import {
            conn,
            unindexed: Arc::new(unindexed),
            _lock: lock,
        };
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
            log,
            clock,
        })
    }

    /// Runs `work` on the file, off the runtime.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Import) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let file = Arc::clone(&self.file);
        tokio::task::spawn_blocking(move || work(&lock(&file)))
            .await
            .map_err(|stopped| LogError::Unavailable(stopped.into()))?
    }
}

impl Import {
    /// Adds `commits` in one transaction, each where it lay.
    fn add(&self, commits: &[StoredCommit]) -> Result<(), LogError> {
        let mut ledger = Ledger::open(&self.conn, Arc::clone(&self.unindexed)).map_err(failed)?;
        let mut refused = Ok(());
        let written = ledger.write(false, |ledger| {
            for commit in commits {
                refused = add(ledger, commit)?;
                if refused.is_err() {
                    // Those before it are right, and stay.
                    break;
                }
            }
            Ok(())
        });
        written.map_err(|unwritten| unwritten.as_log_error())?;
        refused
    }

    /// Enters what is not indexed, so that the next start has nothing to read.
    fn settle(&self) -> Result<(), LogError> {
        let mut ledger = Ledger::open(&self.conn, Arc::clone(&self.unindexed)).map_err(failed)?;
        ledger
            .write(true, |_| Ok(()))
            .map_err(|unwritten| unwritten.as_log_error())
    }
}

/// Adds one commit to the open transaction. The inner error: it does not belong here.
fn add(ledger: &mut Ledger<'_>, stored: &StoredCommit) -> rusqlite::Result<Result<(), LogError>> {
    let place = ledger.last().next();
    if stored.position != place {
        let what = format!("the copy has no commit at {place}");
        return Ok(Err(damaged(place, what)));
    }
    let expected = match stored.stream.category.kind() {
        Kind::Journal => Expected::Any,
        Kind::Decision => ledger
            .head_of(&stored.stream)?
            .map_or(Expected::NoStream, Expected::At),
    };
    let commit = Commit {
        id: stored.id,
        stream: stored.stream.clone(),
        expected,
        revision: stored.revision,
        events: stored.events,
        headers: stored.headers.clone(),
        body: stored.body.clone(),
        prev: stored.prev,
        hash: stored.hash,
    };
    Ok(match ledger.append(&commit)? {
        Append::Committed(committed) if committed.position == place => Ok(()),
        Append::Committed(twin) => Err(damaged(
            place,
            format!("its id is that of the commit at {}", twin.position),
        )),
        Append::Conflict { .. } | Append::Refused(_) | Append::InDoubt { .. } => Err(damaged(
            place,
            "it does not follow the commit before it in its stream".to_owned(),
        )),
    })
}

#[async_trait]
impl Origin for SqliteLog {
    fn log(&self) -> &dyn EventLog {
        self
    }

    async fn checkpoints(&self) -> Result<Vec<ConsumerCheckpoint>, LogError> {
        self.readers()
            .run(|reader| checkpoints::all(&reader.conn).map_err(failed))
            .await
    }
}

#[async_trait]
impl Destination for SqliteImporter {
    fn log(&self) -> &dyn EventLog {
        &self.log
    }

    async fn import(&self, commits: Vec<StoredCommit>) -> Result<(), LogError> {
        self.run(move |file| file.add(&commits)).await
    }

    async fn finish(&self, checkpoints: Vec<ConsumerCheckpoint>) -> Result<(), LogError> {
        let now: Timestamp = self.clock.now();
        self.run(move |file| {
            file.settle()?;
            checkpoints::carry(&file.conn, &checkpoints, now).map_err(failed)
        })
        .await
    }

    async fn tail(&self) -> Result<Position, LogError> {
        self.log.tail().await
    }
}
