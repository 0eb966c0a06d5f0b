//! The sync worker: takes granted runs from the log and works on a few of them at a time.

use std::sync::Arc;

use futures::{StreamExt, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;
use wharf_domain::{
    integrations::IntegrationEvent,
    kernel::{Category, IntegrationId, Position, StoredCommit, decode_all, with_causes},
    ports::{ConsumerSpec, EventLog, LogError, StartAt},
};

use super::run::{RunError, Runner};
use crate::{
    journal::REST,
    patience::{farewell, patient},
};

/// Runs worked on at once.
const RUNS: usize = 8;

const SYNC: ConsumerSpec = ConsumerSpec {
    name: "sync",
    from: StartAt::First,
    categories: &[Category::Integration],
    max_in_flight: RUNS,
};

/// The worker.
pub(crate) struct Syncer {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) runner: Runner,
}

impl Syncer {
    /// Works until `stop`. A run that is cut off goes on after the next start.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), LogError> {
        let clock = &*self.runner.clock;
        let consumer = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            consumer = patient(clock, || self.log.consumer(SYNC)) => consumer?,
        };
        let mut runs = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some((position, done)) = runs.next() => match done {
                    Ok(()) => consumer.ack(&[position]).await?,
                    Err(RunError::Stopping) => {}
                    Err(error) => {
                        tracing::warn!(%position, error = %with_causes(&error), "a run waits");
                        consumer.nak(position, REST).await?;
                    }
                },
                commits = patient(clock, || consumer.fetch(RUNS)) => {
                    for commit in commits? {
                        runs.push(self.commit(commit, &stop));
                    }
                }
            }
        }
        // Pages are durable as they are recorded: nothing to wait for.
        drop(runs);
        farewell(clock, &*consumer).await
    }

    async fn commit(
        &self,
        commit: StoredCommit,
        stop: &CancellationToken,
    ) -> (Position, Result<(), RunError>) {
        let position = commit.position;
        (position, self.granted(&commit, stop).await)
    }

    async fn granted(
        &self,
        commit: &StoredCommit,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        let Some(id) = commit.stream.uuid().map(IntegrationId) else {
            return Ok(());
        };
        for recorded in decode_all::<IntegrationEvent>(commit)? {
            if let IntegrationEvent::SyncRequested(request) = &recorded.event {
                self.runner
                    .work(&commit.stream.project, id, request, &recorded, stop)
                    .await?;
            }
        }
        Ok(())
    }
}
