//! The vault: the only place where a secret rests. Everything else holds references.

use std::sync::Arc;

use async_trait::async_trait;

use crate::kernel::{IntegrationId, ProjectId, Secret, WebhookId};

/// Whose secrets and sealed bytes share one data key, and are shredded together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Payloads of a project's messages.
    Project(ProjectId),
    /// Credentials, pages and cursors of an integration.
    Integration(ProjectId, IntegrationId),
    /// Signing secret and header values of a webhook.
    Webhook(ProjectId, WebhookId),
}

impl Scope {
    /// The scope as text: part of every seal's associated data, so a ciphertext moved to another
    /// scope does not open.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Project(project) => format!("{project}/project"),
            Self::Integration(project, id) => format!("{project}/integration/{id}"),
            Self::Webhook(project, id) => format!("{project}/webhook/{id}"),
        }
    }
}

/// Names one generation of one secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretRef {
    /// Whose.
    pub scope: Scope,
    /// Which, e.g. `auth` or `signing_secret`.
    pub field: &'static str,
    /// Which generation, from 1; an older one stays readable until it is forgotten.
    pub generation: u64,
}

/// Why the vault gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// No such secret.
    #[error("no such secret")]
    Absent,
    /// Its key was destroyed: the bytes are unreadable for ever.
    #[error("the key was destroyed")]
    Shredded,
    /// The ciphertext was altered, moved, or sealed under another master key.
    #[error("a sealed value does not open: wrong master key, or the bytes were altered")]
    Sealed,
    /// The storage failed; worth another try.
    #[error("the vault cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A scope's unwrapped data key. Blocking and quick; for pages over 64 KiB call it off the runtime.
pub trait DataKey: Send + Sync {
    /// Seals `plain`; `context` must be given again to open (what it is: field, run, page).
    fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8>;

    /// Opens what [`Self::seal`] made.
    ///
    /// # Errors
    /// [`VaultError::Sealed`] if the bytes, the context or the scope differ.
    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, VaultError>;
}

/// Keeper of secrets and data keys.
#[async_trait]
pub trait Vault: Send + Sync + 'static {
    /// Stores a secret durably. The same reference again with the same bytes changes nothing; with
    /// other bytes it replaces them (a retried request before its event was appended).
    async fn put(&self, at: &SecretRef, secret: &Secret<Vec<u8>>) -> Result<(), VaultError>;

    /// The secret.
    async fn get(&self, at: &SecretRef) -> Result<Secret<Vec<u8>>, VaultError>;

    /// The data key of `scope`, created durably on first use.
    ///
    /// # Errors
    /// [`VaultError::Shredded`] once it was destroyed: it is never created again.
    async fn data_key(&self, scope: &Scope) -> Result<Arc<dyn DataKey>, VaultError>;

    /// Destroys the data key of `scope` and with it everything sealed under it. Idempotent.
    async fn shred(&self, scope: &Scope) -> Result<(), VaultError>;
}
