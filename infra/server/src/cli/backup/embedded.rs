//! What a backup is not for: a log and a data base that several nodes share have tools of their own.

use crate::{config::Config, storage};

/// Refuses a hub whose truth is not in its data folder.
pub(super) fn ensure_embedded(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.log.nats_url.is_empty() && storage::database(config).is_none(),
        "this hub keeps its log on NATS or its tables in PostgreSQL, which its data folder is no copy of; \
         see docs/operations/backup.md, \"Several nodes\""
    );
    Ok(())
}
