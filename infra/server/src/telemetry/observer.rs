//! Everything of a hub that is observed: its ports, each wrapped in what counts it and, where there is a
//! collector, in what traces it.
//!
//! `boot` passes each port through once, whatever implements it.

use std::sync::Arc;

use wharf_domain::ports::{Dispatch, EventLog, Http, Vault};

use super::{
    meter::{Floors, MeteredHttp, MeteredLog, MeteredVault},
    trace::{Origins, TracedDispatch, TracedHttp, TracedLog},
};
use crate::config::Telemetry;

/// See the module.
#[derive(Clone, Debug)]
pub struct Observer {
    pub(super) floors: Floors,
    /// `None`: there is no collector.
    origins: Option<Origins>,
}

impl Observer {
    /// As the settings say.
    #[must_use]
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            floors: Floors::default(),
            origins: (!telemetry.otlp_endpoint.is_empty()).then(Origins::new),
        }
    }

    /// The event log.
    #[must_use]
    pub fn log(&self, log: Arc<dyn EventLog>) -> Arc<dyn EventLog> {
        let log: Arc<dyn EventLog> = Arc::new(MeteredLog::new(log, self.floors.clone()));
        match &self.origins {
            Some(origins) => Arc::new(TracedLog::new(log, origins.clone())),
            None => log,
        }
    }

    /// The vault.
    #[must_use]
    pub fn vault(&self, vault: Arc<dyn Vault>) -> Arc<dyn Vault> {
        Arc::new(MeteredVault::new(vault))
    }

    /// The HTTP client.
    #[must_use]
    pub fn http(&self, http: Arc<dyn Http>) -> Arc<dyn Http> {
        let http: Arc<dyn Http> = Arc::new(MeteredHttp::new(http));
        match &self.origins {
            Some(origins) => Arc::new(TracedHttp::new(http, origins.clone())),
            None => http,
        }
    }

    /// The way to the aggregates that the API takes.
    #[must_use]
    pub fn dispatch(&self, dispatch: Arc<dyn Dispatch>) -> Arc<dyn Dispatch> {
        match &self.origins {
            Some(_) => Arc::new(TracedDispatch::new(dispatch)),
            None => dispatch,
        }
    }
}
