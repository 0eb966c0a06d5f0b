//! Parts of a hub for tests that need no server.

use std::{path::Path, sync::Arc, time::Duration};

use wharf_adapters::catalogue;
use wharf_domain::{
    kernel::{ProjectId, Secret, WebhookId},
    ports::{Context, Dispatch as _, EventLog, Http, NoSnapshots, Scope, SecretRef, Vault},
    webhooks::{self, Definition, RetryConfig, SECRET_FIELD, WebhookCommand},
};
use wharf_projections::Views;
use wharf_runtime::{
    Hub, Parts,
    clock::{SystemClock, SystemIds},
    dispatch::Dispatcher,
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

/// Makes a webhook that is sent everything, with its secret.
///
/// # Panics
/// There is one of this id.
pub async fn webhook(
    dispatcher: &Dispatcher,
    vault: &Arc<dyn Vault>,
    project: &ProjectId,
    id: WebhookId,
    retry_config: Option<RetryConfig>,
) {
    let secret = SecretRef {
        scope: Scope::Webhook(project.clone(), id),
        field: SECRET_FIELD,
        generation: 1,
    };
    let kept = vault.put(&secret, &Secret::new(vec![7; 32])).await;
    kept.expect("the vault takes it");
    let create = WebhookCommand::Create(webhooks::Create {
        definition: Definition {
            name: "all".to_owned(),
            url: "https://example.com/hook".to_owned(),
            events: vec!["*".to_owned()],
            header_names: vec![],
            headers_generation: 0,
            secret_generation: 1,
            compat_prefix: None,
            is_active: true,
            retry_config,
            timeout_seconds: 30,
        },
        secret_hint: "hint".to_owned(),
        created_by: "tester".to_owned(),
    });
    let context = Context::system("test", "test", "test");
    let created = dispatcher.webhook(project, id, create, context).await;
    created.expect("it is new");
}
