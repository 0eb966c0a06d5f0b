//! The file: its shape, how it is opened, and what is refused.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::options::Options;
use crate::error::Error;

/// The log itself.
pub(crate) const FILE: &str = "log.db";
/// Locked by the one process that writes.
const LOCK_FILE: &str = "log.lock";
/// "`WHLG`": tells our file from other `SQLite` files.
const APPLICATION_ID: i64 = 0x5748_4c47;
/// The shape below. A change needs a migration and an ADR: a log is kept for ever.
const FORMAT: i64 = 1;
/// Bytes of a page: a few commits fit, so that an append touches few pages.
const PAGE_BYTES: u32 = 8192;
/// How long to wait for another program's lock (a backup, an auditor's shell).
pub(crate) const BUSY: Duration = Duration::from_secs(5);
/// Bytes of pages that one reader keeps in memory.
const READER_CACHE_BYTES: u32 = 4 << 20;

const SCHEMA: &str = "
    -- One row a stream, made with its first commit and never touched again.
    create table streams (
        id integer primary key,
        name text not null unique,
        category integer not null -- small number, see category.rs
    ) strict;

    -- One row a commit. The columns that a consumer filters by come first, the large ones last.
    create table commits (
        position integer primary key check (position > 0), -- 1, 2, 3, ... without holes
        category integer not null,
        stream integer not null,
        revision integer not null, -- of its first event; 0 in a journal
        events integer not null,
        commit_id blob not null,
        prev blob, -- null is zero: the first of its stream, or a journal
        hash blob not null,
        chain blob not null, -- over all commits up to this one, see chain.rs
        headers text not null,
        body blob not null
    ) strict;

    -- Small, and always written at its end: counts commits without reading them.
    create index commits_counted on commits (position);

    -- Where a stream's commits and an id lie, of all commits up to indexed.upto; see index.rs. Made of
    -- commits, and could be made again.
    create table commits_by_stream (
        stream integer not null,
        position integer not null,
        primary key (stream, position)
    ) strict, without rowid;
    create table commits_by_id (
        commit_id blob primary key,
        position integer not null
    ) strict, without rowid;
    create table indexed (upto integer not null) strict;
    insert into indexed (upto) values (0);

    -- The log only grows.
    create trigger commits_keep_what_they_say before update on commits
        begin select raise(abort, 'the event log is append-only'); end;
    create trigger commits_stay before delete on commits
        begin select raise(abort, 'the event log is append-only'); end;
    create trigger streams_keep_their_names before update on streams
        begin select raise(abort, 'the event log is append-only'); end;
    create trigger streams_stay before delete on streams
        begin select raise(abort, 'the event log is append-only'); end;

    -- Where each durable consumer is. Not part of the log's truth, but not to be derived from it either.
    create table consumers (
        name text primary key,
        floor integer not null, -- everything at or below is acknowledged
        upto integer not null, -- everything at or below was looked at
        outstanding text not null, -- positions of that which are not acknowledged, as JSON
        saved_at integer not null -- microseconds
    ) strict, without rowid;

    -- Who ever was a consumer: one that is here but not in consumers has lost its checkpoint.
    create table consumer_names (
        name text primary key,
        created_at integer not null -- microseconds
    ) strict, without rowid;
";

/// Keeps other processes from writing until it is dropped.
#[derive(Debug)]
pub struct WriteLock {
    _file: File,
}

/// Makes the directory if there is none, and becomes its one writer. A hub has the lock of its log's, or of its
/// mirror's.
///
/// # Errors
/// [`Error::Locked`] if another process has it, [`Error::Directory`] if there can be none.
pub fn lock(dir: &Path) -> Result<WriteLock, Error> {
    let unusable = |source| Error::Directory {
        dir: dir.to_owned(),
        source,
    };
    std::fs::create_dir_all(dir).map_err(unusable)?;
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join(LOCK_FILE));
    let file = file.map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(WriteLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(Error::Locked {
            dir: dir.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// Opens the writer's connection, makes the file if there is none, and refuses one that has holes.
pub(crate) fn open_writer(dir: &Path, options: &Options) -> Result<Connection, Error> {
    let storage = |source| Error::Storage {
        dir: dir.to_owned(),
        source,
    };
    let fresh = !dir.join(FILE).exists();
    let conn = Connection::open(dir.join(FILE)).map_err(storage)?;
    conn.busy_timeout(BUSY).map_err(storage)?;
    set_up(&conn, options).map_err(|source| foreign_or(dir, source))?;
    if fresh {
        // The file's name must survive a power cut as well as its contents.
        File::open(dir)
            .and_then(|entry| entry.sync_all())
            .map_err(|source| Error::Directory {
                dir: dir.to_owned(),
                source,
            })?;
    }
    check_format(dir, &conn, true)?;
    check_holes(dir, &conn)?;
    Ok(conn)
}

/// Refuses the file of a mirror: commits of its own would make it another log than the stream.
pub(crate) fn refuse_mirror(dir: &Path, conn: &Connection) -> Result<(), Error> {
    let sql = "select exists (select 1 from sqlite_schema where name = 'mirrored')";
    match conn.query_row(sql, [], |row| row.get(0)) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::IsMirror {
            dir: dir.to_owned(),
        }),
        Err(source) => Err(Error::Storage {
            dir: dir.to_owned(),
            source,
        }),
    }
}

fn set_up(conn: &Connection, options: &Options) -> rusqlite::Result<()> {
    conn.pragma_update(None, "page_size", PAGE_BYTES)?; // counts only while the file is empty
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "cache_size", -i64::from(options.cache_bytes / 1024))?;
    conn.pragma_update(None, "wal_autocheckpoint", options.wal_bytes / PAGE_BYTES)?;
    conn.pragma_update(None, "journal_size_limit", options.wal_bytes)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    if let Some(bytes) = options.max_bytes {
        let pages = i64::try_from(bytes / u64::from(PAGE_BYTES)).unwrap_or(i64::MAX);
        conn.pragma_update(None, "max_page_count", pages.max(1))?;
    }
    Ok(())
}

/// Opens a connection that can only read. Refuses a directory without a log.
pub(crate) fn open_reader(dir: &Path) -> Result<Connection, Error> {
    let file = dir.join(FILE);
    if !file.exists() {
        return Err(Error::Missing {
            dir: dir.to_owned(),
        });
    }
    let conn = connect_reader(&file).map_err(|source| foreign_or(dir, source))?;
    check_format(dir, &conn, false)?;
    Ok(conn)
}

/// Another connection to a file that [`open_reader`] or [`open_writer`] accepted.
pub(crate) fn connect_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file, flags)?;
    conn.busy_timeout(BUSY)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "cache_size", -i64::from(READER_CACHE_BYTES / 1024))?;
    Ok(conn)
}

/// Makes the tables of an empty file (if `create`), accepts our format, refuses everything else.
fn check_format(dir: &Path, conn: &Connection, create: bool) -> Result<(), Error> {
    let pragma = |name| {
        conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(|source| foreign_or(dir, source))
    };
    let storage = |source| Error::Storage {
        dir: dir.to_owned(),
        source,
    };
    match (pragma("application_id")?, pragma("user_version")?) {
        (APPLICATION_ID, FORMAT) => Ok(()),
        (APPLICATION_ID, found) => Err(Error::Format {
            dir: dir.to_owned(),
            found,
            known: FORMAT,
        }),
        (0, 0) if is_empty(conn).map_err(storage)? => {
            if !create {
                return Err(Error::Missing {
                    dir: dir.to_owned(),
                });
            }
            let all_or_nothing = format!(
                "begin immediate; {SCHEMA} \
                 pragma application_id = {APPLICATION_ID}; pragma user_version = {FORMAT}; commit;"
            );
            conn.execute_batch(&all_or_nothing).map_err(storage)
        }
        _ => Err(Error::Foreign {
            dir: dir.to_owned(),
        }),
    }
}

fn is_empty(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row(
        "select not exists (select 1 from sqlite_schema)",
        [],
        |row| row.get(0),
    )
}

/// Positions are different and positive, so there are as many as the last one says only if none is
/// missing. Counting reads a small index, not the commits.
fn check_holes(dir: &Path, conn: &Connection) -> Result<(), Error> {
    let sql = "select (select count(*) from commits), (select max(position) from commits)";
    let counted = conn.query_row(sql, [], |row| {
        let commits: i64 = row.get(0)?;
        let last: Option<i64> = row.get(1)?;
        Ok((commits.cast_unsigned(), last.unwrap_or(0).cast_unsigned()))
    });
    match counted.map_err(|source| Error::Storage {
        dir: dir.to_owned(),
        source,
    })? {
        (commits, last) if commits == last => Ok(()),
        (commits, last) => Err(Error::Damaged {
            dir: dir.to_owned(),
            commits,
            last,
        }),
    }
}

fn foreign_or(dir: &Path, source: rusqlite::Error) -> Error {
    let dir: PathBuf = dir.to_owned();
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => Error::Foreign { dir },
        Some(_) | None => Error::Storage { dir, source },
    }
}
