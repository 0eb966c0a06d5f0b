//! Being the only one: a loop that one node of many runs, as long as it holds the lease for it. A hub that
//! shares nothing holds every lease for ever.
//!
//! A node that is stopped for longer than its lease holds finds out when it goes on; until then another
//! may have begun. Whoever writes under a lease therefore says its fence, or writes what may come twice.

#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc};

use wharf_domain::{
    kernel::{Timestamp, with_causes},
    ports::{Clock, Lease, Leases},
};

use crate::journal::{REST, after, rest};

/// Renewals within the time that a lease holds: two may fail.
const RENEWALS: u32 = 3;

/// Takes leases and keeps them.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A lease, and until when it holds by this node's clock.
pub(crate) struct Held {
    lease: Lease,
    until: Timestamp,
}

impl Held {
    /// To be said with every write.
    pub(crate) const fn fence(&self) -> u64 {
        self.lease.fence
    }
}

impl Keeper {
    /// Waits until this node holds the lease `name`.
    pub(crate) async fn take(&self, name: &str) -> Held {
        loop {
            let asked = self.clock.now();
            match self.leases.take(name).await {
                Ok(Some(lease)) => {
                    let until = after(asked, lease.holds_for);
                    return Held { lease, until };
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(lease = name, error = %with_causes(&error), "a lease waits")
                }
            }
            rest(&*self.clock, REST).await;
        }
    }

    /// Runs `work` under `held`. `None` if the lease was lost before it ended; it was dropped then,
    /// wherever it was.
    pub(crate) async fn under<T>(&self, held: Held, work: impl Future<Output = T>) -> Option<T> {
        let lease = held.lease.clone();
        let done = tokio::select! {
            () = self.keep(held) => None,
            done = work => Some(done),
        };
        if done.is_none() {
            tracing::warn!(lease = %lease.name, "the lease was lost; another node goes on");
        } else if let Err(error) = self.leases.give_back(&lease).await {
            tracing::warn!(lease = %lease.name, error = %with_causes(&error), "a lease ends by itself");
        }
        done
    }

    /// Renews the lease until it is lost.
    async fn keep(&self, mut held: Held) {
        loop {
            rest(&*self.clock, held.lease.holds_for / RENEWALS).await;
            let asked = self.clock.now();
            match self.leases.renew(&held.lease).await {
                Ok(true) => held.until = after(asked, held.lease.holds_for),
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(lease = %held.lease.name, error = %with_causes(&error), "a lease was not renewed");
                    if self.clock.now() >= held.until {
                        return;
                    }
                }
            }
        }
    }
}
