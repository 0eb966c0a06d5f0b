//! Opening the vault: file, pools, tables, and the proof that the master key is the right one.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use moka::sync::Cache;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use wharf_domain::ports::{Clock, Ids, Scope, VaultError};

use crate::{Error, MasterKey, envelope::ScopeKey};

/// Version of the tables below.
const SCHEMA: i64 = 1;
const TABLES: &str = include_str!("../../migrations/sqlite/0001_vault.sql");
/// Connections that read. Reads are short; more wait in the pool.
const READERS: u32 = 4;
/// How long a caller waits for a connection, and a connection for another process's lock.
const WAIT: Duration = Duration::from_secs(5);
/// How long a reading connection lies idle before it is closed.
const READER_IDLE: Duration = Duration::from_secs(60);
/// Most unwrapped data keys in memory; above, the least used are forgotten and unwrapped again.
const CACHED_KEYS: u64 = 10_000;
/// How long an unwrapped key stays in memory. Also how long another process that shares this vault
/// may still seal under a shredded key.
const CACHED_FOR: Duration = Duration::from_secs(600);

/// The vault in a `SQLite` file. Share it in an [`Arc`].
pub struct SqliteVault {
    /// One connection: writers queue in the pool, not in `SQLite`'s busy handler.
    pub(super) writer: SqlitePool,
    pub(super) readers: SqlitePool,
    pub(super) master: MasterKey,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    /// Unwrapped data keys by scope; wiped when they leave.
    pub(super) cache: Cache<Scope, Arc<ScopeKey>>,
}

impl SqliteVault {
    /// Opens the vault at `path`, and makes it (mode 0600) if it is not there. A new vault belongs to
    /// `master` from then on.
    ///
    /// # Errors
    /// [`Error::WrongKey`] if the vault belongs to another master key, [`Error::Newer`] if a later
    /// version made it, [`Error::Damaged`], [`Error::File`] and [`Error::Storage`] if it does not open.
    pub async fn open(
        path: &Path,
        master: MasterKey,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Result<Self, Error> {
        create_private(path).await?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(WAIT)
            .foreign_keys(true)
            // Overwrites what is deleted: a shredded key leaves no bytes in a free page.
            .pragma("secure_delete", "on");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(WAIT)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await?;
        prepare(&writer, &master, ids.as_ref()).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(WAIT)
            .idle_timeout(READER_IDLE)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self {
            writer,
            readers,
            master,
            clock,
            ids,
            cache: Cache::builder()
                .max_capacity(CACHED_KEYS)
                .time_to_live(CACHED_FOR)
                .build(),
        })
    }

    /// Closes the file once running calls are done; calls after this fail.
    pub async fn close(&self) {
        self.cache.invalidate_all();
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Now, as the tables keep it.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }
}

impl fmt::Debug for SqliteVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteVault")
            .field("master", &self.master)
            .finish_non_exhaustive()
    }
}

/// `SQLite` would make the file readable by all; its side files take over the mode of this one.
async fn create_private(path: &Path) -> Result<(), Error> {
    tokio::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .await
        .map(drop)
        .map_err(|source| Error::File {
            path: PathBuf::from(path),
            source,
        })
}

/// Makes the tables, and the sentinel of a new vault; checks that of an old one.
async fn prepare(writer: &SqlitePool, master: &MasterKey, ids: &dyn Ids) -> Result<(), Error> {
    let mut tx = writer.begin_with("begin immediate").await?;
    sqlx::raw_sql(TABLES).execute(&mut *tx).await?;
    let row: Option<(i64, String, Vec<u8>)> =
        sqlx::query_as("select schema, key_id, sentinel from vault where id = 1")
            .fetch_optional(&mut *tx)
            .await?;
    match row {
        Some((found, ..)) if found > SCHEMA => {
            return Err(Error::Newer {
                found,
                known: SCHEMA,
            });
        }
        Some((_, expected, _)) if expected != master.id() => {
            return Err(Error::WrongKey {
                expected,
                given: master.id(),
            });
        }
        Some((_, _, sentinel)) if !master.made(&sentinel) => {
            return Err(Error::Damaged("its sentinel does not open"));
        }
        Some(_) => {}
        None => {
            let keys: i64 = sqlx::query_scalar("select count(*) from data_keys")
                .fetch_one(&mut *tx)
                .await?;
            if keys > 0 {
                return Err(Error::Damaged("its sentinel is gone"));
            }
            sqlx::query("insert into vault (id, schema, key_id, sentinel) values (1, $1, $2, $3)")
                .bind(SCHEMA)
                .bind(master.id())
                .bind(master.sentinel(ids))
                .execute(&mut *tx)
                .await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// The storage failed.
pub(super) fn unavailable(error: sqlx::Error) -> VaultError {
    VaultError::Unavailable(Box::new(error))
}

/// A number as a column holds it.
pub(super) fn column(number: u64) -> Result<i64, VaultError> {
    i64::try_from(number).map_err(|error| VaultError::Unavailable(Box::new(error)))
}
