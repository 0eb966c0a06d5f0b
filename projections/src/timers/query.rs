//! Questions about timers. Called by `tick`, which looks at all projects.

use wharf_domain::kernel::{Position, Timestamp};

use super::{Kind, Subject, Timer};
use crate::{Db, Error, columns::Columns, db::query};

/// `timer.kind` of [`Subject::WebhookRetry`].
pub(super) const WEBHOOK_RETRY: &str = "webhook_retry";
/// `timer.kind` of [`Subject::SyncDue`].
pub(super) const SYNC_DUE: &str = "sync_due";

/// What of `kind` is due at `now`, the longest overdue first, at most `limit`. Each kind is asked for by
/// itself: however many there are of one, they do not hide the other.
///
/// # Errors
/// The views cannot be read.
pub async fn due(db: &Db, kind: Kind, now: Timestamp, limit: u32) -> Result<Vec<Timer>, Error> {
    let rows = query("select * from timer where kind = $1 and due <= $2 order by due limit $3")
        .bind(kind.column())
        .bind(now.as_microsecond())
        .bind(i64::from(limit))
        .fetch_all(db)
        .await?;
    rows.iter().map(timer).collect()
}

/// How many timers of all kinds were due at `then` already, counted up to `most`.
///
/// # Errors
/// The views cannot be read.
pub async fn overdue(db: &Db, then: Timestamp, most: u32) -> Result<u64, Error> {
    query(
        "select count(*) as n from (
           select 1 as one from timer where kind in ('webhook_retry', 'sync_due') and due <= $1 limit $2
         ) as late",
    )
    .bind(then.as_microsecond())
    .bind(i64::from(most))
    .fetch_one(db)
    .await?
    .count("n")
}

/// When the next timer is due, if there is one.
///
/// # Errors
/// The views cannot be read.
pub async fn next_due(db: &Db) -> Result<Option<Timestamp>, Error> {
    query(
        "select min(due) as due from (
           select min(due) as due from timer where kind = 'webhook_retry'
           union all select min(due) from timer where kind = 'sync_due'
         ) as earliest",
    )
    .fetch_one(db)
    .await?
    .opt_time("due")
}

impl Kind {
    /// As `timer.kind` has it.
    const fn column(self) -> &'static str {
        match self {
            Self::WebhookRetry => WEBHOOK_RETRY,
            Self::SyncDue => SYNC_DUE,
        }
    }
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
