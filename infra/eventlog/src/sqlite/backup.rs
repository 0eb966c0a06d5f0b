//! A `SQLite` file as it is at one moment, copied while others write it: what a backup is made of.
//!
//! Called by `wharf backup` for `log.db`, and for the vault's file beside it, which is the same to it. It
//! never looks into the tables and never waits for the writer, nor the writer for it.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::schema::BUSY;

/// Pages between two reports: some MiB.
const STEP_PAGES: i32 = 512;

/// The file could not be copied. What is at the target then is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The original cannot be read.
    #[error("{path} cannot be read; check that it is a SQLite file and that its disk works")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The copy cannot be written.
    #[error("{path} cannot be written; check its disk")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The copy's file cannot be made.
    #[error("{path} cannot be made; name a folder where there is none yet")]
    Create {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The original is locked in a way that a log never is.
    #[error("{path} is locked by another program; stop it")]
    Locked {
        /// Which.
        path: PathBuf,
    },
}

/// Copies `from` to `to`, which must not exist, and makes the copy durable. The copy is one file, for its
/// owner only, and holds what was committed when this began. `progress` is told the bytes done and the
/// bytes in all. Blocks.
///
/// # Errors
/// [`BackupError`] names the file.
pub fn backup(
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), BackupError> {
    let read = |source| BackupError::Read {
        path: from.to_owned(),
        source,
    };
    let write = |source| BackupError::Write {
        path: to.to_owned(),
        source,
    };
    let create = |source| BackupError::Create {
        path: to.to_owned(),
        source,
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let original = Connection::open_with_flags(from, flags).map_err(read)?;
    original.busy_timeout(BUSY).map_err(read)?;
    // A transaction that stays open keeps seeing the same moment; without it each commit of another
    // process would send the copy back to the first page.
    original
        .execute_batch("begin; select count(*) from sqlite_schema;")
        .map_err(read)?;
    let page_bytes: u64 = original
        .pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))
        .map_err(read)?
        .into();

    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(create)?;
    let mut copy = Connection::open(to).map_err(write)?;
    {
        let backup = Backup::new(&original, &mut copy).map_err(write)?;
        loop {
            let step = backup.step(STEP_PAGES).map_err(write)?;
            let pages = backup.progress();
            let bytes = |pages: i32| u64::from(pages.unsigned_abs()) * page_bytes;
            progress(
                bytes(pages.pagecount - pages.remaining),
                bytes(pages.pagecount),
            );
            if step == StepResult::Done {
                break;
            }
            // Nobody else knows the copy, and readers of a write-ahead log wait for nobody.
            if step != StepResult::More {
                return Err(BackupError::Locked {
                    path: from.to_owned(),
                });
            }
        }
    }
    // One file, without side files that somebody could forget to take along.
    copy.pragma_update(None, "journal_mode", "delete")
        .map_err(write)?;
    copy.close().map_err(|(_, source)| write(source))?;
    File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(create)
}
