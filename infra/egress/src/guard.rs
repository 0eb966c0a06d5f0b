//! The HTTP client's resolver: looks a name up and judges every address before any is dialled.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolving};
use tokio::sync::Semaphore;
use wharf_domain::ports::TrustClass;

use crate::addresses::Addresses;

/// Lookups at once; each may hold a thread of the blocking pool for seconds. More wait their turn,
/// within their own time limit.
const LOOKUPS: usize = 32;

/// Where names are looked up; another in tests.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `name`.
    ///
    /// # Errors
    /// Whatever the lookup says; only its kind is kept.
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDns;

#[async_trait]
impl Resolve for SystemDns {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let addresses = tokio::net::lookup_host((name, 0)).await?;
        Ok(addresses.map(|address| address.ip()).collect())
    }
}

/// Why a name is not dialled. `outcome` finds these again in the chain of the client's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// An address is forbidden. It is not named: it may be one of the operator's own network.
    #[error("the name resolves to an address that is not public")]
    NotPublic,
    /// For the hub's own requests.
    #[error("the name resolves to an address that is not loopback")]
    NotLoopback,
    /// No address.
    #[error("the name does not resolve")]
    Unknown,
    /// Too slow.
    #[error("the name did not resolve within the time limit")]
    Slow,
}

/// The resolver of one trust class.
#[derive(Clone)]
pub(crate) struct Guard {
    resolver: Arc<dyn Resolve>,
    addresses: Arc<Addresses>,
    trust: TrustClass,
    limit: Duration,
    turns: Arc<Semaphore>,
}

impl Guard {
    /// Judges by `addresses` for `trust`; a lookup takes at most `limit`.
    pub(crate) fn new(
        resolver: Arc<dyn Resolve>,
        addresses: Arc<Addresses>,
        trust: TrustClass,
        limit: Duration,
    ) -> Self {
        Self {
            resolver,
            addresses,
            trust,
            limit,
            turns: Arc::new(Semaphore::new(LOOKUPS)),
        }
    }

    /// The addresses of `name`, all of them allowed, or none.
    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, Refused> {
        let look = async {
            let _turn = self.turns.acquire().await.map_err(|_| Refused::Unknown)?;
            self.resolver
                .lookup(name)
                .await
                .map_err(|_| Refused::Unknown)
        };
        let found = tokio::time::timeout(self.limit, look)
            .await
            .map_err(|_| Refused::Slow)??;
        if found.is_empty() {
            return Err(Refused::Unknown);
        }
        // One bad address condemns the name: the client would try the next one when a first fails.
        if !found
            .iter()
            .all(|ip| self.addresses.is_allowed(*ip, self.trust))
        {
            return Err(match self.trust {
                TrustClass::Caller => Refused::NotPublic,
                TrustClass::Hub => Refused::NotLoopback,
            });
        }
        Ok(found)
    }
}

impl reqwest::dns::Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = guard.lookup(name.as_str()).await?;
            // Port 0: the client puts in the URL's.
            let dialled: Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(dialled)
        })
    }
}
