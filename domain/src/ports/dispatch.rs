//! Dispatch: how a command reaches its aggregate. Implemented by `infra/runtime`, called by `api`.

use async_trait::async_trait;

use crate::{
    credentials::CredentialCommand,
    integrations::IntegrationCommand,
    kernel::{CommitId, IntegrationId, Position, ProjectId, StreamId, WebhookId, derive},
    webhooks::WebhookCommand,
};

/// Who asks, and why: becomes the metadata of what happens.
#[derive(Clone, Debug)]
pub struct Context {
    /// `user:<sub>` or `system:<part>`.
    pub actor: String,
    /// Id of the request.
    pub correlation: String,
    /// The event that caused the command, as `position.index`.
    pub causation: Option<String>,
    /// The caller's `Idempotency-Key`: the same key on the same stream is the same commit.
    pub idempotency_key: Option<String>,
}

impl Context {
    /// The hub itself asks, because of the event at `cause`.
    #[must_use]
    pub fn system(part: &str, correlation: &str, cause: &str) -> Self {
        Self {
            actor: format!("system:{part}"),
            correlation: correlation.to_owned(),
            causation: Some(cause.to_owned()),
            idempotency_key: None,
        }
    }

    /// The commit that a command to `stream` makes: the same key, the same commit. None without a key;
    /// then each command makes its own.
    #[must_use]
    pub fn commit_id(&self, stream: &StreamId) -> Option<CommitId> {
        self.idempotency_key.as_ref().map(|key| {
            let stream = stream.to_string();
            CommitId(derive(&[b"commit", stream.as_bytes(), key.as_bytes()]))
        })
    }
}

/// A command's outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Position from which on the log shows what the command did; the stream's end if it changed
    /// nothing.
    pub position: Position,
    /// The command had been carried out before, under the same idempotency key.
    pub duplicate: bool,
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError<R: std::error::Error + 'static> {
    /// The aggregate's rules forbid it.
    #[error(transparent)]
    Refused(R),
    /// Too many others change the same stream at once.
    #[error("the stream {0} is changing too fast; try again")]
    Contended(StreamId),
    /// The log did not answer in time; the same idempotency key resolves it.
    #[error("the log did not answer in time; repeat the request with the same idempotency key")]
    InDoubt,
    /// The log refuses the commit.
    #[error("the log refused the commit")]
    Log(#[source] super::Refusal),
    /// The log, or what is in it, cannot be read.
    #[error("the log cannot be read")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Load, decide, append; again on a conflict.
#[async_trait]
pub trait Dispatch: Send + Sync + 'static {
    /// Asks an integration.
    async fn integration(
        &self,
        project: &ProjectId,
        id: IntegrationId,
        command: IntegrationCommand,
        context: Context,
    ) -> Result<Receipt, DispatchError<crate::integrations::Refusal>>;

    /// Asks a credential.
    async fn credential(
        &self,
        project: &ProjectId,
        id: IntegrationId,
        command: CredentialCommand,
        context: Context,
    ) -> Result<Receipt, DispatchError<crate::credentials::Refusal>>;

    /// Asks a webhook.
    async fn webhook(
        &self,
        project: &ProjectId,
        id: WebhookId,
        command: WebhookCommand,
        context: Context,
    ) -> Result<Receipt, DispatchError<crate::webhooks::Refusal>>;

    /// Accepts messages of `project` into its journal, in one commit.
    async fn messages(
        &self,
        project: &ProjectId,
        messages: Vec<crate::webhooks::NewMessage>,
        context: Context,
    ) -> Result<Receipt, DispatchError<crate::webhooks::Refusal>>;
}
