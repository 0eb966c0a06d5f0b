//! The spool: where uploaded files wait for their import. Durable once finished.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    integrations::UploadRef,
    kernel::{IntegrationId, ProjectId, UploadId},
    ports::ImportSource,
};

/// An upload that is not imported yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Whose.
    pub project: ProjectId,
    /// For which integration.
    pub integration: IntegrationId,
    /// Bytes so far; where the client goes on.
    pub offset: u64,
}

/// Why the spool says no.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// No such upload, or its file was imported and removed.
    #[error("no such upload")]
    NotFound,
    /// The client is not where we are.
    #[error("the upload is at offset {0}")]
    WrongOffset(u64),
    /// The file is larger than the operator allows.
    #[error("an upload has at most {0} bytes")]
    TooLarge(u64),
    /// The disk failed; worth another try.
    #[error("the spool cannot be written")]
    Io(#[from] std::io::Error),
}

/// Keeper of uploads.
#[async_trait]
pub trait Spool: Send + Sync + 'static {
    /// Begins an upload; the same id again changes nothing.
    async fn create(
        &self,
        id: UploadId,
        project: &ProjectId,
        integration: IntegrationId,
    ) -> Result<(), SpoolError>;

    /// The state of an upload that is not imported yet.
    async fn get(&self, id: UploadId) -> Result<Upload, SpoolError>;

    /// Adds bytes at `offset`, which must be where the upload is. Answers the new offset.
    async fn append(&self, id: UploadId, offset: u64, bytes: Bytes) -> Result<u64, SpoolError>;

    /// Makes the file durable and hashes it.
    async fn finish(&self, id: UploadId) -> Result<UploadRef, SpoolError>;

    /// Opens a finished file.
    async fn open(&self, id: UploadId) -> Result<ImportSource, SpoolError>;

    /// Removes it; absent is fine.
    async fn remove(&self, id: UploadId) -> Result<(), SpoolError>;
}
