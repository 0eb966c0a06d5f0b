//! Project: the log becomes views. One task writes the live generation; a rebuild fills a new one beside
//! it and is swapped in once it has caught up.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use wharf_domain::{
    kernel::Position,
    ports::{Clock, EventLog, LogError},
};
use wharf_projections::{Projection, Views};

use crate::{
    journal::{REST, rest},
    supervisor::chain,
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

/// A generation that caught up, and whom to tell when it is live.
struct Swap {
    projection: Projection,
    done: oneshot::Sender<Result<(), wharf_projections::Error>>,
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
        let at = projection.checkpoint();
        let (done, swapped) = oneshot::channel();
        self.swaps
            .send(Swap { projection, done })
            .await
            .map_err(|_| ProjectError::Stopping)?;
        swapped.await.map_err(|_| ProjectError::Stopping)??;
        let tail = self.log.tail().await?;
        progress.send_replace((at.max(tail), tail));
        Ok(at)
    }
}

/// The loop that keeps the live views behind the log.
pub struct Projector {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) views: Views,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) projection: Projection,
    swaps: mpsc::Receiver<Swap>,
}

impl Projector {
    /// The loop and the handle that asks it for a rebuild.
    #[must_use]
    pub fn new(
        log: Arc<dyn EventLog>,
        views: Views,
        clock: Arc<dyn Clock>,
        projection: Projection,
    ) -> (Self, Rebuilder) {
        // One rebuild at a time; a second one waits here for its swap.
        let (swaps, receiver) = mpsc::channel(1);
        let rebuilder = Rebuilder {
            log: log.clone(),
            views: views.clone(),
            swaps,
        };
        (
            Self {
                log,
                views,
                clock,
                projection,
                swaps: receiver,
            },
            rebuilder,
        )
    }

    /// Projects until `stop`.
    ///
    /// # Errors
    /// [`ProjectError`] if the log is damaged or the views contradict it; what passes by itself is
    /// waited for.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), ProjectError> {
        loop {
            let after = self.projection.checkpoint();
            let commits = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(swap) = self.swaps.recv() => {
                    self.swap(swap).await;
                    continue;
                }
                commits = self.log.follow(after, BATCH) => commits,
            };
            let failed = match commits {
                Ok(commits) => self
                    .projection
                    .apply(&commits)
                    .await
                    .map(drop)
                    .err()
                    .map(ProjectError::from),
                Err(error) => Some(error.into()),
            };
            match failed {
                None => {}
                Some(error) if is_passing(&error) => {
                    tracing::warn!(error = %chain(&error), "the views wait");
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = rest(&*self.clock, REST) => {}
                    }
                }
                Some(error) => return Err(error),
            }
        }
    }

    async fn swap(&mut self, mut swap: Swap) {
        // The last stretch, so that no reader sees the views go back.
        let caught_up = async {
            while swap.projection.checkpoint() < self.projection.checkpoint() {
                let commits = self
                    .log
                    .read_all(swap.projection.checkpoint(), BATCH)
                    .await?;
                swap.projection.apply(&commits).await?;
            }
            Ok::<_, ProjectError>(())
        }
        .await;
        match caught_up {
            Ok(()) => {
                let result = self.views.swap(&swap.projection).await;
                if result.is_ok() {
                    self.projection = swap.projection;
                }
                let _ = swap.done.send(result);
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "a rebuilt view was not swapped in")
            }
        }
    }
}

fn is_passing(error: &ProjectError) -> bool {
    match error {
        ProjectError::Log(LogError::Unavailable(_)) => true,
        ProjectError::Log(_) | ProjectError::Stopping => false,
        ProjectError::Views(error) => error.is_passing(),
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
