//! Questions about runs. Called by `api` and the sync worker.

use wharf_domain::{
    integrations::Fence,
    kernel::{IntegrationId, Position, ProjectId, RunId},
};

use super::Row;
use crate::{Db, Error, Page, columns::Columns, db::query};

/// Runs of `integration`, newest first, and how many there are in all. Empty if the integration is
/// not `project`'s.
///
/// # Errors
/// The views cannot be read.
pub async fn runs(
    db: &Db,
    project: &ProjectId,
    integration: IntegrationId,
    page: Page,
) -> Result<(Vec<Row>, u64), Error> {
    // Rows and count are of one moment.
    let mut moment = db.moment().await?;
    let rows = query(
        "select * from run where integration = $1 and project = $2
         order by position desc limit $3 offset $4",
    )
    .bind(integration.0.as_bytes().as_slice())
    .bind(project.as_str())
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(&mut moment)
    .await?;
    let total = query("select count(*) as n from run where integration = $1 and project = $2")
        .bind(integration.0.as_bytes().as_slice())
        .bind(project.as_str())
        .fetch_one(&mut moment)
        .await?;
    Ok((
        rows.iter().map(row).collect::<Result<_, _>>()?,
        total.count("n")?,
    ))
}

/// The run `run` of `integration`; `None` if it is absent or another project's.
///
/// # Errors
/// The views cannot be read.
pub async fn run(
    db: &Db,
    project: &ProjectId,
    integration: IntegrationId,
    run: RunId,
) -> Result<Option<Row>, Error> {
    query("select * from run where integration = $1 and id = $2 and project = $3")
        .bind(integration.0.as_bytes().as_slice())
        .bind(run.0.as_bytes().as_slice())
        .bind(project.as_str())
        .fetch_optional(db)
        .await?
        .as_ref()
        .map(row)
        .transpose()
}

/// The event that holds the cursor of `integration`: its last kept page from a pull. An import has no
/// cursor of the platform. Load it from the log and open its seal.
///
/// # Errors
/// The views cannot be read.
pub async fn last_cursor(
    db: &Db,
    project: &ProjectId,
    integration: IntegrationId,
) -> Result<Option<(Position, u32)>, Error> {
    query(
        "select * from run
         where integration = $1 and project = $2
           and triggered_by <> 'import' and cursor_position is not null
         order by cursor_position desc, cursor_idx desc limit 1",
    )
    .bind(integration.0.as_bytes().as_slice())
    .bind(project.as_str())
    .fetch_optional(db)
    .await?
    .as_ref()
    .map_or(Ok(None), cursor)
}

fn cursor(from: &Columns) -> Result<Option<(Position, u32)>, Error> {
    let position = from.opt_count("cursor_position")?.map(Position);
    Ok(position.zip(from.opt_count("cursor_idx")?))
}

/// The row of `run`.
pub(super) fn row(from: &Columns) -> Result<Row, Error> {
    Ok(Row {
        run_id: from.uuid("id")?,
        integration: from.uuid("integration")?,
        project: from.project()?,
        sync_type: from.name("sync_type")?,
        trigger: from.name("triggered_by")?,
        state: from.name("state")?,
        started_at: from.time("started_at")?,
        ended_at: from.opt_time("ended_at")?,
        pages: from.count("pages")?,
        records: from.count("records")?,
        deleted: from.count("deleted")?,
        skipped: from.json("skipped")?,
        failure: from.opt_json("failure")?,
        fence: Fence(from.count("fence")?),
        ended: from.opt_name("ended")?,
        cursor: cursor(from)?,
        position: Position(from.count("position")?),
    })
}
