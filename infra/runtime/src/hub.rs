//! The hub: every loop, wired together. What runs in `wharf serve`, in tests and in `wharf import`.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::sync::mpsc;
use wharf_domain::ports::{
    Clock, Connectors, Dispatch, EventLog, Http, Ids, Leases, Snapshots, Spool, Vault,
};
use wharf_projections::Views;

use crate::{
    dispatch::Dispatcher,
    journal::Journal,
    lease::Keeper,
    project::{Projector, Rebuilder, follow},
    react::Reactor,
    supervisor::{Stopped, Supervisor},
    tick::Ticker,
    work::{Courier, Deliverer, Eraser, Progress, Runner, Syncer},
};

/// Timers handed to the delivery worker and not taken yet; the tick waits when it is full.
const RETRIES: usize = 256;
/// Opened secrets of webhooks kept in memory, and for how long.
const SECRETS: u64 = 10_000;
const SECRETS_FOR: Duration = Duration::from_mins(5);

/// What the hub is made of; only the server names the concrete types.
pub struct Parts {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// Long streams, folded once.
    pub snapshots: Arc<dyn Snapshots>,
    /// The read models.
    pub views: Views,
    /// Who of several nodes does what only one may do.
    pub leases: Arc<dyn Leases>,
    /// The vault.
    pub vault: Arc<dyn Vault>,
    /// The HTTP client.
    pub http: Arc<dyn Http>,
    /// Uploaded files.
    pub spool: Arc<dyn Spool>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The dice.
    pub ids: Arc<dyn Ids>,
    /// The platforms.
    pub connectors: Connectors,
    /// How long work under way may take after the hub was asked to stop.
    pub grace: Duration,
    /// Deliveries under way at once, at least 1.
    pub deliveries: usize,
}

/// A running hub.
pub struct Hub {
    /// Reaches the aggregates.
    pub dispatch: Arc<Dispatcher>,
    /// Rebuilds the views.
    pub rebuilder: Rebuilder,
    /// How far imports are.
    pub progress: Progress,
    supervisor: Supervisor,
    grace: Duration,
}

impl Hub {
    /// Starts every loop.
    #[must_use]
    pub fn start(parts: Parts) -> Self {
        let Parts {
            log,
            snapshots,
            views,
            leases,
            vault,
            http,
            spool,
            clock,
            ids,
            connectors,
            grace,
            deliveries,
        } = parts;
        let supervisor = Supervisor::default();
        let stop = || supervisor.stop_token();
        let dispatcher = Dispatcher::new(log.clone(), vault.clone(), clock.clone(), ids.clone());
        let dispatcher = Arc::new(dispatcher.with_snapshots(&snapshots));
        let dispatch: Arc<dyn Dispatch> = dispatcher.clone();
        let journal = Journal {
            log: log.clone(),
            clock: clock.clone(),
        };
        let progress = Progress::default();
        let (retries, due) = mpsc::channel(RETRIES);

        let keeper = Keeper {
            leases,
            clock: clock.clone(),
        };
        let (projector, rebuilder) = Projector::new(log.clone(), views.clone(), clock.clone());
        supervisor.spawn("project", projector.run(keeper.clone(), stop()));
        supervisor.spawn("views", follow(views.clone(), clock.clone(), stop()));

        let reactor = Reactor {
            log: log.clone(),
            dispatch: dispatcher.clone(),
            clock: clock.clone(),
        };
        supervisor.spawn("react: settle", reactor.clone().settle(stop()));
        supervisor.spawn("react: disable", reactor.disable(stop()));

        let ticker = Ticker {
            log: log.clone(),
            views: views.clone(),
            clock: clock.clone(),
            dispatch: dispatch.clone(),
            retries,
        };
        supervisor.spawn("tick", ticker.run(keeper, stop()));

        let runner = Runner {
            log: log.clone(),
            views: views.clone(),
            vault: vault.clone(),
            http: http.clone(),
            spool,
            clock: clock.clone(),
            ids: ids.clone(),
            connectors,
            dispatch: dispatcher.clone(),
            journal: journal.clone(),
            progress: progress.clone(),
        };
        supervisor.spawn(
            "work: sync",
            Syncer {
                log: log.clone(),
                runner,
            }
            .run(stop()),
        );

        let courier = Courier {
            views,
            vault: vault.clone(),
            http,
            ids,
            dispatch: dispatcher.clone(),
            journal,
            secrets: Cache::builder()
                .max_capacity(SECRETS)
                .time_to_live(SECRETS_FOR)
                .build(),
        };
        let deliverer = Deliverer {
            courier,
            retries: due,
            in_flight: deliveries,
            grace,
        };
        supervisor.spawn("work: deliver", deliverer.run(stop()));

        let eraser = Eraser {
            log,
            vault,
            dispatch,
            clock,
        };
        supervisor.spawn("work: erase", eraser.run(stop()));

        Self {
            dispatch: dispatcher,
            rebuilder,
            progress,
            supervisor,
            grace,
        }
    }

    /// The supervisor, for what else the server runs.
    #[must_use]
    pub const fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Waits until something stops the hub.
    pub async fn stopped(&self) {
        self.supervisor.stopped().await;
    }

    /// Drains and stops every loop.
    ///
    /// # Errors
    /// [`Stopped`] if a loop failed, or did not stop in time.
    pub async fn shut_down(&self) -> Result<(), Stopped> {
        self.supervisor
            .shut_down(self.grace + Duration::from_secs(5))
            .await
    }
}
