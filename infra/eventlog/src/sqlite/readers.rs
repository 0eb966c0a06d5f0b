//! Read-only connections, used on the runtime's blocking threads.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use rusqlite::{Connection, OptionalExtension, Params, Row};
use tokio::sync::Semaphore;
use wharf_domain::{
    kernel::{CommitId, Head, Position, StoredCommit, StreamId},
    ports::LogError,
};

use super::{
    rows::{COLUMNS, Names, failed, limit, signed},
    schema,
};
use crate::{
    READ_BYTES,
    category::Filter,
    consumer::{Scan, closed},
    locks::lock,
    verdict::head_of,
};

/// Rows that one scan looks at, so that it neither takes long nor is asked too often.
const SCAN_ROWS: u64 = 16_384;

/// The pool: connections are opened when first needed and kept.
#[derive(Debug)]
pub(super) struct Readers {
    file: PathBuf,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Reader>>>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) conn: Connection,
    names: Names,
}

impl Readers {
    pub(super) fn new(file: PathBuf, most: usize) -> Self {
        Self {
            file,
            permits: Arc::new(Semaphore::new(most.max(1))),
            idle: Arc::default(),
        }
    }

    /// Runs `read` on a connection of its own. Dropping the future does not stop it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let idle = Arc::clone(&self.idle);
        let file = self.file.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let pooled = lock(&idle).pop();
            let mut reader = match pooled {
                Some(reader) => reader,
                None => Reader {
                    conn: schema::connect_reader(&file).map_err(failed)?,
                    names: Names::new(),
                },
            };
            let result = read(&mut reader);
            lock(&idle).push(reader);
            drop(permit);
            result
        });
        reading
            .await
            .map_err(|stopped| LogError::Unavailable(stopped.into()))?
    }
}

impl Reader {
    /// Commits of `stream` after `after`.
    pub(super) fn stream(
        &mut self,
        stream: &StreamId,
        after: Position,
        most: usize,
    ) -> Result<Vec<StoredCommit>, LogError> {
        let sql = format!(
            "select {COLUMNS} from commits
             where stream = (select id from streams where name = ?1) and position > ?2
             order by position limit ?3"
        );
        self.batch(&sql, (stream.to_string(), signed(after), limit(most)))
    }

    /// Commits after `after`.
    pub(super) fn all(
        &mut self,
        after: Position,
        most: usize,
    ) -> Result<Vec<StoredCommit>, LogError> {
        let sql =
            format!("select {COLUMNS} from commits where position > ?1 order by position limit ?2");
        self.batch(&sql, (signed(after), limit(most)))
    }

    /// See [`Source::scan`](crate::consumer::Source::scan). `tail` is there already, so that nothing
    /// can appear behind what was looked at.
    pub(super) fn scan(
        &mut self,
        after: Position,
        tail: Position,
        filter: Filter,
        most: usize,
    ) -> Result<Scan, LogError> {
        let end = Position(after.0.saturating_add(SCAN_ROWS)).min(tail);
        let sql = format!(
            "select {COLUMNS} from commits
             where position > ?1 and position <= ?2 and (1 << category) & ?3
             order by position limit ?4"
        );
        let mut commits = Vec::new();
        let params = (signed(after), signed(end), filter.mask(), limit(most));
        let all = self.each(&sql, params, bounded(&mut commits))?;
        let upto = match commits.last() {
            Some(last) if !all || commits.len() >= most => last.position,
            Some(_) | None => end,
        };
        Ok(Scan { commits, upto })
    }

    /// The commits at `positions`.
    pub(super) fn pick(&mut self, positions: &[Position]) -> Result<Vec<StoredCommit>, LogError> {
        let sql = format!("select {COLUMNS} from commits where position = ?1");
        let mut commits = Vec::with_capacity(positions.len());
        for &position in positions {
            self.each(&sql, [signed(position)], |commit| {
                commits.push(commit);
                true
            })?;
        }
        Ok(commits)
    }

    /// The commit with this id.
    pub(super) fn find(&mut self, id: CommitId) -> Result<Option<StoredCommit>, LogError> {
        let sql = format!("select {COLUMNS} from commits where commit_id = ?1");
        Ok(self.batch(&sql, [id.0.as_bytes()])?.pop())
    }

    /// Where `stream` ends.
    pub(super) fn head(&mut self, stream: &StreamId) -> Result<Option<Head>, LogError> {
        let sql = format!(
            "select {COLUMNS} from commits
             where stream = (select id from streams where name = ?1)
             order by position desc limit 1"
        );
        Ok(self.batch(&sql, [stream.to_string()])?.first().map(head_of))
    }

    /// Position of the last commit in the file.
    pub(super) fn tail(&mut self) -> Result<Position, LogError> {
        let mut select = self
            .conn
            .prepare_cached("select max(position) from commits")
            .map_err(failed)?;
        let last: Option<Option<i64>> = select
            .query_row([], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        Ok(Position(last.flatten().unwrap_or(0).cast_unsigned()))
    }

    fn batch(&mut self, sql: &str, params: impl Params) -> Result<Vec<StoredCommit>, LogError> {
        let mut commits = Vec::new();
        self.each(sql, params, bounded(&mut commits))?;
        Ok(commits)
    }

    /// Gives each commit of the result to `take` until it has enough; whether it took all.
    fn each(
        &mut self,
        sql: &str,
        params: impl Params,
        mut take: impl FnMut(StoredCommit) -> bool,
    ) -> Result<bool, LogError> {
        self.each_row(sql, params, |commit, _| Ok(take(commit)))
    }

    /// Like `each`, and shows the row, which may have more columns than a commit.
    pub(super) fn each_row(
        &mut self,
        sql: &str,
        params: impl Params,
        mut take: impl FnMut(StoredCommit, &Row<'_>) -> Result<bool, LogError>,
    ) -> Result<bool, LogError> {
        let mut select = self.conn.prepare_cached(sql).map_err(failed)?;
        let mut rows = select.query(params).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let commit = self.names.commit(&self.conn, row)?;
            if !take(commit, row)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Keeps commits until their bodies reach [`READ_BYTES`]; the one that reaches it is kept.
fn bounded(commits: &mut Vec<StoredCommit>) -> impl FnMut(StoredCommit) -> bool {
    let mut bytes = 0;
    move |commit| {
        bytes += commit.body.len();
        commits.push(commit);
        bytes < READ_BYTES
    }
}
