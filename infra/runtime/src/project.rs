//! Project: the log becomes views. One node writes the live generation, under a lease; a rebuild fills a new
//! one beside it and is swapped in once it has caught up.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use wharf_domain::{
    kernel::{Position, with_causes},
    ports::{Clock, EventLog, LogError},
};
use wharf_projections::{Projection, Views};

use crate::{
    journal::{REST, rest},
    lease::Keeper,
};

/// Commits applied in one transaction.
const BATCH: usize = 1000;
/// A rebuild is swapped in once it is this close to the live views.
const CLOSE: u64 = 1000;

/// Why projecting stopped.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// See [`LogError`].
    #[error(transparent)]
    Log(#[from] LogError),
    /// See [`wharf_projections::Error`].
    #[error("the views cannot be written")]
    Views(#[from] wharf_projections::Error),
    /// The hub is stopping.
    #[error("the hub is stopping")]
    Stopping,
}

/// How long a rebuild that is live waits for the last stretch.
const PATIENCE: Duration = Duration::from_mins(1);

/// A generation that caught up, and whom to tell when it is live.
struct Swap {
    projection: Projection,
    done: oneshot::Sender<Result<(), ProjectError>>,
}

/// Asks for a rebuild of the views.
#[derive(Clone)]
pub struct Rebuilder {
    log: Arc<dyn EventLog>,
    views: Views,
    swaps: mpsc::Sender<Swap>,
}

impl Rebuilder {
    /// Builds a new generation from the first commit on and makes it live. `progress` is told the
    /// position reached and the log's tail.
    ///
    /// # Errors
    /// [`ProjectError`]; the live views are untouched then.
    pub async fn rebuild(
        &self,
        progress: watch::Sender<(Position, Position)>,
    ) -> Result<Position, ProjectError> {
        let mut projection = self.views.begin_rebuild().await?;
        loop {
            let tail = self.log.tail().await?;
            let at = projection.checkpoint();
            progress.send_replace((at, tail));
            if tail.0 - at.0.min(tail.0) <= CLOSE && at >= self.views.position() {
                break;
            }
            let commits = self.log.read_all(at, BATCH).await?;
            if commits.is_empty() {
                break;
            }
            projection.apply(&commits).await?;
        }
        let (done, swapped) = oneshot::channel();
        self.swaps
            .send(Swap { projection, done })
            .await
            .map_err(|_| ProjectError::Stopping)?;
        swapped.await.map_err(|_| ProjectError::Stopping)??;
        // The projector takes it from here; whoever asked wants to see all of it.
        let tail = self.log.tail().await?;
        if let Err(lagging) = self.views.wait_for(tail, PATIENCE).await {
            tracing::warn!(%lagging, "the new views are live and not yet at the log's end");
        }
        progress.send_replace((tail, tail));
        Ok(self.views.position())
    }
}

/// The loop that keeps the live views behind the log: on one node, the one that holds their lease.
pub(crate) struct Projector {
    log: Arc<dyn EventLog>,
    views: Views,
    clock: Arc<dyn Clock>,
    swaps: mpsc::Receiver<Swap>,
}

impl Projector {
    /// The loop and the handle that asks it for a rebuild.
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        views: Views,
        clock: Arc<dyn Clock>,
    ) -> (Self, Rebuilder) {
        // One rebuild at a time; a second one waits here for its swap.
        let (swaps, receiver) = mpsc::channel(1);
        let rebuilder = Rebuilder {
            log: log.clone(),
            views: views.clone(),
            swaps,
        };
        let projector = Self {
            log,
            views,
            clock,
            swaps: receiver,
        };
        (projector, rebuilder)
    }

    /// Projects until `stop`, whenever this node holds the lease.
    ///
    /// # Errors
    /// [`ProjectError`] if the log is damaged or the views contradict it; what passes by itself is
    /// waited for.
    pub(crate) async fn run(
        mut self,
        keeper: Keeper,
        stop: CancellationToken,
    ) -> Result<(), ProjectError> {
        let name = self.views.lease_name();
        loop {
            let held = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(swap) = self.swaps.recv() => {
                    self.swap(swap).await;
                    continue;
                }
                held = keeper.take(&name) => held,
            };
            let fence = held.fence();
            if let Some(ended) = keeper.under(held, self.hold(fence, &stop)).await {
                ended?;
            }
        }
    }

    /// Projects under `fence` until `stop`, or until another node does.
    async fn hold(&mut self, fence: u64, stop: &CancellationToken) -> Result<(), ProjectError> {
        while !stop.is_cancelled() {
            match self.project(fence, stop).await {
                Ok(()) => {}
                Err(ProjectError::Views(wharf_projections::Error::Fenced { ours, by })) => {
                    tracing::warn!(ours, by, "another node projects");
                    return Ok(());
                }
                Err(error) if is_passing(&error) => {
                    tracing::warn!(error = %with_causes(&error), "the views wait");
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = rest(&*self.clock, REST) => {}
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Projects into the generation that is live now, until another is, or `stop`.
    async fn project(&mut self, fence: u64, stop: &CancellationToken) -> Result<(), ProjectError> {
        let mut projection = self.views.projection(fence).await?;
        loop {
            let commits = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(swap) = self.swaps.recv() => {
                    self.swap(swap).await;
                    return Ok(());
                }
                commits = self.log.follow(projection.checkpoint(), BATCH) => commits?,
            };
            match projection.apply(&commits).await {
                Ok(_) => {}
                Err(wharf_projections::Error::Superseded) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes a rebuilt generation the live one. Nothing is projected here meanwhile; a projector on another
    /// node may be, so what it adds is caught up with until the swap is faster.
    async fn swap(&self, mut swap: Swap) {
        let result = loop {
            let error = match self.views.swap(&swap.projection).await {
                Ok(()) => break Ok(()),
                Err(error) => error,
            };
            if !matches!(error, wharf_projections::Error::Behind { .. }) {
                break Err(error.into());
            }
            let after = swap.projection.checkpoint();
            match self.log.read_all(after, BATCH).await {
                Ok(commits) => {
                    if let Err(error) = swap.projection.apply(&commits).await {
                        break Err(error.into());
                    }
                }
                Err(error) => break Err(error.into()),
            }
        };
        let _ = swap.done.send(result);
    }
}

fn is_passing(error: &ProjectError) -> bool {
    match error {
        ProjectError::Log(LogError::Unavailable(_)) => true,
        ProjectError::Log(_) | ProjectError::Stopping => false,
        ProjectError::Views(error) => error.is_passing(),
    }
}

/// Hears of what other nodes do to shared views, until `stop`.
pub(crate) async fn follow(
    views: Views,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<(), ProjectError> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            heard = views.follow() => if let Err(error) = heard {
                tracing::warn!(error = %with_causes(&error), "the views of other nodes are not heard of");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = rest(&*clock, REST) => {}
        }
    }
}

/// Waits until the views have reached the log's tail as of now.
pub(crate) async fn caught_up(
    log: &dyn EventLog,
    views: &Views,
    patience: Duration,
) -> Result<Option<Position>, LogError> {
    let tail = log.tail().await?;
    Ok(views.wait_for(tail, patience).await.ok().map(|()| tail))
}
