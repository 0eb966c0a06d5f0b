//! Uploads on disk: one folder an upload, `meta.json` beside `file`; `file` is renamed to `done` once
//! it is synced, so that a crash leaves either an upload that goes on or a file that is whole.

use std::{io, path::PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::{
    fs,
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
};
use wharf_domain::{
    integrations::UploadRef,
    kernel::{IntegrationId, ProjectId, UploadId},
    ports::{ImportSource, Spool, SpoolError, Upload},
};

/// A folder of uploads.
#[derive(Clone, Debug)]
pub struct FileSpool {
    root: PathBuf,
    max_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Meta {
    project: ProjectId,
    integration: IntegrationId,
}

impl FileSpool {
    /// Uploads under `root`, each at most `max_bytes`.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(root: PathBuf, max_bytes: u64) -> io::Result<Self> {
        std::fs::create_dir_all(&root)?;
        Ok(Self { root, max_bytes })
    }

    fn dir(&self, id: UploadId) -> PathBuf {
        self.root.join(id.to_string())
    }
}

fn absent(error: io::Error) -> SpoolError {
    if error.kind() == io::ErrorKind::NotFound {
        SpoolError::NotFound
    } else {
        error.into()
    }
}

#[async_trait]
impl Spool for FileSpool {
    async fn create(
        &self,
        id: UploadId,
        project: &ProjectId,
        integration: IntegrationId,
    ) -> Result<(), SpoolError> {
        let dir = self.dir(id);
        fs::create_dir_all(&dir).await?;
        let meta = serde_json::to_vec(&Meta {
            project: project.clone(),
            integration,
        })
        .map_err(io::Error::from)?;
        fs::write(dir.join("meta.json"), meta).await?;
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join("file"))
            .await?;
        Ok(())
    }

    async fn get(&self, id: UploadId) -> Result<Upload, SpoolError> {
        let dir = self.dir(id);
        let meta = fs::read(dir.join("meta.json")).await.map_err(absent)?;
        // Cut off by a crash while it was written: the upload was never begun.
        let Meta {
            project,
            integration,
        } = serde_json::from_slice(&meta).map_err(|_| SpoolError::NotFound)?;
        let file = match fs::metadata(dir.join("file")).await {
            // Whole, but the run that imports it was not asked for: a crash came in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::metadata(dir.join("done")).await.map_err(absent)?
            }
            file => file?,
        };
        let offset = file.len();
        Ok(Upload {
            project,
            integration,
            offset,
        })
    }

    async fn append(&self, id: UploadId, offset: u64, bytes: Bytes) -> Result<u64, SpoolError> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .open(self.dir(id).join("file"))
            .await
            .map_err(absent)?;
        let end = file.seek(io::SeekFrom::End(0)).await?;
        if end != offset {
            return Err(SpoolError::WrongOffset(end));
        }
        let next = end + bytes.len() as u64;
        if next > self.max_bytes {
            return Err(SpoolError::TooLarge(self.max_bytes));
        }
        file.write_all(&bytes).await?;
        file.flush().await?;
        Ok(next)
    }

    async fn finish(&self, id: UploadId) -> Result<UploadRef, SpoolError> {
        let dir = self.dir(id);
        let done = dir.join("done");
        if !fs::try_exists(&done).await? {
            let file = fs::File::open(dir.join("file")).await.map_err(absent)?;
            file.sync_all().await?;
            fs::rename(dir.join("file"), &done).await?;
            fs::File::open(&dir).await?.sync_all().await?;
            fs::File::open(&self.root).await?.sync_all().await?;
        }
        let mut file = fs::File::open(&done).await.map_err(absent)?;
        let mut hash = Sha256::new();
        let mut bytes = 0;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = file.read(&mut buffer).await?;
            let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else {
                break;
            };
            hash.update(chunk);
            bytes += chunk.len() as u64;
        }
        Ok(UploadRef {
            upload_id: id,
            bytes,
            sha256: hex::encode(hash.finalize()),
            time_zone: None,
        })
    }

    async fn open(&self, id: UploadId) -> Result<ImportSource, SpoolError> {
        let file = fs::File::open(self.dir(id).join("done"))
            .await
            .map_err(absent)?;
        let bytes = file.metadata().await?.len();
        let reader = Box::new(file.into_std().await);
        Ok(ImportSource {
            reader,
            bytes,
            time_zone: None,
        })
    }

    async fn remove(&self, id: UploadId) -> Result<(), SpoolError> {
        match fs::remove_dir_all(self.dir(id)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
