//! Owner of the table `record`. Folds the pages that `syncs` keeps.

use std::collections::HashMap;

use wharf_domain::{kernel::Position, syncs::RecordKey};

use super::{Cursor, ORDINAL_BITS, query};
use crate::{Error, bulk::Bulk, db::Conn, decode::Records};

static WRITE: Bulk = Bulk::new(
    "insert into record (owner, seq, key, model, start_us, deleted, body) ",
    7,
    " on conflict (owner, key) do update set
       seq = excluded.seq, model = excluded.model, start_us = excluded.start_us,
       deleted = excluded.deleted, body = excluded.body",
);

pub(super) static DELETE: Bulk = Bulk::new("delete from record where owner in (", 1, ")");

/// Collects the pages of a batch; the last version of each record is written.
#[derive(Default)]
pub(crate) struct Projector {
    pages: Vec<Page>,
    /// The `seq` of the last version of each record.
    last: HashMap<(i64, RecordKey), i64>,
    erased: Vec<Position>,
}

struct Page {
    owner: i64,
    /// `seq` of its first record.
    first: i64,
    records: Records,
}

impl Projector {
    /// Takes a kept page of the integration with this `number`.
    ///
    /// # Errors
    /// Its commit has more records than a row can count; a reason to park it.
    pub(crate) fn fold(
        &mut self,
        position: Position,
        number: Position,
        records: Records,
    ) -> Result<(), &'static str> {
        // Pages of one commit go on counting where the one before ended.
        let begin = query::seq(Cursor {
            position,
            ordinal: 0,
        });
        let next = |page: &Page| page.first + page.records.heads.len() as i64;
        let first = self.pages.last().map_or(begin, next).max(begin);
        if (first - begin) + records.heads.len() as i64 > 1 << ORDINAL_BITS {
            return Err("its commit has more than 2^20 records");
        }
        let owner = number.0.cast_signed();
        self.last.reserve(records.heads.len());
        for (seq, head) in (first..).zip(&records.heads) {
            self.last.insert((owner, head.key), seq);
        }
        self.pages.push(Page {
            owner,
            first,
            records,
        });
        Ok(())
    }

    /// The integration with this `number` is gone, and its records with it.
    pub(crate) fn erase(&mut self, number: Position) {
        let owner = number.0.cast_signed();
        self.last.retain(|(of, _), _| *of != owner);
        self.erased.push(number);
    }

    pub(crate) async fn write(&self, to: &mut Conn<'_>) -> Result<(), Error> {
        DELETE
            .execute(to, &self.erased, |number, to| to.count(number.0))
            .await?;
        let rows: Vec<_> = self
            .pages
            .iter()
            .flat_map(|page| {
                (page.first..)
                    .zip(&page.records.heads)
                    .map(move |(seq, head)| (page, seq, head))
            })
            .filter(|(page, seq, head)| self.last.get(&(page.owner, head.key)) == Some(seq))
            .collect();
        WRITE
            .execute(to, rows, |(page, seq, head), to| {
                to.int(page.owner);
                to.int(seq);
                to.bytes(&head.key.0);
                to.shared(&head.model);
                to.opt_int(head.start_us);
                to.flag(head.deleted);
                to.text(page.records.body(head));
            })
            .await?;
        Ok(())
    }

    pub(crate) fn committed(&mut self) {
        self.pages.clear();
        self.last.clear();
        self.erased.clear();
    }
}
