//! Tick: a due row of the timers view becomes a command, on the one node that holds the lease. Fires only while
//! the views are at the log's tail as of then, so that a timer which was settled a moment ago is not seen as due.
//!
//! Retries are sent by this node's delivery worker, as fast as it takes them: a storm of them waits in the
//! view, in the order in which they are due, and holds up no schedule.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;
use wharf_domain::{
    integrations::IntegrationCommand,
    kernel::{Position, RunId, Timestamp, derive, with_causes},
    ports::{Clock, Context, Dispatch, DispatchError, EventLog, LogError},
};
use wharf_projections::{
    Views,
    timers::{self, Kind, Subject, Timer},
};

use crate::{journal::after, lease::Keeper, project::caught_up};

/// What allows a node to fire timers.
const LEASE: &str = "tick";
/// Timers of a kind fired at once.
const BATCH: u32 = 256;
/// Looks at the timers at least so often.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Schedules that may fail one after the other; then it is the log that is in trouble.
const FAILURES: u32 = 8;
/// How long one that failed waits.
const PUT_OFF: Duration = Duration::from_secs(30);
/// What lies between two looks while something is due that cannot be fired yet, or is not settled yet.
const BREATH: Duration = Duration::from_millis(50);
/// The same, if the last look found nothing to fire.
const LONG_BREATH: Duration = Duration::from_millis(200);

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
    /// Deliveries to try again; bounded: those that a full worker does not take stay in the view.
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
        let (mut schedules, mut retries) = (Fired::default(), Fired::default());
        loop {
            let round = tokio::select! {
                // Commands carry a key: one that is cut off here is found by the next that fires the timer.
                () = stop.cancelled() => return Ok(()),
                round = self.fire(&mut schedules, &mut retries) => round,
            };
            let round = round.unwrap_or_else(|error| {
                tracing::warn!(error = %with_causes(&*error), "the timers wait");
                Round::default()
            });
            let now = self.clock.now();
            let latest = after(now, LONGEST_SLEEP);
            let wake = round.next.map_or(latest, |at| at.min(latest));
            // No busy loop over what is due.
            let breath = if round.fired { BREATH } else { LONG_BREATH };
            let wake = if wake <= now {
                after(now, breath)
            } else {
                wake
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.clock.sleep_until(wake) => {}
            }
        }
    }

    /// Fires what is due and was not fired yet.
    async fn fire(&self, schedules: &mut Fired, retries: &mut Fired) -> Result<Round, Failure> {
        let (log, views) = (&*self.log, &self.views);
        if caught_up(log, views, LONGEST_SLEEP).await?.is_none() {
            return Ok(Round::default());
        }
        let now = self.clock.now();
        let due = self.due(Kind::SyncDue, now, schedules).await?;
        let mut fired = request_all(&*self.dispatch, &due, now, schedules).await?;
        for timer in self.due(Kind::WebhookRetry, now, retries).await? {
            let key = timer.clone();
            match self.retries.try_send(timer) {
                Ok(()) => {
                    retries.add(&key);
                    fired = true;
                }
                Err(TrySendError::Full(_)) => break,
                Err(closed @ TrySendError::Closed(_)) => return Err(closed.into()),
            }
        }
        Ok(Round {
            fired,
            next: timers::next_due(&self.views.db()).await?,
        })
    }

    /// At most [`BATCH`] of what is due and was not fired yet; what was settled since is forgotten.
    async fn due(
        &self,
        kind: Kind,
        now: Timestamp,
        fired: &mut Fired,
    ) -> Result<Vec<Timer>, wharf_projections::Error> {
        let limit = BATCH.saturating_add(u32::try_from(fired.0.len()).unwrap_or(u32::MAX));
        let mut due = timers::due(&self.views.db(), kind, now, limit).await?;
        fired.settle(&due, due.len() < limit as usize);
        due.retain(|timer| fired.may(timer, now));
        due.truncate(BATCH as usize);
        Ok(due)
    }
}

/// Asks for the runs that schedules are due for; whether there were any. One that fails waits a while, and the
/// others do not wait for it.
///
/// # Errors
/// So many failed, one after the other, that it will not be for reasons of their own.
async fn request_all(
    dispatch: &dyn Dispatch,
    due: &[Timer],
    now: Timestamp,
    schedules: &mut Fired,
) -> Result<bool, Failure> {
    let (mut asked, mut failed) = (false, 0);
    for timer in due {
        match request(dispatch, timer, now).await {
            Ok(()) => {
                schedules.add(timer);
                (asked, failed) = (true, 0);
            }
            Err(error) if failed + 1 >= FAILURES => return Err(error),
            Err(error) => {
                failed += 1;
                let Timer { project, .. } = timer;
                tracing::warn!(%project, error = %with_causes(&*error), "a schedule waits");
                schedules.put_off(timer, after(now, PUT_OFF));
            }
        }
    }
    Ok(asked)
}

/// Asks for the run that a schedule is due for.
async fn request(dispatch: &dyn Dispatch, timer: &Timer, now: Timestamp) -> Result<(), Failure> {
    let Subject::SyncDue { integration } = timer.subject else {
        return Ok(());
    };
    let cause = format!("{}.{}", timer.set_by.0, timer.set_by.1);
    let command = IntegrationCommand::SyncDue {
        run_id: RunId(derive(&[b"scheduled", cause.as_bytes()])),
        due_at: timer.due,
        now,
    };
    let mut context = Context::system("tick", &cause, &cause);
    context.idempotency_key = Some(format!("due/{cause}"));
    let asked = dispatch.integration(&timer.project, integration, command, context);
    match asked.await {
        Ok(_) | Err(DispatchError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Why a look at the timers failed; the next one may not.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What one look at the timers came to.
#[derive(Default)]
struct Round {
    /// Something was fired.
    fired: bool,
    /// When the next timer is due; a fired one counts until it is settled.
    next: Option<Timestamp>,
}

/// Timers that were fired, or put off, and that the view does not show as settled yet.
#[derive(Default)]
struct Fired(HashMap<(Position, u32), State>);

/// What became of a timer.
struct State {
    /// When it was due.
    due: Timestamp,
    /// When it may be fired again; `None`: it was fired.
    again: Option<Timestamp>,
}

impl Fired {
    fn add(&mut self, timer: &Timer) {
        let (due, again) = (timer.due, None);
        self.0.insert(timer.set_by, State { due, again });
    }

    /// It could not be fired: not before `until` again.
    fn put_off(&mut self, timer: &Timer, until: Timestamp) {
        let (due, again) = (timer.due, Some(until));
        self.0.insert(timer.set_by, State { due, again });
    }

    /// Whether `timer` may be fired.
    fn may(&self, timer: &Timer, now: Timestamp) -> bool {
        let state = self.0.get(&timer.set_by);
        state.is_none_or(|state| state.again.is_some_and(|again| again <= now))
    }

    /// Forgets those that are not among `due`, the first timers by their time; `whole`: all of them.
    fn settle(&mut self, due: &[Timer], whole: bool) {
        let still: HashSet<_> = due.iter().map(|timer| timer.set_by).collect();
        let last = due.last().map(|timer| timer.due);
        self.0.retain(|key, state| {
            still.contains(key) || (!whole && last.is_some_and(|last| state.due >= last))
        });
    }
}

#[cfg(test)]
mod tests;
