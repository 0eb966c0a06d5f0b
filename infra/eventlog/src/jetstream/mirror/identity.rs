//! Whose mirror it is: a file that was of another stream, or knows more than the stream, is refused.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use wharf_domain::kernel::{CommitId, Hash, Position};

use crate::{error::Error, sqlite::Options};

const TABLE: &str = "
    -- One row: the stream that log.db mirrors. Without it log.db is a log of its own.
    create table if not exists mirrored (
        stream text not null,
        created text not null -- when the server made the stream
    ) strict;
";

/// A stream as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::jetstream) struct Identity {
    pub(in crate::jetstream) stream: String,
    pub(in crate::jetstream) created: String,
    /// Its last position.
    pub(in crate::jetstream) last: Position,
    /// Id and hash of the commit at the position where this node's mirror ends; `None`: it is empty, or
    /// there is no such commit.
    pub(in crate::jetstream) at_mirrors_end: Option<(CommitId, Hash)>,
}

/// How the mirror uses `SQLite`.
pub(super) fn options() -> Options {
    Options::default()
}

impl Identity {
    /// Position of the mirror's last commit, which must be one of this stream.
    pub(super) fn check(&self, dir: &Path, conn: &Connection) -> Result<Position, Error> {
        let storage = |source| Error::Storage {
            dir: dir.to_owned(),
            source,
        };
        let foreign = |what: String| Error::Mirror {
            dir: dir.to_owned(),
            what,
        };
        let end = end(conn).map_err(storage)?;
        match owner(conn).map_err(storage)? {
            None if end.is_some() => {
                return Err(foreign("it holds a log of its own".to_owned()));
            }
            None => own(conn, &self.stream, &self.created).map_err(storage)?,
            Some((stream, _)) if stream != self.stream => {
                return Err(foreign(format!("it mirrors the stream {stream}")));
            }
            Some((_, created)) if created != self.created => {
                return Err(foreign(format!(
                    "it mirrors a stream that was made at {created}, this one was made at {}",
                    self.created
                )));
            }
            Some(_) => {}
        }
        let Some(end) = end else {
            return Ok(Position::START);
        };
        if end.position > self.last {
            return Err(Error::StreamLost {
                stream: self.stream.clone(),
                last: self.last.0,
                mirrored: end.position.0,
            });
        }
        if self.at_mirrors_end != Some((end.id, end.hash)) {
            return Err(foreign(format!(
                "the commit at position {} is another one in the stream",
                end.position
            )));
        }
        Ok(end.position)
    }
}

/// Where the mirror in `dir` ends; nothing if there is none.
pub(in crate::jetstream) fn end_of(dir: &Path) -> Result<Position, Error> {
    match crate::sqlite::schema::open_reader(dir) {
        Ok(conn) => {
            let end = end(&conn).map_err(|source| Error::Storage {
                dir: dir.to_owned(),
                source,
            })?;
            Ok(end.map_or(Position::START, |end| end.position))
        }
        Err(Error::Missing { .. }) => Ok(Position::START),
        Err(error) => Err(error),
    }
}

struct MirrorEnd {
    position: Position,
    id: CommitId,
    hash: Hash,
}

fn end(conn: &Connection) -> rusqlite::Result<Option<MirrorEnd>> {
    let last = "select position, commit_id, hash from commits order by position desc limit 1";
    conn.query_row(last, [], |row| {
        let position: i64 = row.get(0)?;
        let id: [u8; 16] = row.get(1)?;
        Ok(MirrorEnd {
            position: Position(position.cast_unsigned()),
            id: CommitId(uuid::Uuid::from_bytes(id)),
            hash: Hash(row.get(2)?),
        })
    })
    .optional()
}

fn owner(conn: &Connection) -> rusqlite::Result<Option<(String, String)>> {
    conn.execute_batch(TABLE)?;
    conn.query_row("select stream, created from mirrored", [], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
    .optional()
}

fn own(conn: &Connection, stream: &str, created: &str) -> rusqlite::Result<()> {
    conn.execute(
        "insert into mirrored (stream, created) values (?1, ?2)",
        (stream, created),
    )?;
    Ok(())
}
