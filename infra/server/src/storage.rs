//! Storage by configuration: the log in a file or on NATS `JetStream`, the views and the vault in files or
//! in `PostgreSQL`. Only here are they chosen.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use wharf_domain::{
    kernel::Secret,
    ports::{Clock, EventLog, Ids, Leases},
};
use wharf_eventlog::{JetStreamLog, JetStreamOptions, SqliteLog};
use wharf_projections::Views;
use wharf_vault::{MasterKey, SqlVault};

use crate::{config::Config, keys};

/// In the data folder: this node's mirror of a log on `JetStream`.
const MIRROR: &str = "mirror";

/// What a hub keeps.
pub struct Storage {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// The read models.
    pub views: Views,
    /// The vault; it keeps the answers to idempotent requests as well.
    pub vault: Arc<SqlVault>,
    /// Who of the nodes that share the data base does what only one may do.
    pub leases: Arc<dyn Leases>,
}

impl Storage {
    /// Opens all of it, and makes what is not there.
    ///
    /// # Errors
    /// Something is in use, cannot be reached or belongs to another key: each says what to do.
    pub async fn open(
        config: &Config,
        master: MasterKey,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> anyhow::Result<Self> {
        let dir = &config.data.dir;
        let node = keys::node_id(config, &*ids)?;
        let log: Arc<dyn EventLog> = match config.log.nats_url.as_str() {
            "" => {
                let options = wharf_eventlog::Options::default();
                Arc::new(SqliteLog::open(dir, options, clock.clone())?)
            }
            servers => {
                let options = jetstream(servers, config);
                Arc::new(JetStreamLog::open(options, clock.clone()).await?)
            }
        };
        let (views, vault) = match database(config) {
            Some(url) => {
                let vault = SqlVault::postgres(&url, master, clock, ids).await?;
                let vault = Arc::new(vault);
                let views = Views::postgres(&url, vault.clone()).await;
                (views.context("database.url")?, vault)
            }
            None => {
                let vault = SqlVault::open(&dir.join("vault.db"), master, clock, ids).await?;
                let vault = Arc::new(vault);
                let (views, _) = Views::open(&views_dir(config), vault.clone()).await?;
                (views, vault)
            }
        };
        let leases = views.leases(&node);
        Ok(Self {
            log,
            views,
            vault,
            leases,
        })
    }
}

/// Where the log's file is: the log itself, or this node's mirror of it.
#[must_use]
pub fn log_dir(config: &Config) -> PathBuf {
    if config.log.nats_url.is_empty() {
        config.data.dir.clone()
    } else {
        config.data.dir.join(MIRROR)
    }
}

/// Where views in files are.
#[must_use]
pub fn views_dir(config: &Config) -> PathBuf {
    config.data.dir.join("views")
}

/// The data base that the configuration names.
#[must_use]
pub fn database(config: &Config) -> Option<Secret<String>> {
    let url = &config.database.url;
    (!url.is_empty()).then(|| Secret::new(url.clone()))
}

/// How the log on `servers` (URLs, separated by commas) is opened.
#[must_use]
pub fn jetstream(servers: &str, config: &Config) -> JetStreamOptions {
    JetStreamOptions {
        servers: servers
            .split(',')
            .map(|url| url.trim().to_owned())
            .collect(),
        prefix: config.log.nats_prefix.clone(),
        replicas: config.log.replicas,
        monitoring: config.log.nats_monitor_urls.clone(),
        mirror: config.data.dir.join(MIRROR),
        ..JetStreamOptions::default()
    }
}
