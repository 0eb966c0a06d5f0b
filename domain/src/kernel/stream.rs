//! Streams: the names under which the log keeps the facts of one thing together.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::ids::{IntegrationId, ProjectId, WebhookId, is_token};

/// What a stream tells about. Its text is a token of every stream's name: never change one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Decisions about one integration, its sync leases among them.
    Integration,
    /// Decisions about the credential of one integration.
    Credential,
    /// Decisions about one webhook.
    Webhook,
    /// Journal of one integration's runs: steps and record pages.
    SyncRun,
    /// Journal of one webhook's deliveries.
    Delivery,
    /// Journal of one project's messages.
    Message,
}

/// Whether a stream's commits are decisions or observations (ADR 0002).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Has an aggregate: every commit carries an expectation, revisions count up, hashes chain.
    Decision,
    /// Holds the many facts of a bounded parent: no expectation; copies are dropped by key in the
    /// fold.
    Journal,
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 6] = [
        Self::Integration,
        Self::Credential,
        Self::Webhook,
        Self::SyncRun,
        Self::Delivery,
        Self::Message,
    ];

    /// The token in stream names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Integration => "integration",
            Self::Credential => "credential",
            Self::Webhook => "webhook",
            Self::SyncRun => "sync_run",
            Self::Delivery => "delivery",
            Self::Message => "message",
        }
    }

    /// Decision stream or journal.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Integration | Self::Credential | Self::Webhook => Kind::Decision,
            Self::SyncRun | Self::Delivery | Self::Message => Kind::Journal,
        }
    }
}

/// The name of a stream: `{project}.{category}.{key}`, each a subject token of NATS.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// Whose stream it is; the log's unit of isolation.
    pub project: ProjectId,
    /// What it tells about.
    pub category: Category,
    key: String,
}

/// The text names no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stream is named project.category.key")]
pub struct InvalidStreamId;

impl StreamId {
    /// Decisions about `id`.
    #[must_use]
    pub fn integration(project: &ProjectId, id: IntegrationId) -> Self {
        Self::of(project, Category::Integration, id.to_string())
    }

    /// Decisions about the credential of `id`.
    #[must_use]
    pub fn credential(project: &ProjectId, id: IntegrationId) -> Self {
        Self::of(project, Category::Credential, id.to_string())
    }

    /// Decisions about `id`.
    #[must_use]
    pub fn webhook(project: &ProjectId, id: WebhookId) -> Self {
        Self::of(project, Category::Webhook, id.to_string())
    }

    /// Journal of the runs of `id`.
    #[must_use]
    pub fn sync_runs(project: &ProjectId, id: IntegrationId) -> Self {
        Self::of(project, Category::SyncRun, id.to_string())
    }

    /// Journal of the deliveries to `id`.
    #[must_use]
    pub fn deliveries(project: &ProjectId, id: WebhookId) -> Self {
        Self::of(project, Category::Delivery, id.to_string())
    }

    /// Journal of the messages of `project`.
    #[must_use]
    pub fn messages(project: &ProjectId) -> Self {
        Self::of(project, Category::Message, "main".to_owned())
    }

    fn of(project: &ProjectId, category: Category, key: String) -> Self {
        Self {
            project: project.clone(),
            category,
            key,
        }
    }

    /// What tells this stream from others of its project and category.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The key as the id of an integration or a webhook; `None` for the messages journal.
    #[must_use]
    pub fn uuid(&self) -> Option<uuid::Uuid> {
        uuid::Uuid::try_parse(&self.key).ok()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}",
            self.project,
            self.category.as_str(),
            self.key
        )
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({self})")
    }
}

impl FromStr for StreamId {
    type Err = InvalidStreamId;

    fn from_str(text: &str) -> Result<Self, InvalidStreamId> {
        let mut tokens = text.split('.');
        let (Some(project), Some(category), Some(key), None) =
            (tokens.next(), tokens.next(), tokens.next(), tokens.next())
        else {
            return Err(InvalidStreamId);
        };
        let project = project.parse().map_err(|_| InvalidStreamId)?;
        let category = Category::ALL
            .into_iter()
            .find(|known| known.as_str() == category)
            .ok_or(InvalidStreamId)?;
        if !is_token(key) {
            return Err(InvalidStreamId);
        }
        Ok(Self {
            project,
            category,
            key: key.to_owned(),
        })
    }
}
