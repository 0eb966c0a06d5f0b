//! Checkpoints of durable consumers: two small tables beside the log, written by its writer.

use rusqlite::{Connection, OptionalExtension};
use wharf_domain::{
    kernel::{Position, Timestamp},
    ports::StartAt,
};

use super::rows::signed;
use crate::{
    consumer::{Checkpoint, Save},
    transfer::ConsumerCheckpoint,
};

/// The checkpoint of `name`; a consumer that never was gets one. `None`: it is lost.
pub(super) fn open(
    conn: &Connection,
    name: &str,
    from: StartAt,
    tail: Position,
    now: Timestamp,
) -> rusqlite::Result<Option<Checkpoint>> {
    if let Some(stored) = load(conn, name)? {
        // Beyond the tail it cannot be: the log was exchanged for an older one.
        return Ok(stored.filter(|checkpoint| checkpoint.upto <= tail));
    }
    let known = conn
        .prepare_cached("select 1 from consumer_names where name = ?1")?
        .exists([name])?;
    if known {
        return Ok(None);
    }
    conn.prepare_cached("insert into consumer_names (name, created_at) values (?1, ?2)")?
        .execute((name, now.as_microsecond()))?;
    let checkpoint = Checkpoint::at(match from {
        StartAt::First => Position::START,
        StartAt::Now => tail,
    });
    store(conn, name, &checkpoint, now)?;
    Ok(Some(checkpoint))
}

/// Writes what a consumer acknowledged.
pub(super) fn save(conn: &Connection, save: &Save, now: Timestamp) -> rusqlite::Result<()> {
    store(conn, save.name, &save.checkpoint, now)
}

/// Every checkpoint that can be read, by name.
pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<ConsumerCheckpoint>> {
    let mut select = conn.prepare_cached("select name from consumers order by name")?;
    let names = select.query_map([], |row| row.get(0))?;
    let mut checkpoints = Vec::new();
    for name in names.collect::<Result<Vec<String>, _>>()? {
        if let Some(Some(stored)) = load(conn, &name)? {
            checkpoints.push(ConsumerCheckpoint {
                name,
                floor: stored.floor,
                upto: stored.upto,
                outstanding: stored.outstanding,
            });
        }
    }
    Ok(checkpoints)
}

/// Takes over checkpoints of another log with the same commits; one that is further here stays.
pub(super) fn carry(
    conn: &Connection,
    checkpoints: &[ConsumerCheckpoint],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let transaction = conn.unchecked_transaction()?;
    for theirs in checkpoints {
        let ours = load(conn, &theirs.name)?.flatten();
        if ours.is_some_and(|ours| ours.floor > theirs.floor) {
            continue;
        }
        conn.prepare_cached(
            "insert into consumer_names (name, created_at) values (?1, ?2) on conflict do nothing",
        )?
        .execute((&theirs.name, now.as_microsecond()))?;
        let checkpoint = Checkpoint {
            floor: theirs.floor,
            upto: theirs.upto,
            outstanding: theirs.outstanding.clone(),
        };
        store(conn, &theirs.name, &checkpoint, now)?;
    }
    transaction.commit()
}

/// The outer `None`: there is no row. The inner: it cannot be read.
fn load(conn: &Connection, name: &str) -> rusqlite::Result<Option<Option<Checkpoint>>> {
    conn.prepare_cached("select floor, upto, outstanding from consumers where name = ?1")?
        .query_row([name], |row| {
            let floor: i64 = row.get(0)?;
            let upto: i64 = row.get(1)?;
            let outstanding: String = row.get(2)?;
            let outstanding: Option<Vec<Position>> = serde_json::from_str(&outstanding).ok();
            Ok(outstanding.map(|outstanding| Checkpoint {
                floor: Position(floor.cast_unsigned()),
                upto: Position(upto.cast_unsigned()),
                outstanding,
            }))
        })
        .optional()
}

fn store(
    conn: &Connection,
    name: &str,
    checkpoint: &Checkpoint,
    now: Timestamp,
) -> rusqlite::Result<()> {
    // Numbers only: this cannot fail.
    let outstanding = serde_json::to_string(&checkpoint.outstanding).unwrap_or_default();
    conn.prepare_cached(
        "insert into consumers (name, floor, upto, outstanding, saved_at)
         values (?1, ?2, ?3, ?4, ?5)
         on conflict (name) do update set floor = excluded.floor, upto = excluded.upto,
             outstanding = excluded.outstanding, saved_at = excluded.saved_at",
    )?
    .execute((
        name,
        signed(checkpoint.floor),
        signed(checkpoint.upto),
        outstanding,
        now.as_microsecond(),
    ))?;
    Ok(())
}
