//! Dispatch: load (cache, snapshot, log), decide, append at the expectation, answer with the position.
//!
//! Writers of one stream take turns, so that a busy stream does not live on conflicts; another node's
//! write still shows as a conflict, and then the stream's tail is read and the command decided again.

mod store;

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use wharf_domain::{
    credentials::{self, Credential, CredentialCommand},
    integrations::{self, Integration, IntegrationCommand},
    kernel::{
        Category, CommitId, IntegrationId, Loaded, Position, ProjectId, StreamId, Timestamp,
        WebhookId,
    },
    ports::{
        Clock, Context, Dispatch, DispatchError, EventLog, Ids, Receipt, Scope, Snapshots, Vault,
    },
    webhooks::{
        self, Accepted, MAX_MESSAGE_BYTES, MessageEvent, NewMessage, Webhook, WebhookCommand,
        message_context,
    },
};

pub use self::store::Store;
use crate::{
    journal::{Journal, JournalError},
    trace,
};

/// The one implementation of [`Dispatch`].
pub struct Dispatcher {
    integrations: Store<Integration>,
    credentials: Store<Credential>,
    webhooks: Store<Webhook>,
    journal: Journal,
    vault: Arc<dyn Vault>,
    ids: Arc<dyn Ids>,
}

impl Dispatcher {
    /// A dispatcher over `log`.
    #[must_use]
    pub fn new(
        log: Arc<dyn EventLog>,
        vault: Arc<dyn Vault>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        Self {
            integrations: Store::new(log.clone(), clock.clone(), ids.clone()),
            credentials: Store::new(log.clone(), clock.clone(), ids.clone()),
            webhooks: Store::new(log.clone(), clock.clone(), ids.clone()),
            journal: Journal { log, clock },
            vault,
            ids,
        }
    }

    /// The same, loading long streams from `snapshots`.
    #[must_use]
    pub fn with_snapshots(mut self, snapshots: &Arc<dyn Snapshots>) -> Self {
        self.integrations.snapshots = snapshots.clone();
        self.credentials.snapshots = snapshots.clone();
        self.webhooks.snapshots = snapshots.clone();
        self
    }

    /// The integration as of `position` or later.
    ///
    /// # Errors
    /// [`DispatchError::Unavailable`].
    pub async fn load_integration(
        &self,
        project: &ProjectId,
        id: IntegrationId,
        position: Position,
    ) -> Result<Arc<Loaded<Integration>>, DispatchError<integrations::Refusal>> {
        self.integrations
            .load_at(&StreamId::integration(project, id), position)
            .await
    }

    /// The credential as of `position` or later.
    ///
    /// # Errors
    /// [`DispatchError::Unavailable`].
    pub async fn load_credential(
        &self,
        project: &ProjectId,
        id: IntegrationId,
        position: Position,
    ) -> Result<Arc<Loaded<Credential>>, DispatchError<credentials::Refusal>> {
        self.credentials
            .load_at(&StreamId::credential(project, id), position)
            .await
    }

    /// The webhook as of `position` or later.
    ///
    /// # Errors
    /// [`DispatchError::Unavailable`].
    pub async fn load_webhook(
        &self,
        project: &ProjectId,
        id: WebhookId,
        position: Position,
    ) -> Result<Arc<Loaded<Webhook>>, DispatchError<webhooks::Refusal>> {
        self.webhooks
            .load_at(&StreamId::webhook(project, id), position)
            .await
    }
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
        self.integrations
            .execute(StreamId::integration(project, id), &command, &context)
            .await
    }

    async fn credential(
        &self,
        project: &ProjectId,
        id: IntegrationId,
        command: CredentialCommand,
        context: Context,
    ) -> Result<Receipt, DispatchError<credentials::Refusal>> {
        self.credentials
            .execute(StreamId::credential(project, id), &command, &context)
            .await
    }

    async fn webhook(
        &self,
        project: &ProjectId,
        id: WebhookId,
        command: WebhookCommand,
        context: Context,
    ) -> Result<Receipt, DispatchError<webhooks::Refusal>> {
        self.webhooks
            .execute(StreamId::webhook(project, id), &command, &context)
            .await
    }

    async fn messages(
        &self,
        project: &ProjectId,
        messages: Vec<NewMessage>,
        context: Context,
    ) -> Result<Receipt, DispatchError<webhooks::Refusal>> {
        let accepted = self.accept(project, &messages, &context);
        trace::dispatch(Category::Message, &context.correlation, accepted).await
    }
}

impl Dispatcher {
    /// Seals `messages` and appends them to the project's journal.
    async fn accept(
        &self,
        project: &ProjectId,
        messages: &[NewMessage],
        context: &Context,
    ) -> Result<Receipt, DispatchError<webhooks::Refusal>> {
        let key = self
            .vault
            .data_key(&Scope::Project(project.clone()))
            .await
            .map_err(|error| DispatchError::Unavailable(error.into()))?;
        let mut events = Vec::with_capacity(messages.len());
        for message in messages {
            let body = Body {
                type_tag: &message.topic,
                timestamp: message.time,
                data: &message.data,
            };
            let body = serde_json::to_vec(&body)
                .map_err(|error| DispatchError::Unavailable(error.into()))?;
            if body.len() > MAX_MESSAGE_BYTES {
                return Err(DispatchError::Refused(webhooks::Refusal::MessageTooLarge {
                    bytes: body.len(),
                    limit: MAX_MESSAGE_BYTES,
                }));
            }
            events.push(MessageEvent::Accepted(Accepted {
                message_id: message.id,
                topic: message.topic.clone(),
                time: message.time,
                sealed: STANDARD.encode(key.seal(&message_context(message.id), &body)),
                bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
                only: message.only,
            }));
        }
        let stream = StreamId::messages(project);
        let id = commit_id(&stream, context, &*self.ids);
        match self.journal.append(&stream, id.0, &events, context).await {
            Ok(committed) => Ok(Receipt {
                position: committed.position,
                duplicate: committed.duplicate,
            }),
            Err(JournalError::InDoubt) => Err(DispatchError::InDoubt),
            Err(JournalError::Refused(refusal)) => Err(DispatchError::Log(refusal)),
            Err(JournalError::Invalid(invalid)) => Err(DispatchError::Log(invalid.into())),
            Err(JournalError::Encode(error)) => Err(DispatchError::Unavailable(error.into())),
        }
    }
}

/// The body of a message: the payload shape that Standard Webhooks 1.0.0 recommends.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    type_tag: &'a str,
    timestamp: Timestamp,
    data: &'a serde_json::Value,
}

/// The id of the commit that a command in `context` makes.
fn commit_id(stream: &StreamId, context: &Context, ids: &dyn Ids) -> CommitId {
    context
        .commit_id(stream)
        .unwrap_or_else(|| CommitId(ids.uuid()))
}
