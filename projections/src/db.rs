//! What queries read from: the read-only pool of one generation.
//!
//! The SQL of every query is one text for `SQLite` and `PostgreSQL`; a second engine is a variant in
//! here and a second folder of migrations.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sqlx::{
    ConnectOptions, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::generation;

/// Most queries at once; another waits its turn, five seconds at most.
const READERS: u32 = 4;

/// One generation of the views, to read.
#[derive(Debug)]
pub struct Db {
    pub(crate) readers: SqlitePool,
    path: PathBuf,
    retired: AtomicBool,
}

impl Db {
    /// Opens the readers of the file at `path`, which the writer has made. Opens no connection yet.
    pub(crate) fn open(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(Duration::from_secs(5))
            .pragma("cache_size", "-4096")
            .disable_statement_logging();
        Self {
            readers: SqlitePoolOptions::new()
                .min_connections(0)
                .max_connections(READERS)
                .idle_timeout(Duration::from_secs(60))
                .acquire_timeout(Duration::from_secs(5))
                .connect_lazy_with(options),
            path: path.to_owned(),
            retired: AtomicBool::new(false),
        }
    }

    /// Another generation is live: the files go with the last reader.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        if self.retired.load(Ordering::Relaxed) {
            // Connections that are still closing keep what they have open.
            generation::remove(&self.path);
        }
    }
}

/// How the one writer opens the file at `path`.
///
/// `synchronous=normal`: a power cut may take the last transactions, rows and checkpoint together, and
/// the log gives them again. Pages of 8 KiB and a checkpoint of the WAL each 64 MiB: a replay spends most of
/// its time on writing pages, and record bodies are half a KiB.
pub(crate) fn writer_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5))
        .pragma("cache_size", "-16384")
        .pragma("wal_autocheckpoint", "8000")
        .pragma("temp_store", "memory")
        .disable_statement_logging()
}
