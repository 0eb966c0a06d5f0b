//! Whose mirror it is: a file that was of another stream, or knows more than the stream, is refused.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use wharf_domain::kernel::{CommitId, Hash, Position};

use crate::{
    error::Error,
    sqlite::{
        Options,
        schema::{BUSY, FILE},
    },
};

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
                let what = format!(
                    "it was made at {}, the mirrored one at {created}",
                    self.created
                );
                return Err(self.diverged(dir, what));
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
        match self.at_mirrors_end {
            Some(there) if there == (end.id, end.hash) => Ok(end.position),
            Some(_) => {
                Err(self.diverged(dir, format!("it has another commit at {}", end.position)))
            }
            None => Err(self.diverged(dir, format!("it has no commit at {}", end.position))),
        }
    }

    /// The mirror may be the only one who has what is missing: it must not be thrown away.
    fn diverged(&self, dir: &Path, what: String) -> Error {
        Error::Diverged {
            stream: self.stream.clone(),
            dir: dir.to_owned(),
            what,
        }
    }
}

/// Refuses a folder that is no mirror of this stream.
pub(in crate::jetstream) fn check_owner(dir: &Path, stream: &str) -> Result<(), Error> {
    let foreign = |what: String| Error::Mirror {
        dir: dir.to_owned(),
        what,
    };
    let conn = crate::sqlite::schema::open_reader(dir)?;
    let sql = "select exists (select 1 from sqlite_schema where name = 'mirrored')";
    let owner = match conn.query_row(sql, [], |row| row.get(0)) {
        Ok(true) => named(&conn),
        Ok(false) => Ok(None),
        Err(error) => Err(error),
    };
    match owner.map_err(|source| Error::Storage {
        dir: dir.to_owned(),
        source,
    })? {
        Some((owner, _)) if owner == stream => Ok(()),
        Some((owner, _)) => Err(foreign(format!("it mirrors the stream {owner}"))),
        None => Err(foreign("it is a log of its own".to_owned())),
    }
}

/// The mirror in `dir` is one of this stream from now on. It has to be the same, commit by commit.
pub(in crate::jetstream) fn give_to(dir: &Path, stream: &str, created: &str) -> Result<(), Error> {
    let storage = |source| Error::Storage {
        dir: dir.to_owned(),
        source,
    };
    let conn = Connection::open(dir.join(FILE)).map_err(storage)?;
    conn.busy_timeout(BUSY).map_err(storage)?;
    conn.execute(
        "update mirrored set stream = ?1, created = ?2",
        (stream, created),
    )
    .map_err(storage)?;
    Ok(())
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

/// The mirror's last commit.
pub(super) struct MirrorEnd {
    position: Position,
    pub(super) id: CommitId,
    pub(super) hash: Hash,
}

/// Where the mirror behind `conn` ends.
pub(super) fn end(conn: &Connection) -> rusqlite::Result<Option<MirrorEnd>> {
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
    named(conn)
}

fn named(conn: &Connection) -> rusqlite::Result<Option<(String, String)>> {
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
