//! The one connection that writes a generation, and its transactions. Owned by `projection`.

use std::path::Path;

use sqlx::{
    ConnectOptions, Connection, PgConnection, Postgres, Sqlite, SqliteConnection, Transaction,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::timeout;

use super::{PATIENCE, query};

/// The connection that writes.
pub(crate) enum Writer {
    Sqlite(SqliteConnection),
    Postgres {
        connection: PgConnection,
        /// To open it again: a server may end a connection at any time.
        options: Box<PgConnectOptions>,
        /// Held while a generation is built, so that nobody takes it for an abandoned one.
        lock: Option<i64>,
    },
}

/// A connection that is lent to a statement, within a transaction or without.
pub(crate) enum Conn<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// A transaction of the writer; rolled back unless committed.
pub(crate) enum Tx<'c> {
    Sqlite(Transaction<'c, Sqlite>),
    Postgres(Transaction<'c, Postgres>),
}

impl Writer {
    /// Opens the file at `path`, and makes it if it is not there.
    pub(crate) async fn sqlite(path: &Path) -> Result<Self, sqlx::Error> {
        Ok(Self::Sqlite(sqlite_options(path).connect().await?))
    }

    /// Opens the schema that `options` choose. With `lock`, takes that advisory lock of the session.
    pub(crate) async fn postgres(
        options: PgConnectOptions,
        lock: Option<i64>,
    ) -> Result<Self, sqlx::Error> {
        let options = Box::new(postgres_options(options));
        let connection = connect(&options, lock).await?;
        Ok(Self::Postgres {
            connection,
            options,
            lock,
        })
    }

    /// Opens the connection again if the server has ended it.
    pub(crate) async fn revive(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres {
                connection,
                options,
                lock,
            } => {
                if connection.ping().await.is_err() {
                    *connection = connect(options, *lock).await?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(connection) => Conn::Sqlite(connection),
            Self::Postgres { connection, .. } => Conn::Postgres(connection),
        }
    }

    pub(crate) async fn begin(&mut self) -> Result<Tx<'_>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(connection) => {
                // Waits for another writer here, instead of failing at the first statement.
                Tx::Sqlite(connection.begin_with("begin immediate").await?)
            }
            Self::Postgres { connection, .. } => Tx::Postgres(connection.begin().await?),
        })
    }

    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres { connection, .. } => connection.close().await,
        }
    }
}

impl Conn<'_> {
    /// The same connection, for one more statement.
    pub(crate) fn again(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(connection) => Conn::Sqlite(connection),
            Self::Postgres(connection) => Conn::Postgres(connection),
        }
    }
}

impl Tx<'_> {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(tx) => Conn::Sqlite(tx),
            Self::Postgres(tx) => Conn::Postgres(tx),
        }
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }
}

async fn connect(
    options: &PgConnectOptions,
    lock: Option<i64>,
) -> Result<PgConnection, sqlx::Error> {
    let mut connection = timeout(PATIENCE, options.connect())
        .await
        .map_err(|_| sqlx::Error::PoolTimedOut)??;
    if let Some(lock) = lock {
        query("select pg_advisory_lock($1)")
            .bind(lock)
            .execute(Conn::Postgres(&mut connection))
            .await?;
    }
    Ok(connection)
}

/// How the one writer opens the file at `path`.
///
/// `synchronous=normal`: a power cut may take the last transactions, rows and checkpoint together, and
/// the log gives them again. Pages of 8 KiB and a checkpoint of the WAL each 64 MiB: a replay spends most of
/// its time on writing pages, and record bodies are half a KiB.
pub(crate) fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(PATIENCE)
        .pragma("cache_size", "-16384")
        .pragma("wal_autocheckpoint", "8000")
        .pragma("temp_store", "memory")
        .disable_statement_logging()
}

/// How the one writer of a schema connects.
///
/// `synchronous_commit=on`, unlike above: this process outlives a crash of the server, and has told readers how
/// far the views are. They must not go back.
/// `enable_seqscan=off`: each statement finds its rows by an index, however few there were when the
/// planner looked; a projector's keys are many and its tables grow.
fn postgres_options(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("synchronous_commit", "on"), ("enable_seqscan", "off")])
}
