//! Snapshots in `snapshots.db`, a file of their own in the node's data folder, beside whichever log it has.
//!
//! Opened by the server and asked by the runtime. The file is disposable, so it is never part of `log.db`,
//! which only grows and is audited, nor of a backup; one that cannot be read is made again. What is offered
//! is written by a thread of its own: nobody waits for it, and nothing fails because of it.

#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};
use wharf_domain::{
    kernel::{Hash, Head, Position, Revision, StreamId, with_causes},
    ports::{NoSnapshots, Snapshot, Snapshots},
};

use super::{schema::BUSY, writer::StartError};
use crate::locks::lock;

/// The file.
const FILE: &str = "snapshots.db";
/// Snapshots that wait to be written; more are dropped, and each stream offers another some events later.
const QUEUE: usize = 256;
/// Streams that have one; then the one whose snapshot is the oldest loses it.
const STREAMS: usize = 65_536;

const SCHEMA: &str = "
    -- The last snapshot of each long stream. Can be lost: the log has it all.
    create table if not exists snapshots (
        stream text primary key,
        version integer not null, -- of the state's shape
        position integer not null, -- of the commit after which it was taken
        revision integer not null, -- of that commit's last event
        hash blob not null, -- of that commit
        state blob not null, -- JSON
        digest blob not null -- over all of the above: a changed byte is no snapshot
    ) strict;
    create index if not exists snapshots_by_age on snapshots (position);
";
const LOAD: &str = "select position, revision, hash, state, digest from snapshots
     where stream = ?1 and version = ?2";
const SAVE: &str = "insert or replace into snapshots
     (stream, version, position, revision, hash, state, digest) values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const DROP_OLDEST: &str = "delete from snapshots where stream =
     (select stream from snapshots order by position limit 1) returning stream";

/// The snapshots in `dir`, which is there. Without any, and with a line in the log, if they cannot be kept.
#[must_use]
pub fn snapshots(dir: &Path) -> Arc<dyn Snapshots> {
    match SqliteSnapshots::open(dir, STREAMS) {
        Ok(snapshots) => Arc::new(snapshots),
        Err(error) => {
            let error = with_causes(&error);
            tracing::warn!(%error, "no snapshots: long streams are folded from their first event");
            Arc::new(NoSnapshots)
        }
    }
}

/// The file and its writer; dropping it waits until what was offered is written.
struct SqliteSnapshots {
    /// Streams that have one: the others cost no read.
    known: Arc<Mutex<HashSet<String>>>,
    reader: Arc<Mutex<Connection>>,
    requests: Option<SyncSender<Request>>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer is asked.
enum Request {
    Save {
        stream: String,
        version: u32,
        snapshot: Snapshot,
    },
    Forget(String),
}

impl SqliteSnapshots {
    /// Opens the file, and makes it again if that does not work.
    fn open(dir: &Path, streams: usize) -> Result<Self, StartError> {
        let file = dir.join(FILE);
        let (reader, known) = match connect(&file) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, "{FILE} cannot be read and is made again");
                for name in [FILE, "snapshots.db-wal", "snapshots.db-shm"] {
                    // What is still in the way stops the next line.
                    let _ = std::fs::remove_file(dir.join(name));
                }
                connect(&file)?
            }
        };
        let (conn, _) = connect(&file)?;
        let known = Arc::new(Mutex::new(known));
        let (requests, queue) = sync_channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("wharf-snapshots".to_owned())
            .spawn({
                let known = Arc::clone(&known);
                move || write(&conn, &queue, &known, streams)
            })?;
        Ok(Self {
            known,
            reader: Arc::new(Mutex::new(reader)),
            requests: Some(requests),
            writer: Some(writer),
        })
    }

    fn offer(&self, request: Request) {
        if let Some(requests) = &self.requests {
            // Full, or its thread is gone: a fold more, some time.
            let _ = requests.try_send(request);
        }
    }
}

#[async_trait]
impl Snapshots for SqliteSnapshots {
    async fn load(&self, stream: &StreamId, version: u32) -> Option<Snapshot> {
        let stream = stream.to_string();
        if !lock(&self.known).contains(&stream) {
            return None;
        }
        let reader = Arc::clone(&self.reader);
        let reading = tokio::task::spawn_blocking(move || read(&lock(&reader), &stream, version));
        match reading.await.ok()? {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "a snapshot cannot be read");
                None
            }
        }
    }

    fn save(&self, stream: &StreamId, version: u32, snapshot: Snapshot) {
        self.offer(Request::Save {
            stream: stream.to_string(),
            version,
            snapshot,
        });
    }

    fn forget(&self, stream: &StreamId) {
        let stream = stream.to_string();
        lock(&self.known).remove(&stream);
        self.offer(Request::Forget(stream));
    }
}

impl Drop for SqliteSnapshots {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// A connection, and the streams that have a snapshot.
fn connect(file: &Path) -> rusqlite::Result<(Connection, HashSet<String>)> {
    let conn = Connection::open(file)?;
    conn.busy_timeout(BUSY)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    // A power cut may take the last ones; it leaves the file whole.
    conn.pragma_update(None, "synchronous", "normal")?;
    conn.execute_batch(SCHEMA)?;
    conn.prepare_cached(LOAD)?;
    let known = conn
        .prepare("select stream from snapshots")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok((conn, known))
}

fn read(conn: &Connection, stream: &str, version: u32) -> rusqlite::Result<Option<Snapshot>> {
    let found = conn
        .prepare_cached(LOAD)?
        .query_row((stream, version), |row| {
            let (position, revision): (i64, i64) = (row.get(0)?, row.get(1)?);
            let snapshot = Snapshot {
                head: Head {
                    position: Position(position.cast_unsigned()),
                    revision: Revision(revision.cast_unsigned()),
                    hash: Hash(row.get(2)?),
                },
                state: row.get(3)?,
            };
            Ok((snapshot, Hash(row.get(4)?)))
        })
        .optional()?;
    let Some((snapshot, kept)) = found else {
        return Ok(None);
    };
    if kept == digest(stream, version, &snapshot) {
        return Ok(Some(snapshot));
    }
    tracing::warn!(
        stream,
        "a snapshot is damaged; the stream is folded from its first event"
    );
    Ok(None)
}

fn digest(stream: &str, version: u32, snapshot: &Snapshot) -> Hash {
    Hash::of(&[
        stream.as_bytes(),
        &version.to_be_bytes(),
        &snapshot.head.position.0.to_be_bytes(),
        &snapshot.head.revision.0.to_be_bytes(),
        &snapshot.head.hash.0,
        &snapshot.state,
    ])
}

/// The thread: until nobody can ask any more.
fn write(
    conn: &Connection,
    queue: &Receiver<Request>,
    known: &Mutex<HashSet<String>>,
    streams: usize,
) {
    for request in queue {
        let written = match request {
            Request::Save {
                stream,
                version,
                snapshot,
            } => save(conn, &stream, version, &snapshot).and_then(|()| {
                lock(known).insert(stream);
                make_room(conn, known, streams)
            }),
            Request::Forget(stream) => conn
                .execute("delete from snapshots where stream = ?1", [stream])
                .map(drop),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "a snapshot was not written");
        }
    }
}

fn save(
    conn: &Connection,
    stream: &str,
    version: u32,
    snapshot: &Snapshot,
) -> rusqlite::Result<()> {
    let Head {
        position,
        revision,
        hash,
    } = snapshot.head;
    conn.prepare_cached(SAVE)?.execute((
        stream,
        version,
        position.0.cast_signed(),
        revision.0.cast_signed(),
        hash.0,
        &snapshot.state,
        digest(stream, version, snapshot).0,
    ))?;
    Ok(())
}

fn make_room(
    conn: &Connection,
    known: &Mutex<HashSet<String>>,
    streams: usize,
) -> rusqlite::Result<()> {
    if lock(known).len() > streams {
        let oldest: String = conn.query_row(DROP_OLDEST, [], |row| row.get(0))?;
        lock(known).remove(&oldest);
    }
    Ok(())
}
