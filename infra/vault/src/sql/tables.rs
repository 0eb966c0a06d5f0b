//! The two engines under the vault. Everything else here has one text and one body for both.

use std::{
    path::{Path, PathBuf},
    str::FromStr as _,
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool,
    Transaction,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use wharf_domain::{kernel::Secret, ports::VaultError};

use crate::Error;

const SQLITE: &str = include_str!("../../migrations/sqlite/0001_vault.sql");
const POSTGRES: &str = include_str!("../../migrations/postgres/0001_vault.sql");
/// The advisory lock of the node that makes the tables.
const LOCK: i64 = i64::from_be_bytes(*b"whrfvlt\0");
/// Connections that read a file. Reads are short; more wait in the pool.
const READERS: u32 = 4;
/// Connections of this node to a server.
const CONNECTIONS: u32 = 8;
/// How long a caller waits for a connection, and a connection for another process's lock.
const WAIT: Duration = Duration::from_secs(5);
/// Tries to open a file that somebody else is opening, in that time.
const TRIES: u32 = 100;
/// How long a connection lies idle before it is closed.
const IDLE: Duration = Duration::from_secs(60);

/// Where the tables are.
pub(super) enum Tables {
    Sqlite {
        /// One connection: writers queue in the pool, not in `SQLite`'s busy handler.
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// A connection, until it is dropped.
pub(super) enum Conn {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// A transaction; rolled back unless committed.
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// What [`sql!`] sends a statement to.
pub(super) enum On<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// `sql!(fetch_optional, tx.on(), "select …", a, b)`: one statement, its values, and one of sqlx's ways to
/// send it, whichever engine it is. Rows are tuples.
macro_rules! sql {
    (execute, $on:expr, $text:expr $(, $value:expr)*) => {
        match $on {
            $crate::sql::tables::On::Sqlite(on) => {
                sqlx::query($text)$(.bind($value))*.execute(on).await.map(|done| done.rows_affected())
            }
            $crate::sql::tables::On::Postgres(on) => {
                sqlx::query($text)$(.bind($value))*.execute(on).await.map(|done| done.rows_affected())
            }
        }
    };
    ($fetch:ident, $on:expr, $text:expr $(, $value:expr)*) => {
        match $on {
            $crate::sql::tables::On::Sqlite(on) => {
                sqlx::query_as($text)$(.bind($value))*.$fetch(on).await
            }
            $crate::sql::tables::On::Postgres(on) => {
                sqlx::query_as($text)$(.bind($value))*.$fetch(on).await
            }
        }
    };
}
pub(super) use sql;

/// Whether another process has the file to itself just now (`SQLITE_BUSY`).
fn is_locked(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().as_deref() == Some("5"))
}

impl Tables {
    /// In the file at `path`, which is made (mode 0600) if it is not there.
    pub(super) async fn sqlite(path: &Path) -> Result<Self, Error> {
        create_private(path).await?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(WAIT)
            .foreign_keys(true)
            // Overwrites what is deleted: a shredded key leaves no bytes in a free page.
            .pragma("secure_delete", "on");
        let mut tries = 0;
        let writer = loop {
            let opened = SqlitePoolOptions::new()
                .max_connections(1)
                .acquire_timeout(WAIT)
                .idle_timeout(None)
                .max_lifetime(None)
                .connect_with(options.clone())
                .await;
            match opened {
                // Of two that make the same file at once SQLite lets neither wait for the other.
                Err(error) if is_locked(&error) && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(WAIT / TRIES).await;
                }
                opened => break opened?,
            }
        };
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(WAIT)
            .idle_timeout(IDLE)
            .connect_lazy_with(options.read_only(true));
        Ok(Self::Sqlite { writer, readers })
    }

    /// In the schema `wharf_vault` of the data base at `url`.
    pub(super) fn postgres(url: &Secret<String>) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url.expose())
            .map_err(Error::Address)?
            .application_name("wharf vault")
            .options([
                ("search_path", "wharf_vault"),
                ("synchronous_commit", "on"),
                // A node that stands still lets go of what it holds.
                ("idle_in_transaction_session_timeout", "3000"),
            ])
            .disable_statement_logging();
        Ok(Self::Postgres(
            PgPoolOptions::new()
                .min_connections(0)
                .max_connections(CONNECTIONS)
                .acquire_timeout(WAIT)
                .idle_timeout(IDLE)
                .connect_lazy_with(options),
        ))
    }

    /// A connection to read.
    pub(super) async fn reader(&self) -> Result<Conn, VaultError> {
        self.connection(false).await.map_err(unavailable)
    }

    /// A connection for one statement that writes.
    pub(super) async fn writer(&self) -> Result<Conn, VaultError> {
        self.connection(true).await.map_err(unavailable)
    }

    async fn connection(&self, to_write: bool) -> Result<Conn, sqlx::Error> {
        Ok(match self {
            Self::Sqlite { writer, .. } if to_write => Conn::Sqlite(writer.acquire().await?),
            Self::Sqlite { readers, .. } => Conn::Sqlite(readers.acquire().await?),
            Self::Postgres(pool) => Conn::Postgres(pool.acquire().await?),
        })
    }

    /// A transaction that writes.
    pub(super) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("begin immediate").await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// A transaction in which the tables are there. Nodes that start at once take turns.
    pub(super) async fn made(&self) -> Result<Tx, sqlx::Error> {
        let mut tx = self.begin().await?;
        match tx.on() {
            On::Sqlite(on) => {
                sqlx::raw_sql(SQLITE).execute(on).await?;
            }
            On::Postgres(on) => {
                sqlx::query("select pg_advisory_xact_lock($1)")
                    .bind(LOCK)
                    .execute(&mut *on)
                    .await?;
                // Asked first: to make what is there already needs a right, too.
                let (made,): (bool,) = sqlx::query_as(
                    "select to_regclass('wharf_vault.answers_expires_at') is not null",
                )
                .fetch_one(&mut *on)
                .await?;
                if !made {
                    let schema = "create schema if not exists wharf_vault";
                    sqlx::raw_sql(schema).execute(&mut *on).await?;
                    sqlx::raw_sql(POSTGRES).execute(on).await?;
                }
            }
        }
        Ok(tx)
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Conn {
    pub(super) fn on(&mut self) -> On<'_> {
        match self {
            Self::Sqlite(connection) => On::Sqlite(connection),
            Self::Postgres(connection) => On::Postgres(connection),
        }
    }
}

impl Tx {
    pub(super) fn on(&mut self) -> On<'_> {
        match self {
            Self::Sqlite(tx) => On::Sqlite(tx),
            Self::Postgres(tx) => On::Postgres(tx),
        }
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }
}

impl On<'_> {
    /// The text for `SQLite`, where one writes at a time, or the one for `PostgreSQL`, where what was
    /// read has to be locked.
    pub(super) const fn choose(&self, alone: &'static str, locked: &'static str) -> &'static str {
        match self {
            Self::Sqlite(_) => alone,
            Self::Postgres(_) => locked,
        }
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

/// The storage failed.
pub(super) fn unavailable(error: sqlx::Error) -> VaultError {
    VaultError::Unavailable(Box::new(error))
}

/// A number as a column holds it.
pub(super) fn column(number: u64) -> Result<i64, VaultError> {
    i64::try_from(number).map_err(|error| VaultError::Unavailable(Box::new(error)))
}
