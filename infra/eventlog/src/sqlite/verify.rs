//! Verification of the file: what [`crate::verify()`] proves of any log, and what only the file has.

use wharf_domain::{
    kernel::Position,
    ports::{EventLog as _, LogError},
};

use super::{
    log::SqliteLog,
    readers::Reader,
    rows::{COLUMNS, damaged, failed, limit, signed},
};
use crate::verify::{Progress, Report, Verifier};

/// Commits that are verified at a time.
const BATCH: usize = 4096;

impl SqliteLog {
    /// Like [`verify`](crate::verify()), and checks the chain, the indexes and the structure of the
    /// file as well: one flipped bit anywhere is found.
    ///
    /// # Errors
    /// [`LogError::Damaged`] names the first position at which something is wrong; 0 if it is the
    /// structure of the file.
    pub async fn verify(
        &self,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Report, LogError> {
        let tail = self.tail().await?;
        let mut verifier = Verifier::default();
        while verifier.done() < tail {
            let check = move |reader: &mut Reader| check_batch(reader, verifier, tail);
            verifier = self.readers().run(check).await?;
            progress(Progress {
                done: verifier.done(),
                tail,
            });
        }
        self.readers().run(|reader| check_structure(reader)).await?;
        Ok(verifier.report())
    }
}

fn check_batch(
    reader: &mut Reader,
    mut verifier: Verifier,
    tail: Position,
) -> Result<Verifier, LogError> {
    let from = verifier.done();
    let sql = format!(
        "select {COLUMNS}, c.chain from commits c
         where c.position > ?1 and c.position <= ?2 order by c.position limit ?3"
    );
    reader.each(
        &sql,
        (signed(from), signed(tail), limit(BATCH)),
        |commit, row| {
            let chain = verifier.check(&commit)?;
            match row.get::<_, [u8; 32]>("chain") {
                Ok(stored) if stored == chain.0 => Ok(true),
                Ok(_) | Err(_) => Err(damaged(
                    commit.position,
                    "the chain does not lead here".to_owned(),
                )),
            }
        },
    )?;
    if verifier.done() == from {
        return Err(verifier.damaged("there is no commit"));
    }
    Ok(verifier)
}

/// The b-trees, and that the indexes say what the commits say.
fn check_structure(reader: &Reader) -> Result<(), LogError> {
    let sql = "pragma integrity_check(1)";
    let found: String = reader
        .conn
        .query_row(sql, [], |row| row.get(0))
        .map_err(failed)?;
    if found != "ok" {
        return Err(damaged(
            Position::START,
            format!("log.db is malformed ({found})"),
        ));
    }
    let lost = "select min(c.position) from commits c, indexed
                where c.position <= indexed.upto and not (
                    exists (select 1 from commits_by_stream s
                            where s.stream = c.stream and s.position = c.position)
                    and exists (select 1 from commits_by_id i
                                where i.commit_id = c.commit_id and i.position = c.position))";
    let lost: Option<i64> = reader
        .conn
        .query_row(lost, [], |row| row.get(0))
        .map_err(failed)?;
    if let Some(lost) = lost {
        let position = Position(lost.cast_unsigned());
        return Err(damaged(position, "an index does not lead to it".to_owned()));
    }
    let exact = "select upto = (select count(*) from commits_by_stream)
                     and upto = (select count(*) from commits_by_id) from indexed";
    match reader
        .conn
        .query_row(exact, [], |row| row.get(0))
        .map_err(failed)?
    {
        true => Ok(()),
        false => Err(damaged(
            Position::START,
            "an index leads to nowhere".to_owned(),
        )),
    }
}
