//! The port [`Leases`]: rows of `wharf_views.lease`, or nobody to share with.
//!
//! Given out by [`Views::leases`](crate::Views::leases). The data base's clock decides: nodes whose
//! clocks differ still agree on who holds what.

#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use wharf_domain::ports::{Lease, LeaseError, Leases};

use crate::{
    Error,
    db::{Query, query},
};

/// How long a lease holds. A node that dies is replaced that much later, and one look: under five
/// seconds, if the others look each second.
const HOLDS_FOR: Duration = Duration::from_secs(3);
/// One for each loop that only one node runs: projector and tick.
const CONNECTIONS: u32 = 2;
/// The longest that a question takes: two fit into the time that a lease holds.
const PATIENCE: Duration = Duration::from_secs(1);

/// The leases of the nodes that share a data base.
pub(crate) struct Shared {
    /// Of its own: a lease is renewed however busy the others are.
    pool: PgPool,
    holder: String,
}

/// The leases of a node that shares its views with nobody: it has them all.
pub(crate) struct Alone;

impl Shared {
    /// Connects with `options`; `holder` is this node.
    pub(crate) fn new(options: PgConnectOptions, holder: &str) -> Self {
        let pool = PgPoolOptions::new()
            .min_connections(0)
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options);
        Self {
            pool,
            holder: holder.to_owned(),
        }
    }

    /// Asks for at most one row with one number; a question that hangs counts as failed.
    async fn ask(&self, question: Query<'_>) -> Result<Option<u64>, LeaseError> {
        let answer = async {
            let row = question.fetch_optional(&self.pool).await?;
            row.map(|row| row.count("fence")).transpose()
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(answer) => answer.map_err(|error: Error| unavailable(error)),
            Err(elapsed) => Err(unavailable(elapsed)),
        }
    }
}

#[async_trait]
impl Leases for Shared {
    async fn take(&self, name: &str) -> Result<Option<Lease>, LeaseError> {
        let question = query(
            "insert into lease (name, holder, fence, expires_at)
             values ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
             on conflict (name) do update set
               holder = excluded.holder, fence = lease.fence + 1, expires_at = excluded.expires_at
             where lease.expires_at <= clock_timestamp() or lease.holder = excluded.holder
             returning fence",
        )
        .bind(name)
        .bind(self.holder.as_str())
        .bind(HOLDS_FOR.as_millis() as i64);
        let fence = self.ask(question).await?;
        Ok(fence.map(|fence| Lease {
            name: name.to_owned(),
            fence,
            holds_for: HOLDS_FOR,
        }))
    }

    async fn renew(&self, lease: &Lease) -> Result<bool, LeaseError> {
        let question = query(
            "update lease set expires_at = clock_timestamp() + $3 * interval '1 millisecond'
             where name = $1 and fence = $2 and expires_at > clock_timestamp()
             returning fence",
        )
        .bind(lease.name.as_str())
        .bind(lease.fence.cast_signed())
        .bind(HOLDS_FOR.as_millis() as i64);
        Ok(self.ask(question).await?.is_some())
    }

    async fn give_back(&self, lease: &Lease) -> Result<(), LeaseError> {
        let question = query(
            // Since when nobody holds it is asked before old views are dropped.
            "update lease set expires_at = clock_timestamp() where name = $1 and fence = $2
             returning fence",
        )
        .bind(lease.name.as_str())
        .bind(lease.fence.cast_signed());
        self.ask(question).await?;
        Ok(())
    }
}

#[async_trait]
impl Leases for Alone {
    async fn take(&self, name: &str) -> Result<Option<Lease>, LeaseError> {
        Ok(Some(Lease {
            name: name.to_owned(),
            fence: 0,
            holds_for: Duration::MAX,
        }))
    }

    async fn renew(&self, _: &Lease) -> Result<bool, LeaseError> {
        Ok(true)
    }

    async fn give_back(&self, _: &Lease) -> Result<(), LeaseError> {
        Ok(())
    }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> LeaseError {
    LeaseError::Unavailable(Box::new(error))
}
