//! How a commit comes out of its row.

use rusqlite::{Connection, OptionalExtension, Row, types::ValueRef};
use wharf_domain::{
    kernel::{CommitId, Hash, Position, Revision, StoredCommit, StreamId},
    ports::LogError,
};

use super::recent::Recent;
use crate::category;

/// The columns of `commits c` that [`Names::commit`] reads, in its order.
pub(super) const COLUMNS: &str = "c.position, c.category, c.stream, c.revision, c.events, \
                                  c.commit_id, c.prev, c.hash, c.headers, c.body";
/// Streams whose names a reader remembers, at least.
const NAMES: usize = 4096;

/// Names of streams by their row, remembered.
#[derive(Debug)]
pub(super) struct Names(Recent<i64, StreamId>);

impl Names {
    pub(super) fn new() -> Self {
        Self(Recent::new(NAMES))
    }

    /// The commit of a row of [`COLUMNS`].
    pub(super) fn commit(
        &mut self,
        conn: &Connection,
        row: &Row<'_>,
    ) -> Result<StoredCommit, LogError> {
        let position = Position(number(row, 0, Position::START)?);
        let malformed = |what: &str| damaged(position, format!("{what} cannot be read"));
        let bytes = |column: usize| match row.get_ref(column) {
            Ok(ValueRef::Blob(bytes) | ValueRef::Text(bytes)) => Some(bytes),
            Ok(ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_)) | Err(_) => None,
        };
        let hash = |column| bytes(column)?.try_into().ok().map(Hash);
        let id = bytes(5).and_then(|id| uuid::Uuid::from_slice(id).ok());
        let prev = match row.get_ref(6) {
            Ok(ValueRef::Null) => Some(Hash::ZERO),
            Ok(_) | Err(_) => hash(6),
        };
        let headers = bytes(8).and_then(|text| std::str::from_utf8(text).ok());
        let body = bytes(9).ok_or_else(|| malformed("its body"))?;
        let stream = self.name(conn, row.get(2).map_err(failed)?, position)?;
        if number(row, 1, position)? != u64::from(category::code(stream.category)) {
            return Err(damaged(
                position,
                "its category is not that of its stream".to_owned(),
            ));
        }
        Ok(StoredCommit {
            position,
            id: CommitId(id.ok_or_else(|| malformed("its id"))?),
            stream,
            revision: Revision(number(row, 3, position)?),
            events: u32::try_from(number(row, 4, position)?)
                .map_err(|_| malformed("its number of events"))?,
            prev: prev.ok_or_else(|| malformed("the hash before it"))?,
            hash: hash(7).ok_or_else(|| malformed("its hash"))?,
            headers: headers.ok_or_else(|| malformed("its headers"))?.to_owned(),
            body: body.to_vec().into(),
        })
    }

    fn name(
        &mut self,
        conn: &Connection,
        stream: i64,
        position: Position,
    ) -> Result<StreamId, LogError> {
        if let Some(name) = self.0.get(&stream) {
            return Ok(name.clone());
        }
        let mut select = conn
            .prepare_cached("select name from streams where id = ?1")
            .map_err(failed)?;
        let name: Option<String> = select
            .query_row([stream], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        let name: StreamId = name
            .and_then(|name| name.parse().ok())
            .ok_or_else(|| damaged(position, "its stream has no name".to_owned()))?;
        self.0.insert(stream, name.clone());
        Ok(name)
    }
}

fn number(row: &Row<'_>, column: usize, position: Position) -> Result<u64, LogError> {
    let value: i64 = row.get(column).map_err(failed)?;
    u64::try_from(value).map_err(|_| {
        damaged(
            position,
            format!("column {column} of its row is below zero"),
        )
    })
}

/// A position as `SQLite` counts: beyond what it can count there is nothing.
pub(super) fn signed(position: Position) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}

/// A limit as `SQLite` counts.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// What is stored contradicts itself.
pub(super) fn damaged(position: Position, what: String) -> LogError {
    LogError::Damaged { position, what }
}

/// What `SQLite` says, told apart: damage needs a person, the rest another try.
pub(super) fn failed(error: rusqlite::Error) -> LogError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            damaged(Position::START, format!("log.db is malformed ({error})"))
        }
        Some(_) | None => LogError::Unavailable(error.into()),
    }
}
