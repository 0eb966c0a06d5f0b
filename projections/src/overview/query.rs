//! The counts. Called by `api`'s health route.

use super::Counts;
use crate::{Db, Error, db::query};

/// Counts over all projects.
///
/// # Errors
/// The views cannot be read.
pub async fn counts(db: &Db) -> Result<Counts, Error> {
    let row = query(
        "select (select count(*) from webhook where is_active = 1) as webhooks_active,
                (select count(*) from integration where status = 'active') as integrations_active,
                (select count(*) from parked) as parked",
    )
    .fetch_one(db)
    .await?;
    Ok(Counts {
        webhooks_active: row.count("webhooks_active")?,
        integrations_active: row.count("integrations_active")?,
        plugins_installed: 0,
        parked: row.count("parked")?,
    })
}
