//! Parts of a hub for tests that need no server.

use std::{path::Path, sync::Arc, time::Duration};

use wharf_adapters::catalogue;
use wharf_domain::ports::{EventLog, Http, NoSnapshots, Vault};
use wharf_projections::Views;
use wharf_runtime::{
    Hub, Parts,
    clock::{SystemClock, SystemIds},
    spool::FileSpool,
};
use wharf_vault::{MasterKey, SqlVault};

/// A real vault in `dir`.
pub async fn vault(dir: &Path) -> Arc<dyn Vault> {
    let master = MasterKey::from_hex(&"5a".repeat(32)).expect("a key");
    let path = dir.join("vault.db");
    let vault = SqlVault::open(&path, master, Arc::new(SystemClock), Arc::new(SystemIds)).await;
    Arc::new(vault.expect("a vault"))
}

/// A running hub on `log` that sends by `http`, with views of its own in `dir`.
pub async fn hub(
    dir: &Path,
    log: Arc<dyn EventLog>,
    vault: Arc<dyn Vault>,
    http: Arc<dyn Http>,
) -> Hub {
    let views = Views::open(&dir.join("views"), vault.clone()).await;
    let views = views.expect("views");
    let spool = FileSpool::open(dir.join("uploads"), 1 << 20).expect("a spool");
    Hub::start(Parts {
        log,
        snapshots: Arc::new(NoSnapshots),
        leases: views.leases("alone"),
        views,
        vault,
        http,
        spool: Arc::new(spool),
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
        connectors: catalogue::connectors(catalogue::Options {
            sandbox_base_url: "http://127.0.0.1:1".to_owned(),
        }),
        grace: Duration::ZERO,
        deliveries: 256,
    })
}
