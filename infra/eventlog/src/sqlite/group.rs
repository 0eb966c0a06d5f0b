//! One transaction of the writer: a verdict for each commit, one fsync for all.
//!
//! Runs on the writer's thread only. A commit that is refused takes nothing from the others; a
//! failing disk takes all of the group, and the [`Ledger`] forgets what it believed.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Statement, params};
use wharf_domain::{
    kernel::{Commit, CommitId, Hash, Head, InvalidCommit, Position, Revision, StreamId},
    ports::{Append, Committed, Refusal},
};

use super::{recent::Recent, rows::signed};
use crate::{
    category, chain,
    verdict::{self, Verdict, judge},
};

/// Streams whose ends the writer remembers, at least.
const ENDS: usize = 16_384;

/// The end of the log as the writer knows it: nobody else moves it.
pub(super) struct Ledger<'c> {
    conn: &'c Connection,
    sql: Statements<'c>,
    ends: Recent<StreamId, End>,
    end: LogEnd,
    durable: LogEnd,
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, Default)]
struct LogEnd {
    position: Position,
    chain: Hash,
}

/// Where a stream ends, and its row.
#[derive(Clone, Copy, Debug)]
struct End {
    stream: i64,
    head: Head,
}

/// Prepared once: looking a statement up by its text costs as much as a small insert.
struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    find_stream: Statement<'c>,
    find_head: Statement<'c>,
    find_commit: Statement<'c>,
    add_stream: Statement<'c>,
    add_commit: Statement<'c>,
}

/// Why a group was not written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// Surely nothing of it is there.
    Nothing(rusqlite::Error),
    /// The commit record may have reached the disk, or not.
    InDoubt(rusqlite::Error),
}

impl<'c> Ledger<'c> {
    /// Looks where the log ends.
    pub(super) fn open(conn: &'c Connection) -> rusqlite::Result<Self> {
        let last = conn
            .query_row(
                "select position, chain from commits order by position desc limit 1",
                [],
                |row| {
                    let position: i64 = row.get(0)?;
                    Ok(LogEnd {
                        position: Position(position.cast_unsigned()),
                        chain: Hash(row.get(1)?),
                    })
                },
            )
            .optional()?;
        let end = last.unwrap_or_default();
        let ends = Recent::new(ENDS);
        Ok(Self {
            conn,
            sql: Statements::prepare(conn)?,
            ends,
            end,
            durable: end,
        })
    }

    /// The connection, for what is saved along with a group.
    pub(super) const fn conn(&self) -> &'c Connection {
        self.conn
    }

    /// Position of the last commit, those of an open group included.
    pub(super) const fn last(&self) -> Position {
        self.end.position
    }

    /// Position of the last commit that survives a power cut.
    pub(super) const fn durable(&self) -> Position {
        self.durable.position
    }

    /// Runs `group` in one transaction and makes it durable, or undoes it.
    pub(super) fn write(
        &mut self,
        group: impl FnOnce(&mut Self) -> rusqlite::Result<()>,
    ) -> Result<(), Unwritten> {
        self.sql.begin.execute([]).map_err(Unwritten::Nothing)?;
        if let Err(error) = group(self) {
            self.roll_back();
            return Err(Unwritten::Nothing(error));
        }
        if let Err(error) = self.sql.commit.execute([]) {
            self.roll_back();
            return Err(Unwritten::of_commit(error));
        }
        self.durable = self.end;
        Ok(())
    }

    /// Adds one commit to the open group, or says why not.
    pub(super) fn append(&mut self, commit: &Commit) -> rusqlite::Result<Append> {
        let end = self.end_of(&commit.stream)?;
        match judge(commit, end.map(|end| end.head)) {
            Verdict::Extends => {}
            Verdict::Conflict(actual) => {
                return self.duplicate_or(commit.id, Append::Conflict { actual });
            }
            Verdict::Broken => {
                let refusal = Refusal::Invalid(InvalidCommit::BrokenChain);
                return self.duplicate_or(commit.id, Append::Refused(refusal));
            }
        }
        let stream = match end {
            Some(end) => end.stream,
            None => match self.position_of(commit.id)? {
                Some(position) => return Ok(duplicate(position)),
                None => self.sql.add_stream.insert(params![
                    commit.stream.to_string(),
                    category::code(commit.stream.category)
                ])?,
            },
        };
        let position = self.end.position.next();
        let chain = chain::next(self.end.chain, position, commit.events, commit.hash);
        let prev = (commit.prev != Hash::ZERO).then_some(&commit.prev.0);
        // Its id is unique: if it is there already, under whatever expectation, nothing is added.
        let added = self.sql.add_commit.execute(params![
            signed(position),
            category::code(commit.stream.category),
            stream,
            commit.revision.0.cast_signed(),
            commit.events,
            commit.id.0.as_bytes(),
            prev,
            commit.hash.0,
            chain.0,
            commit.headers,
            commit.body.as_ref(),
        ])?;
        if added == 0 {
            let answer = Append::Conflict {
                actual: end.map(|end| end.head.position),
            };
            return self.duplicate_or(commit.id, answer);
        }
        self.end = LogEnd { position, chain };
        let head = verdict::head(
            commit.stream.category.kind(),
            position,
            commit.revision,
            commit.events,
            commit.hash,
        );
        match self.ends.get(&commit.stream) {
            Some(end) => end.head = head,
            None => self
                .ends
                .insert(commit.stream.clone(), End { stream, head }),
        }
        Ok(Append::Committed(Committed {
            position,
            duplicate: false,
        }))
    }

    fn end_of(&mut self, stream: &StreamId) -> rusqlite::Result<Option<End>> {
        if let Some(end) = self.ends.get(stream) {
            return Ok(Some(*end));
        }
        let find_stream = &mut self.sql.find_stream;
        let row: Option<i64> = find_stream
            .query_row([stream.to_string()], |row| row.get(0))
            .optional()?;
        let Some(row_id) = row else {
            return Ok(None);
        };
        let kind = stream.category.kind();
        let head = self.sql.find_head.query_row([row_id], |row| {
            let position: i64 = row.get(0)?;
            let revision: i64 = row.get(1)?;
            Ok(verdict::head(
                kind,
                Position(position.cast_unsigned()),
                Revision(revision.cast_unsigned()),
                row.get(2)?,
                Hash(row.get(3)?),
            ))
        })?;
        let end = End {
            stream: row_id,
            head,
        };
        self.ends.insert(stream.clone(), end);
        Ok(Some(end))
    }

    fn duplicate_or(&mut self, id: CommitId, otherwise: Append) -> rusqlite::Result<Append> {
        Ok(self.position_of(id)?.map_or(otherwise, duplicate))
    }

    fn position_of(&mut self, id: CommitId) -> rusqlite::Result<Option<Position>> {
        let find = &mut self.sql.find_commit;
        let position: Option<i64> = find
            .query_row([id.0.as_bytes()], |row| row.get(0))
            .optional()?;
        Ok(position.map(|position| Position(position.cast_unsigned())))
    }

    fn roll_back(&mut self) {
        // SQLite rolls back by itself after some errors.
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("rollback")
        {
            tracing::error!(%error, "the event log's writer cannot roll back");
        }
        self.ends.clear();
        self.end = self.durable;
    }
}

impl<'c> Statements<'c> {
    fn prepare(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: conn.prepare("begin immediate")?,
            commit: conn.prepare("commit")?,
            find_stream: conn.prepare("select id from streams where name = ?1")?,
            find_head: conn.prepare(
                "select position, revision, events, hash from commits
                 where stream = ?1 order by position desc limit 1",
            )?,
            find_commit: conn.prepare("select position from commits where commit_id = ?1")?,
            add_stream: conn.prepare("insert into streams (name, category) values (?1, ?2)")?,
            add_commit: conn.prepare(
                "insert into commits (position, category, stream, revision, events, commit_id,
                     prev, hash, chain, headers, body)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 on conflict (commit_id) do nothing",
            )?,
        })
    }
}

impl Unwritten {
    /// A full disk or a lock stops a transaction before its commit record is written; anything else,
    /// a failed fsync above all, may have come after.
    fn of_commit(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Nothing(error)
            }
            Some(_) | None => Self::InDoubt(error),
        }
    }

    /// What went wrong.
    pub(super) const fn error(&self) -> &rusqlite::Error {
        match self {
            Self::Nothing(error) | Self::InDoubt(error) => error,
        }
    }

    /// The answer to a commit of the group whose verdict was `verdict`; `durable` is where the log ends
    /// without the group. What was said about commits that are durable stays true.
    pub(super) fn answer(
        &self,
        id: CommitId,
        verdict: Option<Append>,
        durable: Position,
    ) -> Append {
        match (verdict, self) {
            (Some(Append::Committed(first)), _) if first.position <= durable => {
                Append::Committed(first)
            }
            (Some(Append::Conflict { actual }), _) if actual.is_none_or(|at| at <= durable) => {
                Append::Conflict { actual }
            }
            (Some(Append::Refused(refusal)), _) => Append::Refused(refusal),
            (_, Self::InDoubt(_)) => Append::InDoubt { commit: id },
            (_, Self::Nothing(error)) => Append::Refused(Refusal::Closed(reason(error))),
        }
    }
}

/// For people; what exactly it was is in the server's log.
fn reason(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "its disk is full; free some space",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds log.db locked; stop it"
        }
        Some(_) | None => "its storage failed; look into the server's log",
    }
}

fn duplicate(position: Position) -> Append {
    Append::Committed(Committed {
        position,
        duplicate: true,
    })
}
