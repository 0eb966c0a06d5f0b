//! Questions about records. Called by `api` and the sync worker.

use serde_json::value::RawValue;
use wharf_domain::{
    kernel::{IntegrationId, Position, ProjectId},
    syncs::RecordKey,
};

use super::{Cursor, Filter, ORDINAL_BITS, Row};
use crate::{Db, Error, columns::Columns, db::query};

macro_rules! list {
    ($which:literal) => {
        concat!(
            "select seq, key, model, deleted, body from record
             where owner = (select number from integration where id = $1 and project = $2)
               and seq > $3
               and ($4 is null or start_us >= $4) and ($5 is null or start_us < $5)",
            $which,
            " order by seq limit $6"
        )
    };
}

/// The planner takes the index of live records only where the text says so.
pub(super) const LIVE_OF_MODEL: &str = list!(" and deleted = 0 and model = $7");

/// Records of `integration` after `after`, in order of arrival, at most `limit`. Empty if the
/// integration is not `project`'s.
///
/// # Errors
/// The views cannot be read.
pub async fn list(
    db: &Db,
    project: &ProjectId,
    integration: IntegrationId,
    filter: &Filter,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Vec<Row>, Error> {
    let sql = match (filter.model.is_some(), filter.include_deleted) {
        (false, true) => list!(""),
        (false, false) => list!(" and deleted = 0"),
        (true, true) => list!(" and model = $7"),
        (true, false) => LIVE_OF_MODEL,
    };
    let mut query = query(sql)
        .bind(integration.0.as_bytes().as_slice())
        .bind(project.as_str())
        .bind(after.map_or(0, seq))
        .bind(filter.start_from.map(|at| at.as_microsecond()))
        .bind(filter.start_to.map(|at| at.as_microsecond()))
        .bind(i64::from(limit));
    if let Some(model) = filter.model.as_deref() {
        query = query.bind(model);
    }
    let rows = query.fetch_all(db).await?;
    rows.iter().map(row).collect()
}

/// How many live records `integration` has, of `model` or in all.
///
/// # Errors
/// The views cannot be read.
pub async fn count(
    db: &Db,
    project: &ProjectId,
    integration: IntegrationId,
    model: Option<&str>,
) -> Result<u64, Error> {
    let counts = counts_by_model(db, project, integration).await?;
    Ok(counts
        .iter()
        .filter(|(of, _)| model.is_none_or(|model| model == of))
        .map(|(_, n)| n)
        .sum())
}

/// How many live records `integration` has of each model.
///
/// # Errors
/// The views cannot be read.
pub async fn counts_by_model(
    db: &Db,
    project: &ProjectId,
    integration: IntegrationId,
) -> Result<Vec<(String, u64)>, Error> {
    let rows = query(
        "select model, count(*) as n from record
         where owner = (select number from integration where id = $1 and project = $2)
           and deleted = 0
         group by model order by model",
    )
    .bind(integration.0.as_bytes().as_slice())
    .bind(project.as_str())
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| Ok((row.text("model")?, row.count("n")?)))
        .collect()
}

/// Live records of `integration` whose last version came before `position`, by key, after `after`: what
/// a full run that began at `position` did not see.
///
/// # Errors
/// The views cannot be read.
pub async fn seen_before(
    db: &Db,
    project: &ProjectId,
    integration: IntegrationId,
    position: Position,
    limit: u32,
    after: Option<RecordKey>,
) -> Result<Vec<(RecordKey, String)>, Error> {
    let rows = query(
        "select key, model from record
         where owner = (select number from integration where id = $1 and project = $2)
           and key > $3 and seq < $4 and deleted = 0
         order by key limit $5",
    )
    .bind(integration.0.as_bytes().as_slice())
    .bind(project.as_str())
    .bind(after.as_ref().map_or(&[][..], |key| key.0.as_slice()))
    .bind(seq(Cursor {
        position,
        ordinal: 0,
    }))
    .bind(i64::from(limit))
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| Ok((key(row)?, row.text("model")?)))
        .collect()
}

/// A cursor as one number that sorts alike.
pub(super) fn seq(at: Cursor) -> i64 {
    let ordinal = i64::from(at.ordinal);
    i64::try_from(at.position.0).map_or(i64::MAX, |position| {
        position
            .checked_shl(ORDINAL_BITS)
            .filter(|shifted| shifted >> ORDINAL_BITS == position)
            .map_or(i64::MAX, |position| position | ordinal)
    })
}

fn key(from: &Columns) -> Result<RecordKey, Error> {
    from.get::<&[u8]>("key")?
        .try_into()
        .map(RecordKey)
        .map_err(|_| Error::Damaged("a record key has not 16 bytes"))
}

fn row(from: &Columns) -> Result<Row, Error> {
    let seq: u64 = from.count("seq")?;
    let ordinal = seq & ((1 << ORDINAL_BITS) - 1);
    Ok(Row {
        key: key(from)?,
        model: from.text("model")?,
        position: Position(seq >> ORDINAL_BITS),
        ordinal: u32::try_from(ordinal).unwrap_or_default(),
        deleted: from.flag("deleted")?,
        body: RawValue::from_string(from.text("body")?)
            .map_err(|_| Error::Damaged("a record is no JSON"))?,
    })
}
