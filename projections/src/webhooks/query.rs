//! Questions about webhooks and attempts. Called by `api` and the delivery worker.

use uuid::Uuid;
use wharf_domain::{
    kernel::{MessageId, Position, ProjectId, Revision, WebhookId},
    webhooks::Definition,
};

use super::{AttemptFilter, AttemptRow, DeliveryState, Outcome, Row, log_id, log_position};
use crate::{Db, Error, Page, columns::Columns, db::query};

/// Webhooks of `project`, newest first, and how many there are in all; with `is_active` only those.
///
/// # Errors
/// The views cannot be read.
pub async fn list(
    db: &Db,
    project: &ProjectId,
    is_active: Option<bool>,
    page: Page,
) -> Result<(Vec<Row>, u64), Error> {
    // Rows and count are of one moment.
    let mut moment = db.moment().await?;
    let rows = query(
        "select * from webhook
         where project = $1 and ($2 is null or is_active = $2)
         order by number desc limit $3 offset $4",
    )
    .bind(project.as_str())
    .bind(is_active.map(i64::from))
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(&mut moment)
    .await?;
    let total = query(
        "select count(*) as n from webhook
         where project = $1 and ($2 is null or is_active = $2)",
    )
    .bind(project.as_str())
    .bind(is_active.map(i64::from))
    .fetch_one(&mut moment)
    .await?;
    Ok((
        rows.iter().map(row).collect::<Result<_, _>>()?,
        total.count("n")?,
    ))
}

/// The webhook `id` of `project`; `None` if it is absent, deleted, or another project's.
///
/// # Errors
/// The views cannot be read.
pub async fn get(db: &Db, project: &ProjectId, id: WebhookId) -> Result<Option<Row>, Error> {
    query("select * from webhook where id = $1 and project = $2")
        .bind(id.0.as_bytes().as_slice())
        .bind(project.as_str())
        .fetch_optional(db)
        .await?
        .as_ref()
        .map(row)
        .transpose()
}

/// What the webhooks of `project` that still exist were as of `as_of`, inactive ones included: the
/// caller asks [`Definition::is_active`] and [`Definition::subscribes_to`]. Wait for the view to reach
/// `as_of` first.
///
/// # Errors
/// The views cannot be read.
pub async fn matching(
    db: &Db,
    project: &ProjectId,
    as_of: Position,
) -> Result<Vec<(WebhookId, Definition)>, Error> {
    let rows = query(
        "select v.webhook, v.definition from webhook_version v
         join (select webhook, max(position) as position from webhook_version
               where project = $1 and position <= $2 group by webhook) last
           on v.webhook = last.webhook and v.position = last.position
         order by v.webhook",
    )
    .bind(project.as_str())
    .bind(as_of.0.cast_signed())
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| Ok((row.uuid("webhook")?, row.json("definition")?)))
        .collect()
}

/// Attempts of `webhook`, newest first, and how many there are in all. Empty if the webhook is not
/// `project`'s.
///
/// # Errors
/// The views cannot be read.
pub async fn attempts(
    db: &Db,
    project: &ProjectId,
    webhook: WebhookId,
    filter: AttemptFilter,
    page: Page,
) -> Result<(Vec<AttemptRow>, u64), Error> {
    let message = filter.message.map(|id| id.0.into_bytes().to_vec());
    let succeeded = filter.succeeded.map(i64::from);
    // Rows and count are of one moment.
    let mut moment = db.moment().await?;
    let rows = query(
        "select * from attempt
         where owner = (select number from webhook where id = $1 and project = $2)
           and ($3 is null or message = $3) and ($4 is null or succeeded = $4)
         order by position desc, idx desc limit $5 offset $6",
    )
    .bind(webhook.0.as_bytes().as_slice())
    .bind(project.as_str())
    .bind(message.as_deref())
    .bind(succeeded)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(&mut moment)
    .await?;
    let total = query(
        "select count(*) as n from attempt
         where owner = (select number from webhook where id = $1 and project = $2)
           and ($3 is null or message = $3) and ($4 is null or succeeded = $4)",
    )
    .bind(webhook.0.as_bytes().as_slice())
    .bind(project.as_str())
    .bind(message.as_deref())
    .bind(succeeded)
    .fetch_one(&mut moment)
    .await?;
    Ok((
        rows.iter()
            .map(|row| attempt_row(webhook, row))
            .collect::<Result<_, _>>()?,
        total.count("n")?,
    ))
}

/// The attempt `id` of `webhook`; `None` if it is absent or another project's.
///
/// # Errors
/// The views cannot be read.
pub async fn attempt(
    db: &Db,
    project: &ProjectId,
    webhook: WebhookId,
    id: Uuid,
) -> Result<Option<AttemptRow>, Error> {
    let (position, index) = log_position(id);
    let found = query(
        "select * from attempt
         where owner = (select number from webhook where id = $1 and project = $2)
           and position = $3 and idx = $4",
    )
    .bind(webhook.0.as_bytes().as_slice())
    .bind(project.as_str())
    .bind(position.0.cast_signed())
    .bind(i64::from(index))
    .fetch_optional(db)
    .await?
    .as_ref()
    .map(|row| attempt_row(webhook, row))
    .transpose()?;
    Ok(found.filter(|row| row.log_id == id))
}

/// What is known of the delivery of `message` to `webhook`.
///
/// # Errors
/// The views cannot be read.
pub async fn delivery_state(
    db: &Db,
    webhook: WebhookId,
    message: MessageId,
) -> Result<DeliveryState, Error> {
    let row = query(
        "select coalesce(max(attempt), 0) as attempts, coalesce(max(settled), 0) as settled
         from attempt
         where owner = (select number from webhook where id = $1) and message = $2",
    )
    .bind(webhook.0.as_bytes().as_slice())
    .bind(message.0.as_bytes().as_slice())
    .fetch_one(db)
    .await?;
    Ok(DeliveryState {
        attempts: row.count("attempts")?,
        settled: row.flag("settled")?,
    })
}

/// The row of `webhook`.
pub(super) fn row(from: &Columns) -> Result<Row, Error> {
    Ok(Row {
        id: from.uuid("id")?,
        project: from.project()?,
        number: Position(from.count("number")?),
        definition: from.json("definition")?,
        secret_hint: from.text("secret_hint")?,
        disabled_reason: from.opt_text("disabled_reason")?,
        last_triggered_at: from.opt_time("last_triggered_at")?,
        success_count: from.count("success_count")?,
        failure_count: from.count("failure_count")?,
        created_by: from.text("created_by")?,
        created_at: from.time("created_at")?,
        updated_at: from.time("updated_at")?,
        revision: Revision(from.count("revision")?),
        position: Position(from.count("position")?),
    })
}

fn attempt_row(webhook: WebhookId, from: &Columns) -> Result<AttemptRow, Error> {
    let position = Position(from.count("position")?);
    let index = from.count("idx")?;
    let outcome = match (from.flag("succeeded")?, from.flag("settled")?) {
        (true, _) => Outcome::Succeeded,
        (false, true) => Outcome::Exhausted,
        (false, false) => Outcome::Failed,
    };
    Ok(AttemptRow {
        log_id: log_id(position, index),
        webhook,
        message_id: from.uuid("message")?,
        topic: from.text("topic")?,
        attempt: from.count("attempt")?,
        status: from.opt_count("status")?,
        outcome,
        reason: from.opt_text("reason")?,
        started_at: from.time("started_at")?,
        duration_ms: from.count("duration_ms")?,
        next_attempt_at: from.opt_time("next_attempt_at")?,
        message_position: Position(from.count("message_position")?),
        message_index: from.count("message_idx")?,
        position,
        index,
    })
}
