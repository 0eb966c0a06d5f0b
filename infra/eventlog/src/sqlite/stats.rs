//! Figures of the file, for operators.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;
use wharf_domain::{
    kernel::{Category, Position},
    ports::LogError,
};

use super::{readers::Reader, rows::failed, schema::FILE};
use crate::category::code;

/// What is in the log, and how large it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Commits.
    pub commits: u64,
    /// Events in them.
    pub events: u64,
    /// Streams, by category; a category without one is absent.
    pub streams: BTreeMap<Category, u64>,
    /// Bytes of headers and bodies.
    pub content_bytes: u64,
    /// Bytes on disk: `log.db` and its write-ahead log.
    pub file_bytes: u64,
    /// Durable consumers, as last saved.
    pub consumers: Vec<ConsumerStats>,
}

/// How far a durable consumer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsumerStats {
    /// Its name.
    pub name: String,
    /// Everything at or below is acknowledged.
    pub floor: Position,
}

impl Reader {
    /// Reads all rows, but not their bodies.
    pub(super) fn stats(&mut self, dir: &Path) -> Result<Stats, LogError> {
        let totals = "select count(*), coalesce(sum(events), 0),
                          coalesce(sum(length(body) + octet_length(headers)), 0) from commits";
        let (commits, events, content_bytes) = self
            .conn
            .query_row(totals, [], |row| {
                Ok((count(row, 0)?, count(row, 1)?, count(row, 2)?))
            })
            .map_err(failed)?;
        let mut by_code = BTreeMap::new();
        self.rows(
            "select category, count(*) from streams group by category",
            |row| {
                by_code.insert(row.get::<_, i64>(0)?, count(row, 1)?);
                Ok(())
            },
        )?;
        let mut consumers = Vec::new();
        self.rows("select name, floor from consumers order by name", |row| {
            consumers.push(ConsumerStats {
                name: row.get(0)?,
                floor: Position(count(row, 1)?),
            });
            Ok(())
        })?;
        let streams = Category::ALL
            .into_iter()
            .filter_map(|category| Some((category, *by_code.get(&i64::from(code(category)))?)));
        Ok(Stats {
            commits,
            events,
            streams: streams.collect(),
            content_bytes,
            file_bytes: size(&dir.join(FILE)) + size(&dir.join(format!("{FILE}-wal"))),
            consumers,
        })
    }

    fn rows(
        &self,
        sql: &str,
        mut take: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), LogError> {
        let mut select = self.conn.prepare(sql).map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            take(row).map_err(failed)?;
        }
        Ok(())
    }
}

fn count(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

/// Absent is empty: the write-ahead log comes and goes.
fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |found| found.len())
}
