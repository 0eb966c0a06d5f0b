//! The span of a command that a caller's request dispatches.

use std::{future::Future, sync::Arc};

use async_trait::async_trait;
use tracing::{Instrument as _, Span, debug_span, field::Empty};
use wharf_domain::{
    credentials::{self, CredentialCommand},
    integrations::{self, IntegrationCommand},
    kernel::{IntegrationId, ProjectId, WebhookId},
    ports::{Context, Dispatch, DispatchError, Receipt},
    webhooks::{self, NewMessage, WebhookCommand},
};

use super::TARGET;

/// A way to the aggregates whose commands are spans.
pub(in crate::telemetry) struct TracedDispatch(Arc<dyn Dispatch>);

impl TracedDispatch {
    pub(in crate::telemetry) fn new(inner: Arc<dyn Dispatch>) -> Self {
        Self(inner)
    }
}

async fn spanned<R: std::error::Error + 'static>(
    category: &'static str,
    correlation: String,
    command: impl Future<Output = Result<Receipt, DispatchError<R>>>,
) -> Result<Receipt, DispatchError<R>> {
    let span = debug_span!(target: TARGET, "dispatch", correlation, category, outcome = Empty);
    async {
        let answer = command.await;
        let outcome = match &answer {
            Ok(receipt) if receipt.duplicate => "duplicate",
            Ok(_) => "carried_out",
            Err(DispatchError::Refused(_)) => "refused",
            Err(DispatchError::Contended(_)) => "contended",
            Err(DispatchError::InDoubt) => "in_doubt",
            Err(DispatchError::Log(_)) => "log",
            Err(DispatchError::Unavailable(_)) => "unavailable",
        };
        Span::current().record("outcome", outcome);
        answer
    }
    .instrument(span)
    .await
}

#[async_trait]
impl Dispatch for TracedDispatch {
    async fn integration(
        &self,
        project: &ProjectId,
        id: IntegrationId,
        command: IntegrationCommand,
        context: Context,
    ) -> Result<Receipt, DispatchError<integrations::Refusal>> {
        let correlation = context.correlation.clone();
        let command = self.0.integration(project, id, command, context);
        spanned("integration", correlation, command).await
    }

    async fn credential(
        &self,
        project: &ProjectId,
        id: IntegrationId,
        command: CredentialCommand,
        context: Context,
    ) -> Result<Receipt, DispatchError<credentials::Refusal>> {
        let correlation = context.correlation.clone();
        let command = self.0.credential(project, id, command, context);
        spanned("credential", correlation, command).await
    }

    async fn webhook(
        &self,
        project: &ProjectId,
        id: WebhookId,
        command: WebhookCommand,
        context: Context,
    ) -> Result<Receipt, DispatchError<webhooks::Refusal>> {
        let correlation = context.correlation.clone();
        let command = self.0.webhook(project, id, command, context);
        spanned("webhook", correlation, command).await
    }

    async fn messages(
        &self,
        project: &ProjectId,
        messages: Vec<NewMessage>,
        context: Context,
    ) -> Result<Receipt, DispatchError<webhooks::Refusal>> {
        let correlation = context.correlation.clone();
        let command = self.0.messages(project, messages, context);
        spanned("message", correlation, command).await
    }
}
