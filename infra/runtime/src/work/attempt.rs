//! One attempt: who gets a message, what is sent and how it is signed (Standard Webhooks 1.0.0).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use moka::sync::Cache;
use tokio::sync::OnceCell;
use wharf_domain::{
    kernel::{
        DecodeError, MessageId, Position, ProjectId, Recorded, Secret, StoredCommit, WebhookId,
        decode_all,
    },
    ports::{
        Context, Http, HttpError, HttpRequest, Ids, LogError, Scope, SecretRef, TrustClass, Vault,
        VaultError,
    },
    webhooks::{
        Accepted, Attempt, Definition, DeliveryEvent, Exhausted, HEADERS_FIELD, MessageEvent,
        SECRET_FIELD, message_context, process,
    },
};
use wharf_projections::{
    Lagging, Views,
    timers::{Subject, Timer},
    webhooks as views,
};

use super::{
    deliver::{Landed, Retry},
    sign,
};
use crate::{
    dispatch::Dispatcher,
    journal::{Journal, commit_at},
    trace,
};

/// Bytes of a receiver's answer that are read.
const ANSWER_BYTES: usize = 16 * 1024;
/// How long planning waits for the views; then the message comes again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything an attempt needs.
#[derive(Clone)]
pub(crate) struct Courier {
    pub(crate) views: Views,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) http: Arc<dyn Http>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) dispatch: Arc<Dispatcher>,
    pub(crate) journal: Journal,
    /// Opened secrets, for a few minutes.
    pub(crate) secrets: Cache<SecretRef, Arc<Secret<Vec<u8>>>>,
}

/// One message for one webhook.
pub(super) struct Delivery {
    pub(super) project: ProjectId,
    pub(super) webhook: WebhookId,
    definition: Arc<Definition>,
    message: Arc<Message>,
    /// From 1.
    attempt: u32,
    /// The message's acknowledgement waits for the outcome.
    acknowledges: bool,
}

/// A message, opened.
struct Message {
    id: MessageId,
    position: Position,
    index: u32,
    topic: String,
    correlation: String,
    cause: String,
    body: Bytes,
}

/// Why a delivery could not be planned just now.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    #[error(transparent)]
    Lagging(#[from] Lagging),
    #[error("the views cannot be read")]
    Views(#[from] wharf_projections::Error),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("a sealed message is no base64")]
    Damaged,
    #[error("the webhook cannot be loaded")]
    Load(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl PlanError {
    /// Whether asking again cannot help.
    pub(super) const fn is_for_ever(&self) -> bool {
        match self {
            Self::Decode(_) | Self::Damaged | Self::Vault(VaultError::Sealed) => true,
            Self::Lagging(_)
            | Self::Views(_)
            | Self::Log(_)
            | Self::Vault(VaultError::Absent | VaultError::Shredded | VaultError::Unavailable(_))
            | Self::Load(_) => false,
        }
    }
}

impl Courier {
    /// Who gets the messages of `commit`: the webhooks that match as of its position. If it comes again, some of
    /// them may have had an attempt, here before a crash or by another node; it is in the log up to `tail`, and
    /// those go on by their timers.
    pub(super) async fn plan(
        &self,
        commit: &StoredCommit,
        tail: Option<&OnceCell<Position>>,
    ) -> Result<Vec<Delivery>, PlanError> {
        let project = &commit.stream.project;
        let known = match tail {
            Some(tail) => *tail.get_or_try_init(|| self.journal.log.tail()).await?,
            None => commit.position,
        };
        self.views
            .wait_for(known.max(commit.position), PATIENCE)
            .await?;
        let db = self.views.db();
        let webhooks: Vec<_> = views::matching(&db, project, commit.position)
            .await?
            .into_iter()
            .map(|(id, definition)| (id, Arc::new(definition)))
            .collect();
        let mut deliveries = vec![];
        for recorded in decode_all::<MessageEvent>(commit)? {
            let MessageEvent::Accepted(accepted) = &recorded.event;
            let chosen = webhooks
                .iter()
                .filter(|(id, definition)| match accepted.only {
                    Some(only) => only == *id,
                    None => definition.is_active && definition.subscribes_to(&accepted.topic),
                });
            let mut message = None;
            for (webhook, definition) in chosen {
                if tail.is_some()
                    && views::delivery_state(&db, *webhook, accepted.message_id)
                        .await?
                        .attempts
                        > 0
                {
                    continue;
                }
                let message = match &message {
                    Some(message) => Arc::clone(message),
                    None => match self.open(&recorded, accepted).await? {
                        Some(opened) => message.insert(opened).clone(),
                        None => break,
                    },
                };
                deliveries.push(Delivery {
                    project: project.clone(),
                    webhook: *webhook,
                    definition: definition.clone(),
                    message,
                    attempt: 1,
                    acknowledges: true,
                });
            }
        }
        Ok(deliveries)
    }

    /// What a fired timer asks for.
    pub(super) async fn retry(&self, timer: &Timer) -> Result<Option<Retry>, PlanError> {
        let Subject::WebhookRetry {
            webhook,
            message,
            message_position,
            message_index,
            attempt,
        } = timer.subject
        else {
            return Ok(None);
        };
        let project = timer.project.clone();
        let tail = self.journal.log.tail().await?;
        let done = views::delivery_state(&self.views.db(), webhook, message).await?;
        if done.attempts >= attempt {
            return Ok(None);
        }
        let loaded = self
            .dispatch
            .load_webhook(&project, webhook, tail)
            .await
            .map_err(|error| PlanError::Load(error.into()))?;
        let definition = loaded
            .state
            .definition()
            .filter(|definition| definition.is_active);
        let commit = commit_at(&*self.journal.log, message_position).await?;
        let (Some(definition), Some(commit)) = (definition, commit) else {
            // Deleted or switched off since: nothing more will be sent.
            let cause = format!("{message_position}.{message_index}");
            return Ok(Some(Retry::Over(Landed {
                project,
                webhook,
                message: None,
                context: Context::system("deliver", &cause, &cause),
                events: vec![DeliveryEvent::Exhausted(Exhausted {
                    message_id: message,
                    attempts: attempt.saturating_sub(1),
                })],
            })));
        };
        for recorded in decode_all::<MessageEvent>(&commit)? {
            let MessageEvent::Accepted(accepted) = &recorded.event;
            if recorded.index != message_index {
                continue;
            }
            let Some(message) = self.open(&recorded, accepted).await? else {
                break;
            };
            return Ok(Some(Retry::Send(Delivery {
                project,
                webhook,
                definition: Arc::new(definition.clone()),
                message,
                attempt,
                acknowledges: false,
            })));
        }
        Ok(None)
    }

    /// Sends once and says what follows.
    pub(super) async fn attempt(&self, delivery: Delivery) -> Landed {
        let Delivery {
            project,
            webhook,
            definition,
            message,
            attempt,
            acknowledges,
        } = delivery;
        let clock = &self.journal.clock;
        let started_at = clock.now();
        let outcome = match self
            .request(&project, webhook, &definition, &message, started_at)
            .await
        {
            Ok(request) => {
                match trace::attempt(&message.correlation, self.http.send(request)).await {
                    Ok(answer) => process::Outcome::Answered {
                        status: answer.status,
                        retry_after: answer
                            .header("retry-after")
                            .and_then(|text| text.trim().parse().ok())
                            .map(Duration::from_secs),
                    },
                    Err(error) => process::Outcome::Unanswered {
                        permanent: matches!(error, HttpError::Blocked(_) | HttpError::BadUrl(_)),
                        reason: error.to_string(),
                    },
                }
            }
            Err(error) => process::Outcome::Unanswered {
                permanent: matches!(error, VaultError::Shredded | VaultError::Absent),
                reason: format!("the webhook's secrets cannot be opened: {error}"),
            },
        };
        let took = clock.now().duration_since(started_at);
        let attempt = Attempt {
            message_id: message.id,
            message_position: message.position,
            message_index: message.index,
            topic: message.topic.clone(),
            attempt,
            started_at,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or_default(),
        };
        let mut roll = [0; 4];
        self.ids.fill(&mut roll);
        let jitter = f64::from(u32::from_be_bytes(roll)) / f64::from(u32::MAX);
        let retry = definition.retry_config;
        let events = process::after_attempt(attempt, outcome, retry, jitter);
        let outcome = match events.first() {
            Some(DeliveryEvent::AttemptSucceeded(_)) => "succeeded",
            Some(DeliveryEvent::AttemptFailed(_)) => "failed",
            Some(DeliveryEvent::Exhausted(_)) | None => "exhausted",
        };
        metrics::counter!("wharf_webhook_attempts_total", "outcome" => outcome).increment(1);
        metrics::histogram!("wharf_webhook_attempt_seconds").record(took.as_secs_f64());
        Landed {
            project,
            webhook,
            message: acknowledges.then_some(message.position),
            context: Context::system("deliver", &message.correlation, &message.cause),
            events,
        }
    }

    async fn request(
        &self,
        project: &ProjectId,
        webhook: WebhookId,
        definition: &Definition,
        message: &Message,
        at: wharf_domain::kernel::Timestamp,
    ) -> Result<HttpRequest, VaultError> {
        let scope = Scope::Webhook(project.clone(), webhook);
        let secret = self
            .secret(SecretRef {
                scope: scope.clone(),
                field: SECRET_FIELD,
                generation: definition.secret_generation,
            })
            .await?;
        let timestamp = at.as_second();
        let mut headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("webhook-id".to_owned(), message.id.to_string()),
            ("webhook-timestamp".to_owned(), timestamp.to_string()),
            (
                "webhook-signature".to_owned(),
                sign::v1(&secret, message.id, timestamp, &message.body),
            ),
        ];
        if let Some(prefix) = &definition.compat_prefix {
            let prefix = prefix.to_ascii_lowercase();
            let digest = sign::compat(&secret, &message.body);
            headers.push((format!("{prefix}-signature"), digest));
            headers.push((format!("{prefix}-event"), message.topic.clone()));
        }
        if definition.headers_generation > 0 {
            let values = self
                .secret(SecretRef {
                    scope,
                    field: HEADERS_FIELD,
                    generation: definition.headers_generation,
                })
                .await?;
            let values: BTreeMap<String, String> =
                serde_json::from_slice(values.expose()).map_err(|_| VaultError::Sealed)?;
            headers.extend(
                values
                    .into_iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value)),
            );
        }
        Ok(HttpRequest {
            method: "POST",
            url: definition.url.clone(),
            headers,
            body: message.body.clone(),
            timeout: Duration::from_secs(u64::from(definition.timeout_seconds)),
            max_body_bytes: ANSWER_BYTES,
            trust: TrustClass::Caller,
        })
    }

    async fn secret(&self, at: SecretRef) -> Result<Arc<Secret<Vec<u8>>>, VaultError> {
        if let Some(secret) = self.secrets.get(&at) {
            return Ok(secret);
        }
        let secret = Arc::new(self.vault.get(&at).await?);
        self.secrets.insert(at, secret.clone());
        Ok(secret)
    }

    /// The message's body; `None` if it was erased.
    async fn open(
        &self,
        recorded: &Recorded<MessageEvent>,
        accepted: &Accepted,
    ) -> Result<Option<Arc<Message>>, PlanError> {
        let key = match self
            .vault
            .data_key(&Scope::Project(recorded.stream.project.clone()))
            .await
        {
            Ok(key) => key,
            Err(VaultError::Shredded) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let sealed = STANDARD
            .decode(&accepted.sealed)
            .map_err(|_| PlanError::Damaged)?;
        let body = key.open(&message_context(accepted.message_id), &sealed)?;
        Ok(Some(Arc::new(Message {
            id: accepted.message_id,
            position: recorded.position,
            index: recorded.index,
            topic: accepted.topic.clone(),
            correlation: recorded.meta.correlation.clone(),
            cause: recorded.key(),
            body: Bytes::copy_from_slice(body.expose()),
        })))
    }
}
