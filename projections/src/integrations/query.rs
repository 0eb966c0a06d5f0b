//! Questions about integrations. Called by `api` and the workers.

use wharf_domain::{
    integrations::{Fence, Live, OpenRun},
    kernel::{IntegrationId, Position, ProjectId, Revision},
};

use super::{Auth, Filter, Row};
use crate::{Db, Error, Page, columns::Columns, db::query};

/// Integrations of `project`, newest first, and how many there are in all.
///
/// # Errors
/// The views cannot be read.
pub async fn list(
    db: &Db,
    project: &ProjectId,
    filter: &Filter,
    page: Page,
) -> Result<(Vec<Row>, u64), Error> {
    let (one, other) = filter.status.and_then(super::StatusFilter::names).unzip();
    // Rows and count are of one moment.
    let mut moment = db.moment().await?;
    let rows = query(
        "select i.*, c.auth_type, c.auth_generation
         from integration i
         left join credential c on c.integration = i.id and c.project = i.project
         where i.project = $1
           and ($2 is null or i.integration_type = $2)
           and ($3 is null or i.status in ($3, $4))
           and ($5 is null or i.created_by = $5)
         order by i.number desc limit $6 offset $7",
    )
    .bind(project.as_str())
    .bind(filter.integration_type.as_deref())
    .bind(one)
    .bind(other)
    .bind(filter.owner.as_deref())
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(&mut moment)
    .await?;
    let total = query(
        "select count(*) as n from integration
         where project = $1
           and ($2 is null or integration_type = $2)
           and ($3 is null or status in ($3, $4))
           and ($5 is null or created_by = $5)",
    )
    .bind(project.as_str())
    .bind(filter.integration_type.as_deref())
    .bind(one)
    .bind(other)
    .bind(filter.owner.as_deref())
    .fetch_one(&mut moment)
    .await?;
    Ok((
        rows.iter().map(row).collect::<Result<_, _>>()?,
        total.count("n")?,
    ))
}

/// The integration `id` of `project`; `None` if it is absent, deleted, or another project's.
///
/// # Errors
/// The views cannot be read.
pub async fn get(db: &Db, project: &ProjectId, id: IntegrationId) -> Result<Option<Row>, Error> {
    query(
        "select i.*, c.auth_type, c.auth_generation
         from integration i
         left join credential c on c.integration = i.id and c.project = i.project
         where i.id = $1 and i.project = $2",
    )
    .bind(id.0.as_bytes().as_slice())
    .bind(project.as_str())
    .fetch_optional(db)
    .await?
    .as_ref()
    .map(row)
    .transpose()
}

/// The row of `integration`, with its `credential`.
pub(super) fn row(from: &Columns) -> Result<Row, Error> {
    let auth = match (
        from.opt_text("auth_type")?,
        from.opt_count("auth_generation")?,
    ) {
        (Some(auth_type), Some(generation)) => Some(Auth {
            auth_type,
            generation,
        }),
        (None, _) | (_, None) => None,
    };
    let open_run = match (from.opt_uuid("open_run")?, from.opt_count("open_fence")?) {
        (Some(run_id), Some(fence)) => Some(OpenRun {
            run_id,
            fence: Fence(fence),
        }),
        (None, _) | (_, None) => None,
    };
    Ok(Row {
        id: from.uuid("id")?,
        project: from.project()?,
        number: Position(from.count("number")?),
        live: Live {
            integration_type: from.text("integration_type")?,
            name: from.text("name")?,
            configuration: from.json("configuration")?,
            sync_settings: from.json("sync_settings")?,
            status: from.name("status")?,
            open_run,
            fence: Fence(from.count("fence")?),
            next_run_at: from.opt_time("next_run_at")?,
            revision: Revision(from.count("revision")?),
        },
        auth,
        last_sync_at: from.opt_time("last_sync_at")?,
        sync_error_message: from.opt_text("sync_error_message")?,
        created_by: from.text("created_by")?,
        created_at: from.time("created_at")?,
        updated_at: from.time("updated_at")?,
        position: Position(from.count("position")?),
    })
}
