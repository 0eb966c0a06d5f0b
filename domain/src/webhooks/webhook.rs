//! The aggregate.

use serde::{Deserialize, Serialize};

use super::{
    command::{Create, WebhookCommand},
    event::{Created, Deleted, Disabled, RetryConfig, Updated, WebhookEvent as Event},
};
use crate::kernel::{Category, Decider};

/// What a webhook is: everything that an attempt needs but the secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// For people, 1 to 200 characters.
    pub name: String,
    /// `http` or `https`; the SSRF guard judges it again at every connect.
    pub url: String,
    /// Topics; `*` is all, `task.*` all that begin so.
    pub events: Vec<String>,
    /// Names of the extra headers.
    pub header_names: Vec<String>,
    /// Generation of their values in the vault; 0 without any.
    pub headers_generation: u64,
    /// Generation of the signing secret in the vault.
    pub secret_generation: u64,
    /// Prefix of the extra signature headers, if wanted.
    pub compat_prefix: Option<String>,
    /// Whether it is sent to.
    pub is_active: bool,
    /// A schedule of its own.
    pub retry_config: Option<RetryConfig>,
    /// For one attempt, 1 to 60.
    pub timeout_seconds: u32,
}

impl Definition {
    /// Whether messages of `topic` go here.
    #[must_use]
    pub fn subscribes_to(&self, topic: &str) -> bool {
        self.events
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => topic.starts_with(prefix),
                None => pattern == topic,
            })
    }

    fn change(&mut self, updated: &Updated) {
        if let Some(name) = &updated.name {
            self.name.clone_from(name);
        }
        if let Some(url) = &updated.url {
            self.url.clone_from(url);
        }
        if let Some(events) = &updated.events {
            self.events.clone_from(events);
        }
        if let Some((names, generation)) = &updated.headers {
            self.header_names.clone_from(names);
            self.headers_generation = *generation;
        }
        if let Some((generation, _)) = &updated.secret {
            self.secret_generation = *generation;
        }
        if let Some(active) = updated.is_active {
            self.is_active = active;
        }
        if let Some(retry) = updated.retry_config {
            self.retry_config = retry;
        }
        if let Some(seconds) = updated.timeout_seconds {
            self.timeout_seconds = seconds;
        }
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.name.trim().is_empty() || self.name.chars().count() > 200 {
            return Err(Refusal::InvalidName);
        }
        if self.events.is_empty() || self.events.len() > 100 {
            return Err(Refusal::InvalidEvents);
        }
        if self.events.iter().any(|pattern| !is_pattern(pattern)) {
            return Err(Refusal::InvalidEvents);
        }
        if !(1..=60).contains(&self.timeout_seconds) {
            return Err(Refusal::InvalidTimeout);
        }
        if self.retry_config.is_some_and(|retry| {
            retry.max_retries > 20 || !(1..=86_400).contains(&retry.retry_delay)
        }) {
            return Err(Refusal::InvalidRetry);
        }
        Ok(())
    }
}

/// `*`, `task.*` or `task.created`.
fn is_pattern(pattern: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let topic = pattern.strip_suffix(".*").unwrap_or(pattern);
    !topic.is_empty()
        && topic.len() <= 128
        && topic.split('.').all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
}

/// Why a webhook says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such webhook, or no longer.
    #[error("no such webhook")]
    NotFound,
    /// It exists already.
    #[error("the webhook exists already")]
    Exists,
    /// The name is empty or too long.
    #[error("name must have 1 to 200 characters")]
    InvalidName,
    /// No topics, too many, or one that is none.
    #[error("events must name 1 to 100 event types such as task.created, task.* or *")]
    InvalidEvents,
    /// Out of range.
    #[error("timeout_seconds must be 1 to 60")]
    InvalidTimeout,
    /// Out of range.
    #[error("retry_config takes max_retries 0 to 20 and retry_delay 1 to 86400 seconds")]
    InvalidRetry,
    /// A message's payload is too large.
    #[error("a message has at most {limit} bytes, this one has {bytes}")]
    MessageTooLarge {
        /// What came.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
}

/// A webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Webhook {
    /// Not created yet.
    #[default]
    Absent,
    /// In use.
    Live(Box<Definition>),
    /// Gone; its id is never used again.
    Deleted,
}

impl Webhook {
    /// What it is, if it is.
    #[must_use]
    pub fn definition(&self) -> Option<&Definition> {
        match self {
            Self::Live(definition) => Some(definition),
            Self::Absent | Self::Deleted => None,
        }
    }
}

impl Decider for Webhook {
    const CATEGORY: Category = Category::Webhook;
    const STATE_VERSION: u32 = 1;
    type Command = WebhookCommand;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, command: &WebhookCommand) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, WebhookCommand::Create(create)) => created(create),
            (Self::Live(_) | Self::Deleted, WebhookCommand::Create(_)) => Err(Refusal::Exists),
            (Self::Absent | Self::Deleted, _) => Err(Refusal::NotFound),
            (Self::Live(now), WebhookCommand::Change(change)) => {
                let mut then = now.as_ref().clone();
                then.change(change);
                then.check()?;
                if then == **now {
                    Ok(vec![])
                } else {
                    Ok(vec![Event::Updated(change.clone())])
                }
            }
            (Self::Live(now), WebhookCommand::Disable { reason }) => Ok(if now.is_active {
                vec![Event::Disabled(Disabled {
                    reason: reason.clone(),
                })]
            } else {
                vec![]
            }),
            (Self::Live(_), WebhookCommand::Delete) => Ok(vec![Event::Deleted(Deleted {})]),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match (self, event) {
            (this, Event::Created(created)) => *this = Self::Live(Box::new(created.definition())),
            (this, Event::Deleted(_)) => *this = Self::Deleted,
            (Self::Live(definition), Event::Updated(updated)) => definition.change(updated),
            (Self::Live(definition), Event::Disabled(_)) => definition.is_active = false,
            (Self::Absent | Self::Deleted, Event::Updated(_) | Event::Disabled(_)) => {}
        }
    }
}

fn created(create: &Create) -> Result<Vec<Event>, Refusal> {
    let definition = create.definition.clone();
    definition.check()?;
    Ok(vec![Event::Created(Created {
        name: definition.name,
        url: definition.url,
        events: definition.events,
        header_names: definition.header_names,
        headers_generation: definition.headers_generation,
        secret_generation: definition.secret_generation,
        secret_hint: create.secret_hint.clone(),
        compat_prefix: definition.compat_prefix,
        is_active: definition.is_active,
        retry_config: definition.retry_config,
        timeout_seconds: definition.timeout_seconds,
        created_by: create.created_by.clone(),
    })])
}

impl Created {
    /// What the webhook is at its creation.
    #[must_use]
    pub fn definition(&self) -> Definition {
        Definition {
            name: self.name.clone(),
            url: self.url.clone(),
            events: self.events.clone(),
            header_names: self.header_names.clone(),
            headers_generation: self.headers_generation,
            secret_generation: self.secret_generation,
            compat_prefix: self.compat_prefix.clone(),
            is_active: self.is_active,
            retry_config: self.retry_config,
            timeout_seconds: self.timeout_seconds,
        }
    }
}

crate::aggregate!(Webhook, "webhook");
