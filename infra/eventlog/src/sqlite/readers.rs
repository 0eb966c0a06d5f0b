//! Read-only connections, used on the runtime's blocking threads.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use rusqlite::{Connection, OptionalExtension, Params, Row};
use tokio::sync::Semaphore;
use wharf_domain::{
    kernel::{CommitId, Head, Position, StoredCommit, StreamId},
    ports::{LogError, READ_BYTES},
};

use super::{
    index::Unindexed,
    rows::{COLUMNS, Names, failed, limit, signed},
    schema,
};
use crate::{
    category::Filter,
    consumer::{Scan, closed},
    locks::lock,
    verdict::head_of,
};

/// Rows that one scan looks at, so that it neither takes long nor is asked too often.
const SCAN_ROWS: u64 = 16_384;

/// The pool: connections are opened when first needed and kept.
#[derive(Debug)]
pub(crate) struct Readers {
    file: PathBuf,
    /// `None`: another process writes, and remembers.
    unindexed: Option<Arc<Unindexed>>,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Reader>>>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) conn: Connection,
    unindexed: Option<Arc<Unindexed>>,
    names: Names,
}

impl Readers {
    pub(crate) fn new(file: PathBuf, most: usize, unindexed: Option<Arc<Unindexed>>) -> Self {
        Self {
            file,
            unindexed,
            permits: Arc::new(Semaphore::new(most.max(1))),
            idle: Arc::default(),
        }
    }

    /// Runs `read` on a connection of its own. Dropping the future does not stop it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let idle = Arc::clone(&self.idle);
        let file = self.file.clone();
        let unindexed = self.unindexed.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let pooled = lock(&idle).pop();
            let mut reader = match pooled {
                Some(reader) => reader,
                None => Reader {
                    conn: schema::connect_reader(&file).map_err(failed)?,
                    unindexed,
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
    pub(crate) fn stream(
        &mut self,
        stream: &StreamId,
        after: Position,
        most: usize,
    ) -> Result<Vec<StoredCommit>, LogError> {
        let mut batch = Batch::new(most);
        let Some(stream) = self.row_of(stream)? else {
            return Ok(batch.commits);
        };
        // First what is not indexed: a moment later it may be.
        let late = self.late(stream, after)?;
        let sql = format!(
            "select {COLUMNS} from commits_by_stream s cross join commits c
             on c.position = s.position
             where s.stream = ?1 and s.position > ?2 order by s.position limit ?3"
        );
        self.each(&sql, (stream, signed(after), limit(most)), |commit, _| {
            Ok(batch.take(commit))
        })?;
        let indexed = batch.commits.last().map_or(after, |commit| commit.position);
        for position in late.into_iter().filter(|&at| at > indexed) {
            if batch.is_full() {
                break;
            }
            self.at(position, &mut batch)?;
        }
        Ok(batch.commits)
    }

    /// Commits after `after`.
    pub(crate) fn all(
        &mut self,
        after: Position,
        most: usize,
    ) -> Result<Vec<StoredCommit>, LogError> {
        let sql = format!(
            "select {COLUMNS} from commits c
             where c.position > ?1 order by c.position limit ?2"
        );
        let mut batch = Batch::new(most);
        self.each(&sql, (signed(after), limit(most)), |commit, _| {
            Ok(batch.take(commit))
        })?;
        Ok(batch.commits)
    }

    /// See [`Source::scan`](crate::consumer::Source::scan). `tail` is there already, so that nothing
    /// can appear behind what was looked at.
    pub(crate) fn scan(
        &mut self,
        after: Position,
        tail: Position,
        filter: Filter,
        most: usize,
    ) -> Result<Scan, LogError> {
        let end = Position(after.0.saturating_add(SCAN_ROWS)).min(tail);
        let sql = format!(
            "select {COLUMNS} from commits c
             where c.position > ?1 and c.position <= ?2 and (1 << c.category) & ?3
             order by c.position limit ?4"
        );
        let mut batch = Batch::new(most);
        let range = (signed(after), signed(end), filter.mask(), limit(most));
        self.each(&sql, range, |commit, _| Ok(batch.take(commit)))?;
        let upto = match batch.commits.last() {
            Some(last) if batch.is_full() => last.position,
            Some(_) | None => end,
        };
        Ok(Scan {
            commits: batch.commits,
            upto,
        })
    }

    /// The commits at `positions`.
    pub(crate) fn pick(&mut self, positions: &[Position]) -> Result<Vec<StoredCommit>, LogError> {
        let mut batch = Batch::new(positions.len());
        for &position in positions {
            self.at(position, &mut batch)?;
        }
        Ok(batch.commits)
    }

    /// The commit with this id.
    pub(crate) fn find(&mut self, id: CommitId) -> Result<Option<StoredCommit>, LogError> {
        let id_bytes = id.0.as_bytes();
        let late = match &self.unindexed {
            Some(unindexed) => unindexed.find(id),
            None => self.position(
                "select position from commits
                 where position > (select upto from indexed) and commit_id = ?1",
                [id_bytes],
            )?,
        };
        let position = match late {
            Some(late) => Some(late),
            None => self.position(
                "select position from commits_by_id where commit_id = ?1",
                [id_bytes],
            )?,
        };
        position.map_or(Ok(None), |position| Ok(self.pick(&[position])?.pop()))
    }

    /// Where `stream` ends.
    pub(crate) fn head(&mut self, stream: &StreamId) -> Result<Option<Head>, LogError> {
        let Some(stream) = self.row_of(stream)? else {
            return Ok(None);
        };
        let last = match self.late(stream, Position::START)?.last() {
            Some(&late) => Some(late),
            None => self.position(
                "select position from commits_by_stream
                 where stream = ?1 order by position desc limit 1",
                [stream],
            )?,
        };
        last.map_or(Ok(None), |last| {
            Ok(self.pick(&[last])?.first().map(head_of))
        })
    }

    /// Position of the last commit in the file.
    pub(crate) fn tail(&mut self) -> Result<Position, LogError> {
        let last = "select position from commits order by position desc limit 1";
        Ok(self.position(last, [])?.unwrap_or_default())
    }

    /// Gives each commit of the result, with its row, to `take` until it has enough.
    pub(crate) fn each(
        &mut self,
        sql: &str,
        params: impl Params,
        mut take: impl FnMut(StoredCommit, &Row<'_>) -> Result<bool, LogError>,
    ) -> Result<(), LogError> {
        let mut select = self.conn.prepare_cached(sql).map_err(failed)?;
        let mut rows = select.query(params).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let commit = self.names.commit(&self.conn, row)?;
            if !take(commit, row)? {
                break;
            }
        }
        Ok(())
    }

    fn at(&mut self, position: Position, batch: &mut Batch) -> Result<(), LogError> {
        let sql = format!("select {COLUMNS} from commits c where c.position = ?1");
        self.each(&sql, [signed(position)], |commit, _| Ok(batch.take(commit)))
    }

    /// Where commits of `stream` lie that are not indexed.
    fn late(&self, stream: i64, after: Position) -> Result<Vec<Position>, LogError> {
        if let Some(unindexed) = &self.unindexed {
            return Ok(unindexed.stream(stream, after));
        }
        let sql = "select position from commits
                   where position > max(?1, (select upto from indexed)) and stream = ?2
                   order by position";
        let mut select = self.conn.prepare_cached(sql).map_err(failed)?;
        let rows = select.query_map((signed(after), stream), |row| row.get::<_, i64>(0));
        let positions = rows
            .map_err(failed)?
            .map(|row| row.map(|at| Position(at.cast_unsigned())));
        positions.collect::<Result<_, _>>().map_err(failed)
    }

    fn row_of(&self, stream: &StreamId) -> Result<Option<i64>, LogError> {
        self.first(
            "select id from streams where name = ?1",
            [stream.to_string()],
        )
    }

    fn position(&self, sql: &str, params: impl Params) -> Result<Option<Position>, LogError> {
        Ok(self
            .first(sql, params)?
            .map(|at| Position(at.cast_unsigned())))
    }

    fn first(&self, sql: &str, params: impl Params) -> Result<Option<i64>, LogError> {
        let mut select = self.conn.prepare_cached(sql).map_err(failed)?;
        select
            .query_row(params, |row| row.get(0))
            .optional()
            .map_err(failed)
    }
}

/// One answer of a read.
struct Batch {
    commits: Vec<StoredCommit>,
    bytes: usize,
    most: usize,
}

impl Batch {
    const fn new(most: usize) -> Self {
        Self {
            commits: Vec::new(),
            bytes: 0,
            most,
        }
    }

    const fn is_full(&self) -> bool {
        self.commits.len() >= self.most || self.bytes >= READ_BYTES
    }

    /// Keeps `commit`; whether there is room for another.
    fn take(&mut self, commit: StoredCommit) -> bool {
        self.bytes += commit.body.len();
        self.commits.push(commit);
        !self.is_full()
    }
}
