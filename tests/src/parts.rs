//! Parts of a hub for tests that need no server.

use std::{path::Path, sync::Arc};

use wharf_domain::ports::Vault;
use wharf_runtime::clock::{SystemClock, SystemIds};
use wharf_vault::{MasterKey, SqliteVault};

/// A real vault in `dir`.
pub async fn vault(dir: &Path) -> Arc<dyn Vault> {
    let master = MasterKey::from_hex(&"5a".repeat(32)).expect("a key");
    let path = dir.join("vault.db");
    let vault = SqliteVault::open(&path, master, Arc::new(SystemClock), Arc::new(SystemIds)).await;
    Arc::new(vault.expect("a vault"))
}
