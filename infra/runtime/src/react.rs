//! React: an event causes commands, decided by a process manager of the domain. At-least-once: each
//! command carries a key made of its cause, so that a repeat finds its own effect.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wharf_domain::{
    integrations::{Integration, IntegrationEvent},
    kernel::{
        Category, DecodeError, IntegrationId, Position, Recorded, StoredCommit, StreamId,
        WebhookId, decode_all, with_causes,
    },
    ports::{Clock, ConsumerSpec, Context, Dispatch, DispatchError, EventLog, LogError, StartAt},
    syncs::{self, SyncRunEvent},
    webhooks::{DeliveryEvent, WebhookCommand},
};

use crate::{
    dispatch::Dispatcher,
    journal::{REST, rest},
    patience::{farewell, patient},
};

/// Runs that ended: give the lease back, tell subscribers.
const SETTLE: ConsumerSpec = ConsumerSpec {
    name: "settle",
    from: StartAt::First,
    categories: &[Category::SyncRun],
    max_in_flight: 256,
};
/// Receivers that said they are gone: stop sending.
const DISABLE: ConsumerSpec = ConsumerSpec {
    name: "disable",
    from: StartAt::First,
    categories: &[Category::Delivery],
    max_in_flight: 256,
};

/// Why a reaction stopped for good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReactError {
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Why one commit's reaction has to be repeated.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("a command could not be dispatched")]
    Dispatch(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The reactions.
#[derive(Clone)]
pub(crate) struct Reactor {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) dispatch: Arc<Dispatcher>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Reactor {
    /// What follows from runs, until `stop`.
    pub(crate) async fn settle(self, stop: CancellationToken) -> Result<(), ReactError> {
        self.run(SETTLE, &stop).await
    }

    /// What follows from deliveries, until `stop`.
    pub(crate) async fn disable(self, stop: CancellationToken) -> Result<(), ReactError> {
        self.run(DISABLE, &stop).await
    }

    async fn run(&self, spec: ConsumerSpec, stop: &CancellationToken) -> Result<(), ReactError> {
        let clock = &*self.clock;
        let consumer = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            consumer = patient(clock, || self.log.consumer(spec.clone())) => consumer?,
        };
        'run: loop {
            let commits = tokio::select! {
                () = stop.cancelled() => break,
                commits = patient(clock, || consumer.fetch(64)) => commits?,
            };
            for commit in commits {
                let reacted = tokio::select! {
                    // It comes again, and its commands are found carried out.
                    () = stop.cancelled() => break 'run,
                    reacted = self.react(&commit) => reacted,
                };
                match reacted {
                    Ok(()) => consumer.ack(&[commit.position]).await?,
                    // It will not decode tomorrow either; the projector parks it visibly.
                    Err(Failed::Decode(error)) => {
                        tracing::error!(position = %commit.position, %error, "an event was passed over");
                        consumer.ack(&[commit.position]).await?;
                    }
                    Err(error @ (Failed::Log(_) | Failed::Dispatch(_))) => {
                        tracing::warn!(position = %commit.position, error = %with_causes(&error), "a reaction waits");
                        consumer.nak(commit.position, REST).await?;
                        tokio::select! {
                            () = stop.cancelled() => break 'run,
                            () = rest(&*self.clock, REST) => {}
                        }
                    }
                }
            }
        }
        farewell(clock, &*consumer).await?;
        Ok(())
    }

    async fn react(&self, commit: &StoredCommit) -> Result<(), Failed> {
        match commit.stream.category {
            Category::SyncRun => self.sync_run(commit).await,
            Category::Delivery => self.delivery(commit).await,
            Category::Integration
            | Category::Credential
            | Category::Webhook
            | Category::Message => Ok(()),
        }
    }

    async fn sync_run(&self, commit: &StoredCommit) -> Result<(), Failed> {
        let Some(id) = commit.stream.uuid().map(IntegrationId) else {
            return Ok(());
        };
        // Most commits are pages; their headers say so without decoding 500 KiB.
        if !commit.headers.contains("\"sync_run.completed\"")
            && !commit.headers.contains("\"sync_run.failed\"")
        {
            return Ok(());
        }
        let project = &commit.stream.project;
        for recorded in decode_all::<SyncRunEvent>(commit)? {
            if !self.is_kept(id, &recorded).await? {
                continue;
            }
            let reaction = syncs::process::react(id, &recorded);
            let cause = recorded.key();
            for (n, command) in reaction.commands.into_iter().enumerate() {
                let context = self.context(&recorded.meta.correlation, &cause, n);
                match self
                    .dispatch
                    .integration(project, id, command, context)
                    .await
                {
                    // Refused: it was deleted meanwhile, so there is nothing left to settle.
                    Ok(_) | Err(DispatchError::Refused(_)) => {}
                    Err(error) => return Err(Failed::Dispatch(error.into())),
                }
            }
            if !reaction.messages.is_empty() {
                let context = self.context(&recorded.meta.correlation, &cause, 0);
                match self
                    .dispatch
                    .messages(project, reaction.messages, context)
                    .await
                {
                    Ok(_) | Err(DispatchError::Refused(_)) => {}
                    Err(error) => return Err(Failed::Dispatch(error.into())),
                }
            }
        }
        Ok(())
    }

    /// Whether the fold keeps the end of a run: no later lease was granted before it. A worker that lost
    /// its lease without knowing has nothing to tell.
    async fn is_kept(
        &self,
        id: IntegrationId,
        recorded: &Recorded<SyncRunEvent>,
    ) -> Result<bool, Failed> {
        let fence = match &recorded.event {
            SyncRunEvent::Completed(completed) => completed.fence,
            SyncRunEvent::Failed(failed) => failed.fence,
            SyncRunEvent::Started(_) | SyncRunEvent::PageRecorded(_) => return Ok(false),
        };
        let project = &recorded.stream.project;
        let loaded = self
            .dispatch
            .load_integration(project, id, recorded.position);
        let loaded = loaded
            .await
            .map_err(|error| Failed::Dispatch(error.into()))?;
        match &loaded.state {
            Integration::Absent => return Ok(true),
            Integration::Live(live) if live.fence <= fence => return Ok(true),
            // A later lease was granted, perhaps after this end: the stream says when.
            Integration::Live(_) | Integration::Deleted => {}
        }
        let stream = StreamId::integration(project, id);
        let mut after = Position::START;
        loop {
            let commits = self.log.read_stream(&stream, after, 64).await?;
            for commit in commits
                .iter()
                .filter(|commit| commit.position < recorded.position)
            {
                for event in decode_all::<IntegrationEvent>(commit)? {
                    if matches!(&event.event, IntegrationEvent::SyncRequested(r) if r.fence > fence)
                    {
                        return Ok(false);
                    }
                }
            }
            match commits.last() {
                Some(last) if last.position < recorded.position => after = last.position,
                Some(_) | None => return Ok(true),
            }
        }
    }

    async fn delivery(&self, commit: &StoredCommit) -> Result<(), Failed> {
        let Some(id) = commit.stream.uuid().map(WebhookId) else {
            return Ok(());
        };
        if !commit.headers.contains("\"delivery.attempt_failed\"") {
            return Ok(());
        }
        for recorded in decode_all::<DeliveryEvent>(commit)? {
            let DeliveryEvent::AttemptFailed(failed) = &recorded.event else {
                continue;
            };
            if failed.status != Some(410) {
                continue;
            }
            let context = self.context(&recorded.meta.correlation, &recorded.key(), 0);
            let command = WebhookCommand::Disable {
                reason: "the receiver answered 410 Gone".into(),
            };
            match self
                .dispatch
                .webhook(&commit.stream.project, id, command, context)
                .await
            {
                Ok(_) | Err(DispatchError::Refused(_)) => {}
                Err(error) => return Err(Failed::Dispatch(error.into())),
            }
        }
        Ok(())
    }

    fn context(&self, correlation: &str, cause: &str, n: usize) -> Context {
        let mut context = Context::system("react", correlation, cause);
        context.idempotency_key = Some(format!("{cause}/{n}"));
        context
    }
}
