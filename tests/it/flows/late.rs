//! A node that reads from a mirror of the log: what another wrote it reads once it knows how far the log is.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use wharf_domain::{
    integrations::{Change, Create, IntegrationCommand, SyncSettings},
    kernel::{
        Commit, CommitId, Head, IntegrationId, Position, ProjectId, StoredCommit, StreamId,
        Timestamp,
    },
    ports::{
        Append, Consumer, ConsumerSpec, Context, Dispatch as _, Durability, EventLog, LogError,
    },
};
use wharf_eventlog::MemoryLog;
use wharf_runtime::{clock::SystemIds, dispatch::Dispatcher};
use wharf_tests::{clock::VirtualClock, parts};

/// A view of a log that ends where its owner last looked.
struct Mirror {
    log: Arc<dyn EventLog>,
    known: AtomicU64,
}

impl Mirror {
    fn knows(&self, position: Position) -> bool {
        position.0 <= self.known.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl EventLog for Mirror {
    async fn append(&self, commit: Commit) -> Append {
        self.log.append(commit).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Position,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, LogError> {
        let mut commits = self.log.read_stream(stream, after, limit).await?;
        commits.retain(|commit| self.knows(commit.position));
        Ok(commits)
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        let mut commits = self.log.read_all(after, limit).await?;
        commits.retain(|commit| self.knows(commit.position));
        Ok(commits)
    }

    async fn follow(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        self.log.follow(after, limit).await
    }

    async fn tail(&self) -> Result<Position, LogError> {
        let tail = self.log.tail().await?;
        self.known.fetch_max(tail.0, Ordering::Relaxed);
        Ok(tail)
    }

    async fn find(&self, id: CommitId) -> Result<Option<StoredCommit>, LogError> {
        let found = self.log.find(id).await?;
        Ok(found.filter(|commit| self.knows(commit.position)))
    }

    async fn head(&self, stream: &StreamId) -> Result<Option<Head>, LogError> {
        let head = self.log.head(stream).await?;
        Ok(head.filter(|head| self.knows(head.position)))
    }

    async fn consumer(&self, spec: ConsumerSpec) -> Result<Box<dyn Consumer>, LogError> {
        self.log.consumer(spec).await
    }

    fn durability(&self) -> Durability {
        self.log.durability()
    }
}

#[tokio::test]
async fn what_another_node_just_wrote_is_no_reason_to_say_that_it_is_not_there() {
    let clock = Arc::new(VirtualClock::new());
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(clock.clone()));
    let mirror: Arc<dyn EventLog> = Arc::new(Mirror {
        log: log.clone(),
        known: AtomicU64::default(),
    });
    let dir = tempfile::tempdir().unwrap();
    let vault = parts::vault(dir.path()).await;
    let node = |log| Dispatcher::new(log, vault.clone(), clock.clone(), Arc::new(SystemIds));
    let (here, there) = (node(log), node(mirror));
    let project: ProjectId = "p".parse().unwrap();
    let id = IntegrationId(uuid::Uuid::from_u128(7));
    let create = IntegrationCommand::Create(Create {
        integration_type: "sandbox".to_owned(),
        name: "one".to_owned(),
        configuration: serde_json::json!({}),
        sync_settings: SyncSettings::default(),
        pending_auth: false,
        created_by: "tester".to_owned(),
        now: Timestamp::UNIX_EPOCH,
    });
    let rename = IntegrationCommand::Change(Change {
        name: Some("two".to_owned()),
        ..Change::default()
    });
    let context = Context::system("test", "test", "test");
    let created = here.integration(&project, id, create, context.clone());
    assert_eq!(created.await.unwrap().position, Position(1));
    let renamed = there.integration(&project, id, rename, context);
    assert_eq!(renamed.await.unwrap().position, Position(2));
}
