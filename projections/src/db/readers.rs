//! What queries read from: the read-only pool of one generation.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sqlx::{
    ConnectOptions, PgPool, Postgres, Sqlite, SqlitePool, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::{Conn, PATIENCE};
use crate::generation;

/// Most queries at once on a file; another waits its turn, [`PATIENCE`] at most.
const SQLITE_READERS: u32 = 4;
/// Most queries at once of this node on a server, which has cores and connections for several nodes.
const POSTGRES_READERS: u32 = 8;
/// How long a connection lies idle before it is closed.
const IDLE: Duration = Duration::from_secs(60);

/// One generation of the views, to read.
#[derive(Debug)]
pub struct Db {
    pub(crate) readers: Readers,
}

#[derive(Debug)]
pub(crate) enum Readers {
    Sqlite {
        pool: SqlitePool,
        path: PathBuf,
        /// Another generation is live: the files go with the last reader.
        retired: AtomicBool,
    },
    Postgres(PgPool),
}

/// Several answers of one moment.
pub(crate) enum Moment {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Db {
    /// The readers of the file at `path`, which the writer has made. Opens no connection yet.
    pub(crate) fn sqlite(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(PATIENCE)
            .pragma("cache_size", "-4096")
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new()
            .min_connections(0)
            .max_connections(SQLITE_READERS)
            .idle_timeout(IDLE)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options);
        Self {
            readers: Readers::Sqlite {
                pool,
                path: path.to_owned(),
                retired: AtomicBool::new(false),
            },
        }
    }

    /// The readers of a schema, which `options` choose. Opens no connection yet.
    pub(crate) fn postgres(options: PgConnectOptions) -> Self {
        let options = options.options([
            ("default_transaction_read_only", "on"),
            // Whoever asked has long given up, and the connection is to answer others.
            ("statement_timeout", "30000"),
        ]);
        let pool = PgPoolOptions::new()
            .min_connections(0)
            .max_connections(POSTGRES_READERS)
            .idle_timeout(IDLE)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options);
        Self {
            readers: Readers::Postgres(pool),
        }
    }

    /// Another generation is live. What this one leaves behind goes with its last reader; a schema, which
    /// other nodes may read, is dropped some time later.
    pub(crate) fn retire(&self) {
        match &self.readers {
            Readers::Sqlite { retired, .. } => retired.store(true, Ordering::Relaxed),
            Readers::Postgres(_) => {}
        }
    }

    /// For rows and counts of one moment: what others commit meanwhile is not seen.
    pub(crate) async fn moment(&self) -> Result<Moment, sqlx::Error> {
        Ok(match &self.readers {
            Readers::Sqlite { pool, .. } => Moment::Sqlite(pool.begin().await?),
            Readers::Postgres(pool) => {
                let begin = "begin isolation level repeatable read read only";
                Moment::Postgres(pool.begin_with(begin).await?)
            }
        })
    }
}

impl Moment {
    pub(super) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(tx) => Conn::Sqlite(tx),
            Self::Postgres(tx) => Conn::Postgres(tx),
        }
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        if let Readers::Sqlite { path, retired, .. } = &self.readers
            && retired.load(Ordering::Relaxed)
        {
            // Connections that are still closing keep what they have open.
            generation::files::remove(path);
        }
    }
}
