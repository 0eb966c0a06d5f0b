//! Leases: of all nodes that share a log and its views, one does what only one may do.

use std::time::Duration;

use async_trait::async_trait;

/// The right to be the only one, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What for, e.g. `tick`.
    pub name: String,
    /// Higher than that of every holder before. Whoever writes under a lease says its fence, and who has
    /// seen a higher one refuses.
    pub fence: u64,
    /// How long it holds, counted from before it was asked for: stop then, unless it was renewed. Renew
    /// it three times within.
    pub holds_for: Duration,
}

/// Why nothing is known of a lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The storage failed; worth another try as long as the lease holds.
    #[error("leases cannot be asked for")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Keeper of leases. Its own clock decides when one ends, not the nodes'.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Takes the lease `name`, if no other node holds it. A node that was killed gets back at once what it held,
    /// under a higher fence.
    async fn take(&self, name: &str) -> Result<Option<Lease>, LeaseError>;

    /// Lets it hold from now on for as long again. `false` if it is lost.
    async fn renew(&self, lease: &Lease) -> Result<bool, LeaseError>;

    /// Gives it back, so that another node need not wait for its end. One that is lost changes nothing.
    async fn give_back(&self, lease: &Lease) -> Result<(), LeaseError>;
}
