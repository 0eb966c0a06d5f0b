//! Saved answers of requests that carried an `Idempotency-Key`, so that a repeat gets the first answer.

use async_trait::async_trait;

use super::VaultError;
use crate::kernel::{Hash, ProjectId, Secret};

/// The first answer to a key.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Hash of method, path and body of the request.
    pub fingerprint: Hash,
    /// HTTP status.
    pub status: u16,
    /// `X-Wharf-Position`.
    pub position: u64,
    /// The body; secret, since it may show a signing secret once.
    pub body: Secret<Vec<u8>>,
}

/// Keeper of answers: sealed under the project's key, forgotten after 24 hours.
#[async_trait]
pub trait Answers: Send + Sync + 'static {
    /// The first answer to `key`, if it is not forgotten.
    async fn get(&self, project: &ProjectId, key: &str) -> Result<Option<Answer>, VaultError>;

    /// Saves the answer unless there is one.
    async fn put(&self, project: &ProjectId, key: &str, answer: &Answer) -> Result<(), VaultError>;
}
