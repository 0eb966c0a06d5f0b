//! Questions about timers. Called by `tick`, which looks at all projects.

use wharf_domain::kernel::{Position, Timestamp};

use super::{Subject, Timer};
use crate::{Db, Error, columns::Columns, db::query};

/// `timer.kind` of [`Subject::WebhookRetry`].
pub(super) const WEBHOOK_RETRY: &str = "webhook_retry";
/// `timer.kind` of [`Subject::SyncDue`].
pub(super) const SYNC_DUE: &str = "sync_due";

/// What is due at `now`, the longest overdue first, at most `limit`.
///
/// # Errors
/// The views cannot be read.
pub async fn due(db: &Db, now: Timestamp, limit: u32) -> Result<Vec<Timer>, Error> {
    let rows = query("select * from timer where due <= $1 order by due limit $2")
        .bind(now.as_microsecond())
        .bind(i64::from(limit))
        .fetch_all(db)
        .await?;
    rows.iter().map(timer).collect()
}

/// When the next timer is due, if there is one.
///
/// # Errors
/// The views cannot be read.
pub async fn next_due(db: &Db) -> Result<Option<Timestamp>, Error> {
    query("select min(due) as due from timer")
        .fetch_one(db)
        .await?
        .opt_time("due")
}

fn timer(from: &Columns) -> Result<Timer, Error> {
    let subject = match from.get("kind")? {
        WEBHOOK_RETRY => Subject::WebhookRetry {
            webhook: from.uuid("subject")?,
            message: from.uuid("item")?,
            message_position: Position(from.count("message_position")?),
            message_index: from.count("message_idx")?,
            attempt: from.count("attempt")?,
        },
        SYNC_DUE => Subject::SyncDue {
            integration: from.uuid("subject")?,
        },
        _ => return Err(Error::Damaged("a timer has an unknown kind")),
    };
    Ok(Timer {
        due: from.time("due")?,
        project: from.project()?,
        subject,
        set_by: (Position(from.count("position")?), from.count("idx")?),
    })
}
