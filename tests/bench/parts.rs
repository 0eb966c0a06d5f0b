//! Parts of a hub, for benchmarks that need no server.

use std::sync::Arc;

use tempfile::TempDir;
use wharf_domain::ports::Vault;
use wharf_runtime::clock::{SystemClock, SystemIds};
use wharf_vault::{MasterKey, SqliteVault};

/// A vault of its own in `dir`.
///
/// # Errors
/// It cannot be made.
pub(crate) async fn vault(dir: &TempDir) -> anyhow::Result<Arc<dyn Vault>> {
    let master = MasterKey::from_hex(&"5a".repeat(32))?;
    let path = dir.path().join("vault.db");
    let vault =
        SqliteVault::open(&path, master, Arc::new(SystemClock), Arc::new(SystemIds)).await?;
    Ok(Arc::new(vault))
}
