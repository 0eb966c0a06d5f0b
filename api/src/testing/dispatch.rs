//! Dispatch as the runtime does it, without its cache, turns and retries; and the projector behind it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use tokio::sync::Mutex;
use wharf_domain::{
    credentials::{self, Credential, CredentialCommand},
    integrations::{self, Integration, IntegrationCommand},
    kernel::{
        CommitId, Decider, EventSet, Expected, IntegrationId, Loaded, Metadata, NewCommit,
        NewEvent, Position, ProjectId, StreamId, WebhookId, decode_all, derive,
    },
    ports::{Append, Clock, Context, Dispatch, DispatchError, EventLog, Receipt},
    webhooks::{self, Accepted, MessageEvent, NewMessage, Webhook, WebhookCommand},
};
use wharf_projections::Projection;

use super::{MemoryLog, TestClock};

pub(super) struct Dispatcher {
    log: Arc<MemoryLog>,
    clock: Arc<TestClock>,
    projection: Mutex<Projection>,
    projecting: Arc<AtomicBool>,
}

impl Dispatcher {
    pub(super) fn new(
        log: Arc<MemoryLog>,
        clock: Arc<TestClock>,
        projection: Projection,
        projecting: Arc<AtomicBool>,
    ) -> Self {
        Self {
            log,
            clock,
            projection: Mutex::new(projection),
            projecting,
        }
    }

    async fn decide<A: Decider>(
        &self,
        stream: StreamId,
        command: &A::Command,
        context: &Context,
    ) -> Result<Receipt, DispatchError<A::Refusal>> {
        let mut loaded = Loaded::<A>::default();
        for commit in self
            .log
            .read_stream(&stream, Position::START, usize::MAX)
            .await
            .unwrap()
        {
            for recorded in decode_all::<A::Event>(&commit).unwrap() {
                loaded.apply(&recorded.event);
            }
            loaded.head = Some(commit.head());
        }
        let id = id(&stream, context, self.log.all().len());
        let known = self.log.find(id).await.unwrap();
        let events = match (loaded.state.decide(command), known) {
            (Ok(events), _) if !events.is_empty() => events,
            (_, Some(known)) => {
                let position = known.position;
                return Ok(Receipt {
                    position,
                    duplicate: true,
                });
            }
            (nothing, None) => {
                nothing.map_err(DispatchError::Refused)?;
                let position = loaded.head.map_or(Position::START, |head| head.position);
                return Ok(Receipt {
                    position,
                    duplicate: false,
                });
            }
        };
        let events = events.iter().map(|event| event.encode().unwrap()).collect();
        let expected = loaded.head.map_or(Expected::NoStream, Expected::At);
        Ok(self.append(id, stream, expected, events, context).await)
    }

    async fn append(
        &self,
        id: CommitId,
        stream: StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
        context: &Context,
    ) -> Receipt {
        let meta = Metadata {
            time: self.clock.now(),
            actor: context.actor.clone(),
            correlation: context.correlation.clone(),
            causation: context.causation.clone(),
            idempotency_key: context.idempotency_key.clone(),
        };
        let commit = NewCommit {
            id,
            stream,
            expected,
            events,
            meta,
        }
        .encode()
        .unwrap();
        let Append::Committed(committed) = self.log.append(commit).await else {
            panic!("tests have one writer");
        };
        if self.projecting.load(Ordering::Relaxed) {
            let mut projection = self.projection.lock().await;
            let commits = self
                .log
                .read_all(projection.checkpoint(), usize::MAX)
                .await
                .unwrap();
            projection.apply(&commits).await.unwrap();
        }
        Receipt {
            position: committed.position,
            duplicate: committed.duplicate,
        }
    }
}

fn id(stream: &StreamId, context: &Context, fresh: usize) -> CommitId {
    context
        .commit_id(stream)
        .unwrap_or_else(|| CommitId(derive(&[b"fresh", &fresh.to_be_bytes()])))
}

#[async_trait]
impl Dispatch for Dispatcher {
    async fn integration(
        &self,
        project: &ProjectId,
        id: IntegrationId,
        command: IntegrationCommand,
        context: Context,
    ) -> Result<Receipt, DispatchError<integrations::Refusal>> {
        let stream = StreamId::integration(project, id);
        self.decide::<Integration>(stream, &command, &context).await
    }

    async fn credential(
        &self,
        project: &ProjectId,
        id: IntegrationId,
        command: CredentialCommand,
        context: Context,
    ) -> Result<Receipt, DispatchError<credentials::Refusal>> {
        let stream = StreamId::credential(project, id);
        self.decide::<Credential>(stream, &command, &context).await
    }

    async fn webhook(
        &self,
        project: &ProjectId,
        id: WebhookId,
        command: WebhookCommand,
        context: Context,
    ) -> Result<Receipt, DispatchError<webhooks::Refusal>> {
        let stream = StreamId::webhook(project, id);
        self.decide::<Webhook>(stream, &command, &context).await
    }

    async fn messages(
        &self,
        project: &ProjectId,
        messages: Vec<NewMessage>,
        context: Context,
    ) -> Result<Receipt, DispatchError<webhooks::Refusal>> {
        let stream = StreamId::messages(project);
        let events = messages
            .into_iter()
            .map(|message| {
                let event = MessageEvent::Accepted(Accepted {
                    message_id: message.id,
                    topic: message.topic,
                    time: message.time,
                    sealed: "c2VhbGVk".to_owned(),
                    bytes: 6,
                    only: message.only,
                });
                event.encode().unwrap()
            })
            .collect();
        let id = id(&stream, &context, self.log.all().len());
        Ok(self
            .append(id, stream, Expected::Any, events, &context)
            .await)
    }
}
