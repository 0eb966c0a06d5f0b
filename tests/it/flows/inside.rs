//! A hub inside the test, on a log that the test prepares and watches.

use std::{
    path::Path,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use wharf_domain::{
    integrations::{Create, Integration, IntegrationCommand, RequestSync, SyncSettings, Trigger},
    kernel::{
        Category, Commit, CommitId, EventSet as _, Expected, Head, IntegrationId, MessageId,
        Metadata, NewCommit, Position, ProjectId, RunId, StoredCommit, StreamId, Timestamp,
        WebhookId,
    },
    ports::{
        Append, Clock as _, Consumer, ConsumerSpec, Context, Dispatch as _, Durability, EventLog,
        Http, HttpError, HttpRequest, HttpResponse, Ids as _, LogError, StartAt, TrustClass, Vault,
    },
    syncs::SyncType,
    webhooks::{self, Attempt, AttemptFailed, AttemptSucceeded, DeliveryEvent, NewMessage},
};
use wharf_eventlog::{JetStreamLog, JetStreamOptions, MemoryLog};
use wharf_runtime::{
    clock::{SystemClock, SystemIds},
    dispatch::Dispatcher,
};
use wharf_tests::{nats::Nats, parts};

/// The longest that something takes which should happen at once.
const PATIENCE: Duration = Duration::from_secs(60);

const WEBHOOK: WebhookId = WebhookId(uuid::Uuid::from_u128(1));
const INTEGRATION: IntegrationId = IntegrationId(uuid::Uuid::from_u128(2));

static PROJECT: LazyLock<ProjectId> = LazyLock::new(|| "p".parse().unwrap());

fn context() -> Context {
    Context::system("test", "test", "test")
}

fn message_id() -> MessageId {
    MessageId(SystemIds.uuid())
}

/// Answers nobody, ever.
struct Hanging;

#[async_trait]
impl Http for Hanging {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
        std::future::pending().await
    }

    fn check(&self, _: &str, _: TrustClass) -> Result<(), HttpError> {
        Ok(())
    }
}

/// Answers everybody with 204 and keeps which messages it was sent.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn messages(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Http for Heard {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let id = request
            .headers
            .iter()
            .find(|(name, _)| name == "webhook-id");
        self.0.lock().unwrap().push(id.unwrap().1.clone());
        Ok(HttpResponse {
            status: 204,
            headers: vec![],
            body: Bytes::new(),
            truncated: false,
        })
    }

    fn check(&self, _: &str, _: TrustClass) -> Result<(), HttpError> {
        Ok(())
    }
}

/// Counts the commits of integrations that are read by their streams.
struct Counted {
    log: MemoryLog,
    read: AtomicU64,
}

#[async_trait]
impl EventLog for Counted {
    async fn append(&self, commit: Commit) -> Append {
        self.log.append(commit).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Position,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, LogError> {
        let commits = self.log.read_stream(stream, after, limit).await?;
        if stream.category == Category::Integration {
            self.read.fetch_add(commits.len() as u64, Ordering::Relaxed);
        }
        Ok(commits)
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        self.log.read_all(after, limit).await
    }

    async fn follow(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        self.log.follow(after, limit).await
    }

    async fn tail(&self) -> Result<Position, LogError> {
        self.log.tail().await
    }

    async fn find(&self, id: CommitId) -> Result<Option<StoredCommit>, LogError> {
        self.log.find(id).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Option<Head>, LogError> {
        self.log.head(stream).await
    }

    async fn consumer(&self, spec: ConsumerSpec) -> Result<Box<dyn Consumer>, LogError> {
        self.log.consumer(spec).await
    }

    fn durability(&self) -> Durability {
        self.log.durability()
    }
}

fn dispatcher(log: &Arc<dyn EventLog>, vault: &Arc<dyn Vault>) -> Dispatcher {
    let (log, vault) = (log.clone(), vault.clone());
    Dispatcher::new(log, vault, Arc::new(SystemClock), Arc::new(SystemIds))
}

async fn integration(dispatcher: &Dispatcher, settings: SyncSettings, now: Timestamp) {
    let create = IntegrationCommand::Create(Create {
        integration_type: "no such platform".to_owned(),
        name: "i".to_owned(),
        configuration: json!({}),
        sync_settings: settings,
        pending_auth: false,
        created_by: "tester".to_owned(),
        now,
    });
    let created = dispatcher.integration(&PROJECT, INTEGRATION, create, context());
    created.await.unwrap();
}

/// Accepts a message; answers where it lies.
async fn accept(dispatcher: &Dispatcher, id: MessageId) -> Position {
    let message = NewMessage {
        id,
        topic: "task.created".to_owned(),
        data: json!({}),
        time: SystemClock.now(),
        only: None,
    };
    let accepted = dispatcher.messages(&PROJECT, vec![message], context());
    accepted.await.unwrap().position
}

fn first_attempt(message_id: MessageId, message_position: Position) -> Attempt {
    Attempt {
        message_id,
        message_position,
        message_index: 0,
        topic: "task.created".to_owned(),
        attempt: 1,
        started_at: SystemClock.now(),
        duration_ms: 1,
    }
}

/// What a delivery worker would record.
async fn record(log: &dyn EventLog, events: &[DeliveryEvent]) {
    let commit = NewCommit {
        id: CommitId(SystemIds.uuid()),
        stream: StreamId::deliveries(&PROJECT, WEBHOOK),
        expected: Expected::Any,
        events: events.iter().map(|event| event.encode().unwrap()).collect(),
        meta: Metadata {
            time: SystemClock.now(),
            actor: "system:deliver".to_owned(),
            correlation: "test".to_owned(),
            causation: None,
            idempotency_key: None,
        },
    };
    let appended = log.append(commit.encode().unwrap()).await;
    assert!(matches!(appended, Append::Committed(_)), "{appended:?}");
}

/// Waits until the log has an event of this type.
async fn until(log: &dyn EventLog, type_tag: &str) {
    let waiting = async {
        let mut after = Position::START;
        loop {
            let commits = log.follow(after, 1000).await.unwrap();
            let tag = format!("\"{type_tag}\"");
            if commits.iter().any(|commit| commit.headers.contains(&tag)) {
                return;
            }
            after = commits.last().unwrap().position;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("no {type_tag}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_retries_to_a_receiver_that_hangs_hold_up_no_schedule() {
    const RETRIES: usize = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let vault = parts::vault(dir.path()).await;
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
    let before = dispatcher(&log, &vault);
    parts::webhook(&before, &vault, &PROJECT, WEBHOOK, None).await;
    let sent = message_id();
    let position = accept(&before, sent).await;
    // All of them are due before the schedule is.
    let due = SystemClock.now() - Duration::from_hours(1);
    let mut ids = vec![sent];
    ids.resize_with(RETRIES, message_id);
    for ids in ids.chunks(200) {
        let failed = ids.iter().map(|&id| {
            DeliveryEvent::AttemptFailed(AttemptFailed {
                attempt: first_attempt(id, position),
                status: Some(503),
                reason: "the receiver answered 503".to_owned(),
                next_attempt_at: Some(due),
            })
        });
        record(&*log, &failed.collect::<Vec<_>>()).await;
    }
    let settings = SyncSettings {
        sync_interval: Some("PT1M".to_owned()),
        auto_sync: true,
    };
    let created = SystemClock.now() - Duration::from_mins(2);
    integration(&before, settings, created).await;
    let hub = parts::hub(dir.path(), log.clone(), vault, Arc::new(Hanging)).await;
    until(&*log, "integration.sync_requested").await;
    hub.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_run_costs_the_same_however_many_there_were() {
    const RUNS: u64 = 60;
    let dir = tempfile::tempdir().unwrap();
    let vault = parts::vault(dir.path()).await;
    let counted = Arc::new(Counted {
        log: MemoryLog::new(Arc::new(SystemClock)),
        read: AtomicU64::default(),
    });
    let log: Arc<dyn EventLog> = counted.clone();
    let hub = parts::hub(dir.path(), log.clone(), vault, Arc::new(Hanging)).await;
    integration(&hub.dispatch, SyncSettings::default(), SystemClock.now()).await;
    for run in 0..RUNS {
        let request = IntegrationCommand::RequestSync(RequestSync {
            run_id: RunId(uuid::Uuid::from_u128(1000 + u128::from(run))),
            sync_type: SyncType::Full,
            trigger: Trigger::Manual,
            force: false,
            upload: None,
        });
        let asked = hub
            .dispatch
            .integration(&PROJECT, INTEGRATION, request, context());
        let asked = asked.await.unwrap();
        // The worker knows no such platform, so it fails at once; then the lease is given back.
        let settled = async {
            let mut after = asked.position;
            loop {
                let commits = log.follow(after, 1000).await.unwrap();
                after = commits.last().unwrap().position;
                let load = hub.dispatch.load_integration(&PROJECT, INTEGRATION, after);
                if let Integration::Live(live) = &load.await.unwrap().state
                    && live.open_run.is_none()
                {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, settled)
            .await
            .expect("it ends");
    }
    hub.shut_down().await.unwrap();
    // Two commits a run, each read a few times; not all of them for every run.
    let read = counted.read.load(Ordering::Relaxed);
    assert!(read < 15 * RUNS, "{read} commits were read for {RUNS} runs");
}

/// The consumer of the delivery worker, as another node has it.
const DELIVER: ConsumerSpec = ConsumerSpec {
    name: "deliver",
    from: StartAt::First,
    categories: &[Category::Message],
    max_in_flight: 1024,
};

async fn node(dir: &Path, prefix: &str) -> JetStreamLog {
    let options = JetStreamOptions {
        servers: vec![Nats::shared().url()],
        prefix: prefix.to_owned(),
        mirror: dir.to_owned(),
        ..JetStreamOptions::default()
    };
    JetStreamLog::open(options, Arc::new(SystemClock))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_sent_before_it_went_is_not_sent_again() {
    const MESSAGES: usize = 40;
    let (dir, gone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let vault = parts::vault(dir.path()).await;
    let prefix = "sent-before";
    let other = node(gone.path(), prefix).await;
    let log: Arc<dyn EventLog> = Arc::new(node(&dir.path().join("mirror"), prefix).await);
    let here = dispatcher(&log, &vault);
    parts::webhook(&here, &vault, &PROJECT, WEBHOOK, None).await;
    let theirs = other.consumer(DELIVER).await.unwrap();
    let heard = Arc::new(Heard::default());
    let hub = parts::hub(dir.path(), log.clone(), vault, heard.clone()).await;

    // Both take from now on. The other records what it sent, and goes before it says that it is done.
    let mut taken = vec![];
    let taking = async {
        loop {
            taken.extend(theirs.fetch(64).await.unwrap());
        }
    };
    let sending = async {
        for _ in 0..MESSAGES {
            accept(&here, message_id()).await;
        }
        let done = async {
            while heard.messages().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, done)
            .await
            .expect("this node takes some");
    };
    tokio::select! {
        () = taking => {}
        () = sending => {}
    }
    assert!(!taken.is_empty(), "the other node got some");
    let mut sent = vec![];
    for commit in &taken {
        let events = wharf_domain::kernel::decode_all::<webhooks::MessageEvent>(commit).unwrap();
        let webhooks::MessageEvent::Accepted(accepted) = &events[0].event;
        sent.push(accepted.message_id.to_string());
        let succeeded = DeliveryEvent::AttemptSucceeded(AttemptSucceeded {
            attempt: first_attempt(accepted.message_id, commit.position),
            status: 204,
        });
        record(&*log, &[succeeded]).await;
    }
    drop(theirs);
    other.close().await;
    // Somebody who takes nothing, and sees how much is left.
    let looking = tempfile::tempdir().unwrap();
    let looking = node(looking.path(), prefix).await;
    let left = looking.consumer(DELIVER).await.unwrap();
    let done = async {
        while left.backlog().await.unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, done)
        .await
        .expect("all are acknowledged");
    hub.shut_down().await.unwrap();
    let again: Vec<_> = heard.messages();
    let again: Vec<_> = again.iter().filter(|id| sent.contains(id)).collect();
    assert!(again.is_empty(), "sent twice: {again:?} of {sent:?}");
}
