//! Tick: a due row of the timers view becomes a command, on the one node that holds the lease. Fires only while
//! the views are at the log's tail as of then, so that a timer which was settled a moment ago is not seen as due.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wharf_domain::{
    integrations::IntegrationCommand,
    kernel::{Position, RunId, Timestamp, derive},
    ports::{Clock, Context, Dispatch, DispatchError, EventLog, LogError},
};
use wharf_projections::{
    Views,
    timers::{self, Subject, Timer},
};

use crate::{
    journal::{REST, rest},
    lease::Keeper,
    project::caught_up,
    supervisor::chain,
};

/// What allows a node to fire timers.
const LEASE: &str = "tick";
/// Timers fired at once.
const BATCH: u32 = 256;
/// Looks at the timers at least so often.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Why ticking stopped for good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TickError {
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The loop.
pub(crate) struct Ticker {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) views: Views,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dispatch: Arc<dyn Dispatch>,
    /// Deliveries to try again; bounded: a full worker makes the tick wait.
    pub(crate) retries: mpsc::Sender<Timer>,
}

impl Ticker {
    /// Ticks until `stop`, whenever this node holds the lease.
    pub(crate) async fn run(
        self,
        keeper: Keeper,
        stop: CancellationToken,
    ) -> Result<(), TickError> {
        loop {
            let held = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                held = keeper.take(LEASE) => held,
            };
            if let Some(ended) = keeper.under(held, self.tick(&stop)).await {
                return ended;
            }
        }
    }

    async fn tick(&self, stop: &CancellationToken) -> Result<(), TickError> {
        // Fired, and not yet settled in the view.
        let mut fired: HashSet<(Position, u32)> = HashSet::new();
        loop {
            let wake = match self.fire(&mut fired, stop).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(error = %chain(&*error), "the timers wait");
                    None
                }
            };
            let now = self.clock.now();
            let latest = now + jiff::SignedDuration::from_millis(LONGEST_SLEEP.as_millis() as i64);
            let wake = wake.map_or(latest, |at| at.clamp(now, latest));
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.clock.sleep_until(wake) => {}
            }
            if wake <= now {
                // What is due could not be fired or settled yet: no busy loop over it.
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = rest(&*self.clock, REST.min(Duration::from_millis(50))) => {}
                }
            }
        }
    }

    /// Fires what is due; answers when the next timer is.
    async fn fire(
        &self,
        fired: &mut HashSet<(Position, u32)>,
        stop: &CancellationToken,
    ) -> Result<Option<Timestamp>, Box<dyn std::error::Error + Send + Sync>> {
        if caught_up(&*self.log, &self.views, LONGEST_SLEEP)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let now = self.clock.now();
        let due = timers::due(&self.views.db(), now, BATCH).await?;
        let keys: HashSet<_> = due.iter().map(|timer| timer.set_by).collect();
        fired.retain(|key| keys.contains(key));
        for timer in due {
            if !fired.insert(timer.set_by) {
                continue;
            }
            match timer.subject {
                Subject::WebhookRetry { .. } => tokio::select! {
                    () = stop.cancelled() => return Ok(None),
                    sent = self.retries.send(timer) => sent?,
                },
                Subject::SyncDue { integration } => {
                    let cause = format!("{}.{}", timer.set_by.0, timer.set_by.1);
                    let command = IntegrationCommand::SyncDue {
                        run_id: RunId(derive(&[b"scheduled", cause.as_bytes()])),
                        due_at: timer.due,
                        now,
                    };
                    let mut context = Context::system("tick", &cause, &cause);
                    context.idempotency_key = Some(format!("due/{cause}"));
                    match self
                        .dispatch
                        .integration(&timer.project, integration, command, context)
                        .await
                    {
                        Ok(_) | Err(DispatchError::Refused(_)) => {}
                        Err(error) => {
                            fired.remove(&timer.set_by);
                            return Err(error.into());
                        }
                    }
                }
            }
        }
        Ok(timers::next_due(&self.views.db()).await?)
    }
}
