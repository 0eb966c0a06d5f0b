//! Which commits are of a stream, and where an id lies: two tables that are written late.
//!
//! Kept up to date with every commit, they would cost more than the commits themselves: each stream's
//! entries lie on a page of their own, and every page is written whole. So the latest commits are
//! remembered in memory and entered some thousand at a time, in the order of the tables, when each page
//! takes many. A crash forgets nothing: what is not indexed is read again from the commits. Writer and
//! readers of one process share the memory; a process that only reads looks at the last commits instead.

use std::{collections::HashMap, sync::Mutex};

use rusqlite::Connection;
use wharf_domain::kernel::{CommitId, Position};

use super::rows::signed;
use crate::locks::lock;

/// Commits that are remembered before they are indexed.
pub(crate) const LATE: usize = 4096;

/// Where one commit is to be found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    /// Row of its stream.
    pub(crate) stream: i64,
    pub(crate) id: CommitId,
}

/// Commits that are durable and not indexed.
#[derive(Debug, Default)]
pub(crate) struct Unindexed {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_id: HashMap<CommitId, Position>,
    by_stream: HashMap<i64, Vec<Position>>,
}

impl Unindexed {
    /// Reads what was not indexed when the file was closed.
    pub(crate) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let unindexed = Self::default();
        let mut select = conn.prepare(
            "select position, stream, commit_id from commits
             where position > (select upto from indexed) order by position",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let position: i64 = row.get(0)?;
            let id: [u8; 16] = row.get(2)?;
            lock(&unindexed.entries).add(Entry {
                position: Position(position.cast_unsigned()),
                stream: row.get(1)?,
                id: CommitId(uuid::Uuid::from_bytes(id)),
            });
        }
        Ok(unindexed)
    }

    /// Whether there are enough to be indexed.
    pub(crate) fn are_many(&self) -> bool {
        lock(&self.entries).by_id.len() >= LATE
    }

    /// Forgets what is `indexed` now and remembers what was `written`, at once: nobody sees less.
    pub(crate) fn advance(&self, indexed: bool, written: &mut Vec<Entry>) {
        let mut entries = lock(&self.entries);
        if indexed {
            *entries = Entries::default();
        }
        written.drain(..).for_each(|entry| entries.add(entry));
    }

    /// Where the commit with this id lies.
    pub(crate) fn find(&self, id: CommitId) -> Option<Position> {
        lock(&self.entries).by_id.get(&id).copied()
    }

    /// Where the last commit of `stream` lies.
    pub(crate) fn last(&self, stream: i64) -> Option<Position> {
        lock(&self.entries).by_stream.get(&stream)?.last().copied()
    }

    /// Where commits of `stream` after `after` lie.
    pub(crate) fn stream(&self, stream: i64, after: Position) -> Vec<Position> {
        let entries = lock(&self.entries);
        let positions = entries
            .by_stream
            .get(&stream)
            .map_or(&[][..], Vec::as_slice);
        positions.iter().copied().filter(|&at| at > after).collect()
    }
}

impl Entries {
    fn add(&mut self, entry: Entry) {
        self.by_id.entry(entry.id).or_insert(entry.position);
        self.by_stream
            .entry(entry.stream)
            .or_default()
            .push(entry.position);
    }
}

/// Enters the commits up to `upto` that are not indexed. Inside `SQLite`, sorted: row by row from here
/// takes twice as long.
pub(crate) fn store(conn: &Connection, upto: Position) -> rusqlite::Result<()> {
    conn.prepare_cached(
        // A mirror may hold an id twice; the first one counts.
        "insert or ignore into commits_by_id (commit_id, position)
         select commit_id, position from commits
         where position > (select upto from indexed) and position <= ?1
         order by commit_id, position",
    )?
    .execute([signed(upto)])?;
    conn.prepare_cached(
        "insert or rollback into commits_by_stream (stream, position)
         select stream, position from commits
         where position > (select upto from indexed) and position <= ?1 order by stream, position",
    )?
    .execute([signed(upto)])?;
    conn.prepare_cached("update indexed set upto = ?1")?
        .execute([signed(upto)])?;
    Ok(())
}
