//! Parts of a hub, for benchmarks that need no server.

use std::sync::Arc;

use tempfile::TempDir;
use wharf_domain::{
    integrations::{Create, IntegrationCommand, SyncSettings},
    ports::{Clock as _, Context, EventLog, Vault},
};
use wharf_runtime::{
    clock::{SystemClock, SystemIds},
    dispatch::Dispatcher,
};
use wharf_vault::{MasterKey, SqlVault};

/// A vault of its own in `dir`.
///
/// # Errors
/// It cannot be made.
pub(crate) async fn vault(dir: &TempDir) -> anyhow::Result<Arc<dyn Vault>> {
    let master = MasterKey::from_hex(&"5a".repeat(32))?;
    let path = dir.path().join("vault.db");
    let vault = SqlVault::open(&path, master, Arc::new(SystemClock), Arc::new(SystemIds)).await?;
    Ok(Arc::new(vault))
}

/// A dispatcher over `log`, its vault in `dir`.
///
/// # Errors
/// The vault cannot be made.
pub(crate) async fn dispatcher(
    log: Arc<dyn EventLog>,
    dir: &TempDir,
) -> anyhow::Result<Dispatcher> {
    let vault = vault(dir).await?;
    Ok(Dispatcher::new(
        log,
        vault,
        Arc::new(SystemClock),
        Arc::new(SystemIds),
    ))
}

/// The command that makes an integration.
pub(crate) fn create(name: String) -> IntegrationCommand {
    IntegrationCommand::Create(Create {
        integration_type: "sandbox".to_owned(),
        name,
        configuration: serde_json::json!({}),
        sync_settings: SyncSettings::default(),
        pending_auth: false,
        created_by: "bench".to_owned(),
        now: SystemClock.now(),
    })
}

/// Who commands.
pub(crate) fn context() -> Context {
    Context {
        actor: "user:bench".to_owned(),
        correlation: "bench".to_owned(),
        causation: None,
        idempotency_key: None,
    }
}
