//! Erasure: what was deleted loses its key, and so its secrets, pages and cursors, for ever.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wharf_domain::{
    credentials::CredentialCommand,
    kernel::{Category, IntegrationId, StoredCommit, WebhookId, with_causes},
    ports::{
        Clock, ConsumerSpec, Context, Dispatch, DispatchError, EventLog, LogError, Scope, StartAt,
        Vault,
    },
};

use crate::{
    journal::{REST, rest},
    patience::{farewell, patient},
};

const ERASE: ConsumerSpec = ConsumerSpec {
    name: "erase",
    from: StartAt::First,
    categories: &[Category::Integration, Category::Webhook],
    max_in_flight: 256,
};

/// The worker.
pub(crate) struct Eraser {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) dispatch: Arc<dyn Dispatch>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Eraser {
    /// Erases until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), LogError> {
        let clock = &*self.clock;
        let consumer = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            consumer = patient(clock, || self.log.consumer(ERASE)) => consumer?,
        };
        'run: loop {
            let commits = tokio::select! {
                () = stop.cancelled() => break,
                commits = patient(clock, || consumer.fetch(64)) => commits?,
            };
            for commit in commits {
                let erased = tokio::select! {
                    // It comes again, and what is erased stays so.
                    () = stop.cancelled() => break 'run,
                    erased = self.erase(&commit) => erased,
                };
                match erased {
                    Ok(()) => consumer.ack(&[commit.position]).await?,
                    Err(error) => {
                        tracing::warn!(position = %commit.position, error = %with_causes(&*error), "an erasure waits");
                        consumer.nak(commit.position, REST).await?;
                        tokio::select! {
                            () = stop.cancelled() => break 'run,
                            () = rest(&*self.clock, REST) => {}
                        }
                    }
                }
            }
        }
        farewell(clock, &*consumer).await
    }

    async fn erase(
        &self,
        commit: &StoredCommit,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let project = &commit.stream.project;
        let Some(id) = commit.stream.uuid() else {
            return Ok(());
        };
        if commit.headers.contains("\"integration.deleted\"") {
            let cause = commit.position.to_string();
            let mut context = Context::system("erase", &cause, &cause);
            context.idempotency_key = Some(format!("erase/{cause}"));
            let id = IntegrationId(id);
            self.vault
                .shred(&Scope::Integration(project.clone(), id))
                .await?;
            match self
                .dispatch
                .credential(project, id, CredentialCommand::Erase, context)
                .await
            {
                Ok(_) | Err(DispatchError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        } else if commit.headers.contains("\"webhook.deleted\"") {
            self.vault
                .shred(&Scope::Webhook(project.clone(), WebhookId(id)))
                .await?;
        }
        Ok(())
    }
}
