//! Where the log ends, and how it grows: one transaction of the writer, a verdict for each commit of it
//! and one fsync for all.
//!
//! Runs on the writer's thread only. A commit that is refused takes nothing from the others; a failing
//! disk takes all of the group, and the [`Ledger`] forgets what it believed.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Statement, params};
use wharf_domain::{
    kernel::{
        Commit, CommitId, Hash, Head, InvalidCommit, Position, Revision, StoredCommit, StreamId,
    },
    ports::{Append, Committed, Refusal},
};

use super::{
    group::Unwritten,
    index::{self, Entry, Unindexed},
    recent::Recent,
    rows::signed,
};
use crate::{
    category, chain,
    verdict::{self, Verdict, judge},
};

/// Streams whose ends the writer remembers, at least.
const ENDS: usize = 16_384;

/// The end of the log as the writer knows it: nobody else moves it.
pub(crate) struct Ledger<'c> {
    conn: &'c Connection,
    sql: Statements<'c>,
    unindexed: Arc<Unindexed>,
    ends: Recent<StreamId, StreamEnd>,
    end: LogEnd,
    durable: LogEnd,
    /// What the open group added.
    group: Vec<Entry>,
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, Default)]
struct LogEnd {
    position: Position,
    chain: Hash,
}

/// Where a stream ends, and its row.
#[derive(Clone, Copy, Debug)]
struct StreamEnd {
    stream: i64,
    head: Head,
}

/// What a row is made of.
struct New<'a> {
    id: CommitId,
    stream: &'a StreamId,
    revision: Revision,
    events: u32,
    headers: &'a str,
    body: &'a [u8],
    prev: Hash,
    hash: Hash,
}

macro_rules! new_from {
    ($($commit:ty)*) => {$(
        impl<'a> From<&'a $commit> for New<'a> {
            fn from(commit: &'a $commit) -> Self {
                Self {
                    id: commit.id,
                    stream: &commit.stream,
                    revision: commit.revision,
                    events: commit.events,
                    headers: &commit.headers,
                    body: &commit.body,
                    prev: commit.prev,
                    hash: commit.hash,
                }
            }
        }
    )*};
}
new_from!(Commit StoredCommit);

/// Prepared once: looking a statement up by its text costs as much as a small insert.
struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    find_stream: Statement<'c>,
    find_last: Statement<'c>,
    find_head: Statement<'c>,
    find_id: Statement<'c>,
    add_stream: Statement<'c>,
    add_commit: Statement<'c>,
}

impl<'c> Ledger<'c> {
    /// Looks where the log ends. `unindexed` is of the same file, and is kept up to date.
    pub(crate) fn open(conn: &'c Connection, unindexed: Arc<Unindexed>) -> rusqlite::Result<Self> {
        let last = "select position, chain from commits order by position desc limit 1";
        let last = conn.query_row(last, [], |row| {
            Ok(LogEnd {
                position: position(row.get(0)?),
                chain: Hash(row.get(1)?),
            })
        });
        let end = last.optional()?.unwrap_or_default();
        Ok(Self {
            conn,
            sql: Statements::prepare(conn)?,
            unindexed,
            ends: Recent::new(ENDS),
            end,
            durable: end,
            group: Vec::new(),
        })
    }

    /// The connection, for what is saved along with a group.
    pub(crate) const fn conn(&self) -> &'c Connection {
        self.conn
    }

    /// Position of the last commit, those of an open group included.
    pub(crate) const fn last(&self) -> Position {
        self.end.position
    }

    /// Position of the last commit that survives a power cut.
    pub(crate) const fn durable(&self) -> Position {
        self.durable.position
    }

    /// Runs `group` in one transaction and makes it durable, or undoes it. What is not indexed is
    /// indexed along with it if that is much, or if `index_all`.
    pub(crate) fn write(
        &mut self,
        index_all: bool,
        group: impl FnOnce(&mut Self) -> rusqlite::Result<()>,
    ) -> Result<(), Unwritten> {
        self.sql.begin.execute([]).map_err(Unwritten::Nothing)?;
        let index = index_all || self.unindexed.are_many();
        let written = if index { self.index() } else { Ok(()) };
        if let Err(error) = written.and_then(|()| group(self)) {
            self.roll_back();
            return Err(Unwritten::Nothing(error));
        }
        if let Err(error) = self.sql.commit.execute([]) {
            self.roll_back();
            return Err(Unwritten::by_commit(error));
        }
        self.durable = self.end;
        self.unindexed.advance(index, &mut self.group);
        Ok(())
    }

    /// Adds one commit to the open group, or says why not.
    pub(crate) fn append(&mut self, commit: &Commit) -> rusqlite::Result<Append> {
        if let Some(position) = self.position_of(commit.id)? {
            return Ok(Append::Committed(Committed {
                position,
                duplicate: true,
            }));
        }
        let end = self.end_of(&commit.stream)?;
        match judge(commit, end.map(|end| end.head)) {
            Verdict::Extends => {}
            Verdict::Conflict(actual) => return Ok(Append::Conflict { actual }),
            Verdict::Broken => {
                return Ok(Append::Refused(Refusal::Invalid(
                    InvalidCommit::BrokenChain,
                )));
            }
        }
        let position = self.insert(end, &New::from(commit))?;
        Ok(Append::Committed(Committed {
            position,
            duplicate: false,
        }))
    }

    /// Adds a commit that another log has at the next position, whether or not its id was used before;
    /// `false` if it does not continue its stream.
    pub(crate) fn mirror(&mut self, commit: &StoredCommit) -> rusqlite::Result<bool> {
        let end = self.end_of(&commit.stream)?;
        let follows = verdict::follows(
            commit.stream.category.kind(),
            (commit.revision, commit.prev),
            end.map(|end| end.head),
        );
        if follows && commit.position == self.end.position.next() {
            self.insert(end, &New::from(commit))?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Writes a commit behind the last one.
    fn insert(&mut self, end: Option<StreamEnd>, new: &New<'_>) -> rusqlite::Result<Position> {
        let category = category::code(new.stream.category);
        let stream = match end {
            Some(end) => end.stream,
            None => self
                .sql
                .add_stream
                .insert(params![new.stream.to_string(), category])?,
        };
        let position = self.end.position.next();
        let chain = chain::next(self.end.chain, position, new.events, new.hash);
        let prev = (new.prev != Hash::ZERO).then_some(&new.prev.0);
        self.sql.add_commit.execute(params![
            signed(position),
            category,
            stream,
            new.revision.0.cast_signed(),
            new.events,
            new.id.0.as_bytes(),
            prev,
            new.hash.0,
            chain.0,
            new.headers,
            new.body,
        ])?;
        self.end = LogEnd { position, chain };
        self.group.push(Entry {
            position,
            stream,
            id: new.id,
        });
        let head = verdict::head(
            new.stream.category.kind(),
            position,
            new.revision,
            new.events,
            new.hash,
        );
        match self.ends.get(new.stream) {
            Some(end) => end.head = head,
            None => self
                .ends
                .insert(new.stream.clone(), StreamEnd { stream, head }),
        }
        Ok(position)
    }

    /// Where the commit with this id lies, those of the open group included.
    fn position_of(&mut self, id: CommitId) -> rusqlite::Result<Option<Position>> {
        let open = self
            .group
            .iter()
            .find(|entry| entry.id == id)
            .map(|entry| entry.position);
        let late = open.or_else(|| self.unindexed.find(id));
        if late.is_some() {
            return Ok(late);
        }
        let indexed = self
            .sql
            .find_id
            .query_row([id.0.as_bytes()], |row| row.get(0));
        Ok(indexed.optional()?.map(position))
    }

    /// Where `stream` ends, commits of the open group included.
    pub(crate) fn head_of(&mut self, stream: &StreamId) -> rusqlite::Result<Option<Head>> {
        Ok(self.end_of(stream)?.map(|end| end.head))
    }

    /// Where `stream` ends. What the open group added to it is remembered in `ends`.
    fn end_of(&mut self, stream: &StreamId) -> rusqlite::Result<Option<StreamEnd>> {
        if let Some(end) = self.ends.get(stream) {
            return Ok(Some(*end));
        }
        let row = self
            .sql
            .find_stream
            .query_row([stream.to_string()], |row| row.get(0));
        let Some(row): Option<i64> = row.optional()? else {
            return Ok(None);
        };
        let last = match self.unindexed.last(row) {
            Some(late) => late,
            None => position(self.sql.find_last.query_row([row], |row| row.get(0))?),
        };
        let kind = stream.category.kind();
        let head = self.sql.find_head.query_row([signed(last)], |row| {
            let revision: i64 = row.get(0)?;
            let revision = Revision(revision.cast_unsigned());
            Ok(verdict::head(
                kind,
                last,
                revision,
                row.get(1)?,
                Hash(row.get(2)?),
            ))
        })?;
        let end = StreamEnd { stream: row, head };
        self.ends.insert(stream.clone(), end);
        Ok(Some(end))
    }

    fn index(&self) -> rusqlite::Result<()> {
        index::store(self.conn, self.durable.position)
    }

    fn roll_back(&mut self) {
        // SQLite rolls back by itself after some errors.
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("rollback")
        {
            tracing::error!(%error, "the event log's writer cannot roll back");
        }
        self.ends.clear();
        self.group.clear();
        self.end = self.durable;
    }
}

impl<'c> Statements<'c> {
    fn prepare(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: conn.prepare("begin immediate")?,
            commit: conn.prepare("commit")?,
            find_stream: conn.prepare("select id from streams where name = ?1")?,
            find_last: conn.prepare(
                "select position from commits_by_stream
                 where stream = ?1 order by position desc limit 1",
            )?,
            find_head: conn
                .prepare("select revision, events, hash from commits where position = ?1")?,
            find_id: conn.prepare("select position from commits_by_id where commit_id = ?1")?,
            add_stream: conn.prepare("insert into streams (name, category) values (?1, ?2)")?,
            add_commit: conn.prepare(
                "insert into commits (position, category, stream, revision, events, commit_id,
                     prev, hash, chain, headers, body)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?,
        })
    }
}

fn position(stored: i64) -> Position {
    Position(stored.cast_unsigned())
}
