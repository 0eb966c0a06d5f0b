//! Everything of a hub that is observed: its ports, each wrapped in what counts it.
//!
//! `boot` passes each port through once, whatever implements it. What is traced says so itself, where the
//! work is done.

use std::sync::Arc;

use wharf_domain::ports::{EventLog, Http, Vault};

use super::meter::{Consumers, MeteredHttp, MeteredLog, MeteredVault};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    pub(super) consumers: Consumers,
}

impl Observer {
    /// The event log.
    #[must_use]
    pub fn log(&self, log: Arc<dyn EventLog>) -> Arc<dyn EventLog> {
        Arc::new(MeteredLog::new(log, self.consumers.clone()))
    }

    /// The vault.
    #[must_use]
    pub fn vault(&self, vault: Arc<dyn Vault>) -> Arc<dyn Vault> {
        Arc::new(MeteredVault::new(vault))
    }

    /// The HTTP client.
    #[must_use]
    pub fn http(&self, http: Arc<dyn Http>) -> Arc<dyn Http> {
        Arc::new(MeteredHttp::new(http))
    }
}
