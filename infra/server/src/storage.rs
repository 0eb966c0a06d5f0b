//! Storage by configuration: the log in a file or on NATS `JetStream`, the views and the vault in files or
//! in `PostgreSQL`. Only here are they chosen.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use wharf_domain::{
    kernel::{Position, Secret, StoredCommit},
    ports::{Clock, EventLog, Ids, Leases, LogError, Snapshots},
};
use wharf_eventlog::{JetStreamLog, JetStreamOptions, SqliteLog};
use wharf_projections::Views;
use wharf_vault::{MasterKey, SqlVault};

use crate::{config::Config, keys};

/// In the data folder: this node's mirror of a log on `JetStream`.
pub(crate) const MIRROR: &str = "mirror";
/// In the data folder: the vault, unless it is in a data base.
pub(crate) const VAULT: &str = "vault.db";

/// What a hub keeps.
pub struct Storage {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// Snapshots of long streams, on this node.
    pub snapshots: Arc<dyn Snapshots>,
    /// The read models.
    pub views: Views,
    /// The vault; it keeps the answers to idempotent requests as well.
    pub vault: Arc<SqlVault>,
    /// Who of the nodes that share the data base does what only one may do.
    pub leases: Arc<dyn Leases>,
}

/// A log that was opened.
enum Log {
    File(SqliteLog),
    JetStream(JetStreamLog),
}

impl Storage {
    /// Opens all of it, and makes what is not there.
    ///
    /// # Errors
    /// Something is in use, cannot be reached, or belongs to another key or another log: each says what to do.
    pub async fn open(
        config: &Config,
        master: MasterKey,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> anyhow::Result<Self> {
        let dir = &config.data.dir;
        let node = keys::node_id(config, &*ids)?;
        let log = Log::open(config, clock.clone()).await?;
        let (views, vault) = match database(config) {
            Some(url) => {
                let vault = SqlVault::postgres(&url, master, clock, ids).await?;
                let vault = Arc::new(vault);
                let views = Views::postgres(&url, vault.clone()).await;
                (views.context("database.url")?, vault)
            }
            None => {
                let vault = SqlVault::open(&dir.join(VAULT), master, clock, ids).await?;
                let vault = Arc::new(vault);
                let views = Views::open(&views_dir(config), vault.clone()).await?;
                (views, vault)
            }
        };
        log.ensure_made(&views, config).await?;
        let leases = views.leases(&node);
        Ok(Self {
            log: log.shared(),
            snapshots: wharf_eventlog::snapshots(dir),
            views,
            vault,
            leases,
        })
    }
}

impl Log {
    async fn open(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        Ok(match config.log.nats_url.as_str() {
            "" => {
                let options = wharf_eventlog::Options::default();
                Self::File(SqliteLog::open(&config.data.dir, options, clock)?)
            }
            servers => {
                Self::JetStream(JetStreamLog::open(jetstream(servers, config), clock).await?)
            }
        })
    }

    fn shared(self) -> Arc<dyn EventLog> {
        match self {
            Self::File(log) => Arc::new(log),
            Self::JetStream(log) => Arc::new(log),
        }
    }

    async fn at(&self, position: Position) -> Result<Option<StoredCommit>, LogError> {
        match self {
            Self::File(log) => {
                let commits = log
                    .read_all(Position(position.0.saturating_sub(1)), 1)
                    .await?;
                Ok(commits.into_iter().next())
            }
            Self::JetStream(log) => log.at(position).await,
        }
    }

    /// Refuses views that were made from another log. They would be taken for this one's as soon as it is as
    /// long, and no answer would ever be right. A log that moved to other storage is still the same.
    async fn ensure_made(&self, views: &Views, config: &Config) -> anyhow::Result<()> {
        let (position, hash) = views.checkpoint().await?;
        if position == Position::START {
            return Ok(());
        }
        let commit = self.at(position).await?;
        let remedy = match database(config) {
            Some(_) => {
                "set database.url to this log's data base; if it is, and the log lost commits or was \
                 restored from a backup, drop the schemas wharf_views* there, and the views are made anew"
                    .to_owned()
            }
            None => format!(
                "move {} away, and the views are made anew",
                views_dir(config).display()
            ),
        };
        match commit {
            Some(commit) if commit.hash == hash => Ok(()),
            Some(_) => anyhow::bail!(
                "the views were made from another log: the commit at position {position} is not the one \
                 that they know; {remedy}"
            ),
            None => anyhow::bail!(
                "the views are at position {position}, but the log ends before it: they were made from \
                 another log, or this one lost commits; {remedy}"
            ),
        }
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
        roots: given(&config.log.nats_ca),
        prefix: config.log.nats_prefix.clone(),
        replicas: config.log.replicas,
        monitoring: config.log.nats_monitor_urls.clone(),
        mirror: config.data.dir.join(MIRROR),
        ..JetStreamOptions::default()
    }
}

fn given(path: &str) -> Option<PathBuf> {
    (!path.is_empty()).then(|| PathBuf::from(path))
}
