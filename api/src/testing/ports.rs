//! The smaller ports over memory.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;
use wharf_domain::{
    integrations::UploadRef,
    kernel::{Hash, IntegrationId, ProjectId, Secret, Timestamp, UploadId},
    platforms::Manifest,
    ports::{
        Answer, Answers, Clock, Connector, Connectors, DataKey, Http, HttpError, HttpRequest,
        HttpResponse, Ids, ImportSource, Scope, SecretRef, Spool, SpoolError, TrustClass, Upload,
        Vault, VaultError,
    },
};

/// A clock that stands still until a test moves it.
pub(crate) struct TestClock(watch::Sender<Timestamp>);

impl Default for TestClock {
    fn default() -> Self {
        Self(watch::channel(super::Hub::epoch()).0)
    }
}

impl TestClock {
    /// Moves the clock on.
    pub(crate) fn advance(&self, seconds: i64) {
        self.0
            .send_modify(|now| *now += jiff::SignedDuration::from_secs(seconds));
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep_until(&self, deadline: Timestamp) {
        let mut now = self.0.subscribe();
        now.wait_for(|now| *now >= deadline).await.unwrap();
    }
}

/// Ids that count.
#[derive(Default)]
pub(super) struct TestIds(AtomicU64);

impl Ids for TestIds {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + (1 << 100))
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed) as u8);
    }
}

/// A vault that seals nothing.
#[derive(Default)]
pub(crate) struct MemoryVault(Mutex<HashMap<SecretRef, Vec<u8>>>);

impl MemoryVault {
    /// What lies there.
    pub(crate) fn peek(&self, at: &SecretRef) -> Option<String> {
        let secrets = self.0.lock().unwrap();
        secrets
            .get(at)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// How many secrets there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn put(&self, at: &SecretRef, secret: &Secret<Vec<u8>>) -> Result<(), VaultError> {
        self.0
            .lock()
            .unwrap()
            .insert(at.clone(), secret.expose().clone());
        Ok(())
    }

    async fn get(&self, at: &SecretRef) -> Result<Secret<Vec<u8>>, VaultError> {
        let secrets = self.0.lock().unwrap();
        secrets
            .get(at)
            .cloned()
            .map(Secret::new)
            .ok_or(VaultError::Absent)
    }

    async fn data_key(&self, _scope: &Scope) -> Result<Arc<dyn DataKey>, VaultError> {
        Err(VaultError::Absent)
    }

    async fn shred(&self, _scope: &Scope) -> Result<(), VaultError> {
        Ok(())
    }
}

/// Answers for ever.
#[derive(Default)]
pub(crate) struct MemoryAnswers(Mutex<HashMap<(ProjectId, String), Answer>>);

impl MemoryAnswers {
    /// As after 24 hours, or as if the hub had died before it kept one.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().clear();
    }
}

#[async_trait]
impl Answers for MemoryAnswers {
    async fn get(&self, project: &ProjectId, key: &str) -> Result<Option<Answer>, VaultError> {
        let answers = self.0.lock().unwrap();
        Ok(answers.get(&(project.clone(), key.to_owned())).cloned())
    }

    async fn put(&self, project: &ProjectId, key: &str, answer: &Answer) -> Result<(), VaultError> {
        let mut answers = self.0.lock().unwrap();
        answers
            .entry((project.clone(), key.to_owned()))
            .or_insert_with(|| answer.clone());
        Ok(())
    }
}

struct File {
    upload: Upload,
    bytes: Vec<u8>,
    done: bool,
}

/// Files in memory, of at most 1000 bytes.
#[derive(Default)]
pub(crate) struct MemorySpool(Mutex<HashMap<UploadId, File>>);

#[async_trait]
impl Spool for MemorySpool {
    async fn create(
        &self,
        id: UploadId,
        project: &ProjectId,
        integration: IntegrationId,
    ) -> Result<(), SpoolError> {
        let upload = Upload {
            project: project.clone(),
            integration,
            offset: 0,
        };
        let file = File {
            upload,
            bytes: vec![],
            done: false,
        };
        self.0.lock().unwrap().entry(id).or_insert(file);
        Ok(())
    }

    async fn get(&self, id: UploadId) -> Result<Upload, SpoolError> {
        let files = self.0.lock().unwrap();
        let file = files
            .get(&id)
            .filter(|file| !file.done)
            .ok_or(SpoolError::NotFound)?;
        Ok(Upload {
            offset: file.bytes.len() as u64,
            ..file.upload.clone()
        })
    }

    async fn append(&self, id: UploadId, offset: u64, bytes: Bytes) -> Result<u64, SpoolError> {
        let mut files = self.0.lock().unwrap();
        let file = files.get_mut(&id).ok_or(SpoolError::NotFound)?;
        if file.bytes.len() as u64 != offset {
            return Err(SpoolError::WrongOffset(file.bytes.len() as u64));
        }
        if file.bytes.len() + bytes.len() > 1000 {
            return Err(SpoolError::TooLarge(1000));
        }
        file.bytes.extend_from_slice(&bytes);
        Ok(file.bytes.len() as u64)
    }

    async fn finish(&self, id: UploadId) -> Result<UploadRef, SpoolError> {
        let mut files = self.0.lock().unwrap();
        let file = files.get_mut(&id).ok_or(SpoolError::NotFound)?;
        file.done = true;
        Ok(UploadRef {
            upload_id: id,
            bytes: file.bytes.len() as u64,
            sha256: Hash::of(&[&file.bytes]).to_string(),
            time_zone: None,
        })
    }

    async fn open(&self, _id: UploadId) -> Result<ImportSource, SpoolError> {
        Err(SpoolError::NotFound)
    }

    async fn remove(&self, id: UploadId) -> Result<(), SpoolError> {
        self.0.lock().unwrap().remove(&id);
        Ok(())
    }
}

/// Refuses loopback by name and number; sends nothing.
pub(super) struct Guard;

#[async_trait]
impl Http for Guard {
    async fn send(&self, _request: HttpRequest) -> Result<HttpResponse, HttpError> {
        Err(HttpError::Timeout)
    }

    fn check(&self, url: &str, _trust: TrustClass) -> Result<(), HttpError> {
        let parsed = url::Url::parse(url).map_err(|error| HttpError::BadUrl(error.to_string()))?;
        match parsed.host_str() {
            Some("127.0.0.1" | "localhost") => Err(HttpError::Blocked("loopback".to_owned())),
            Some(_) => Ok(()),
            None => Err(HttpError::BadUrl("no host".to_owned())),
        }
    }
}

struct Platform(Manifest);

impl Connector for Platform {
    fn manifest(&self) -> &Manifest {
        &self.0
    }
}

/// A pulled platform with a token, and an imported one without.
pub(super) fn connectors() -> Connectors {
    let manifest = |slug: &str, auth: serde_json::Value, pull: bool| {
        serde_json::from_value(json!({
            "slug": slug,
            "name": slug,
            "description": "for tests",
            "category": if pull { "sandbox" } else { "health" },
            "documentation_url": "https://example.com",
            "auth": auth,
            "capabilities": {"pull": pull, "file_import": !pull},
            "models": ["steps"],
            "configuration_schema": {
                "type": "object",
                "properties": {
                    "repository": {"type": "string"},
                    "branch": {"type": "string"},
                    "limits": {"type": "object"}
                },
                "required": ["repository"],
                "additionalProperties": false
            },
            "setup": []
        }))
        .unwrap()
    };
    let token = json!({"auth_type": "bearer", "secrets": {"access_token": "the token"}});
    Connectors::new(vec![
        Arc::new(Platform(manifest("sandbox", token, true))),
        Arc::new(Platform(manifest(
            "files",
            json!({"auth_type": "none"}),
            false,
        ))),
    ])
}
