//! Questions about messages. Called by `api` and the delivery worker.

use wharf_domain::kernel::{MessageId, Position, ProjectId};

use super::Row;
use crate::{Db, Error, db::query};

/// The message `id` of `project`; `None` if it is absent or another project's.
///
/// # Errors
/// The views cannot be read.
pub async fn message(db: &Db, project: &ProjectId, id: MessageId) -> Result<Option<Row>, Error> {
    let Some(row) = query("select * from message where id = $1 and project = $2")
        .bind(id.0.as_bytes().as_slice())
        .bind(project.as_str())
        .fetch_optional(db)
        .await?
    else {
        return Ok(None);
    };
    Ok(Some(Row {
        message_id: row.uuid("id")?,
        project: row.project()?,
        topic: row.text("topic")?,
        time: row.time("time")?,
        bytes: row.count("bytes")?,
        only: row.opt_uuid("only_webhook")?,
        position: Position(row.count("position")?),
        index: row.count("idx")?,
    }))
}
