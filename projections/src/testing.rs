//! Test support: a log in memory that encodes commits as the real one does, a vault that seals with a
//! visible mark, and the views that fold them, on either engine.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use serde_json::{json, value::RawValue};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Row as _, TypeInfo as _, ValueRef as _,
};
use tempfile::TempDir;
use wharf_domain::{
    integrations::{self, Fence, IntegrationEvent, Outcome, Status, SyncSettings, Trigger},
    kernel::{
        CommitId, EventSet, Expected, Head, IntegrationId, Kind, MessageId, Metadata, NewCommit,
        Position, ProjectId, RunId, Secret, StoredCommit, StreamId, Timestamp, WebhookId, derive,
    },
    ports::{DataKey, Scope, SecretRef, Vault, VaultError},
    syncs::{self, PageBuilder, Record, RecordKey, SyncRunEvent, SyncType, page_context},
    webhooks::{self, DeliveryEvent, MessageEvent, WebhookEvent},
};

use crate::{
    Db, Error, Projection, Views,
    bulk::Bulk,
    db::{Readers, sqlite_options},
    postgres::Database,
};

/// Makes a test of every case for every engine. A case is an `async fn` that is told which one.
macro_rules! on_every_engine {
    ($($case:ident)+) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case(crate::testing::Engine::Sqlite).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $case() {
                super::$case(crate::testing::Engine::Postgres).await;
            })+
        }
    };
}
pub(crate) use on_every_engine;

/// Where views lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

pub(crate) const INTEGRATION: IntegrationId = IntegrationId(uuid::Uuid::from_u128(1));
pub(crate) const WEBHOOK: WebhookId = WebhookId(uuid::Uuid::from_u128(2));

pub(crate) fn project() -> ProjectId {
    "acme".parse().unwrap()
}

pub(crate) fn other_project() -> ProjectId {
    "other".parse().unwrap()
}

pub(crate) fn run(n: u128) -> RunId {
    RunId(uuid::Uuid::from_u128(100 + n))
}

pub(crate) fn message(n: u128) -> MessageId {
    MessageId(uuid::Uuid::from_u128(1000 + n))
}

/// Second `s` of the tests' time; a commit is made in the second of its position.
pub(crate) fn at(s: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + s).unwrap()
}

/// Everything that a test needs.
pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) vault: Arc<FakeVault>,
    pub(crate) views: Views,
    pub(crate) projection: Projection,
    pub(crate) log: Vec<StoredCommit>,
    heads: BTreeMap<StreamId, Head>,
}

/// What outlives a restart.
pub(crate) enum Place {
    Folder(TempDir),
    Database(Database),
}

impl Place {
    pub(crate) fn folder(&self) -> &std::path::Path {
        match self {
            Self::Folder(dir) => dir.path(),
            Self::Database(_) => panic!("only SQLite has a folder"),
        }
    }

    pub(crate) fn database(&self) -> &Database {
        match self {
            Self::Folder(_) => panic!("only PostgreSQL has a data base"),
            Self::Database(database) => database,
        }
    }

    pub(crate) async fn open(&self, vault: Arc<FakeVault>) -> (Views, Projection) {
        let views = match self {
            Self::Folder(dir) => Views::open(dir.path(), vault).await,
            Self::Database(database) => Views::postgres(&Secret::new(database.url()), vault).await,
        };
        let views = views.unwrap();
        let projection = views.projection(0).await.unwrap();
        (views, projection)
    }
}

impl World {
    pub(crate) async fn new(engine: Engine) -> Self {
        let place = match engine {
            Engine::Sqlite => Place::Folder(TempDir::new().unwrap()),
            Engine::Postgres => Place::Database(Database::new().await),
        };
        let vault = Arc::new(FakeVault::default());
        let (views, projection) = place.open(vault.clone()).await;
        Self {
            place,
            vault,
            views,
            projection,
            log: vec![],
            heads: BTreeMap::new(),
        }
    }

    /// Puts one commit into the log and answers its position. Nothing is folded yet.
    pub(crate) fn given<E: EventSet>(&mut self, stream: StreamId, events: &[E]) -> Position {
        let position = Position(self.log.len() as u64 + 1);
        let expected = match stream.category.kind() {
            Kind::Journal => Expected::Any,
            Kind::Decision => match self.heads.get(&stream) {
                Some(head) => Expected::At(*head),
                None => Expected::NoStream,
            },
        };
        let commit = NewCommit {
            id: CommitId(derive(&[&position.0.to_be_bytes()])),
            stream: stream.clone(),
            expected,
            events: events.iter().map(|e| e.encode().unwrap()).collect(),
            meta: Metadata {
                time: at(position.0.cast_signed()),
                actor: "user:ann".to_owned(),
                correlation: "test".to_owned(),
                causation: None,
                idempotency_key: None,
            },
        };
        let stored = commit.encode().unwrap().stored_at(position);
        self.heads.insert(stream, stored.head());
        self.log.push(stored);
        position
    }

    /// Folds what the log has and the views have not.
    pub(crate) async fn applied(&mut self) -> Arc<Db> {
        self.projection.apply(&self.log).await.unwrap();
        self.views.db()
    }

    /// Folds `commits` only.
    pub(crate) async fn apply(&mut self, commits: &[StoredCommit]) -> Result<Position, Error> {
        self.projection.apply(commits).await
    }

    /// Folds the first `n` commits of the log.
    pub(crate) async fn apply_first(&mut self, n: usize) {
        self.projection.apply(&self.log[..n]).await.unwrap();
    }

    /// Opens the views again, as after a restart.
    pub(crate) async fn restarted(self) -> Self {
        self.restarted_after(|_| {}).await
    }

    /// Opens the views again, after something happened to what they lie in.
    pub(crate) async fn restarted_after(self, happened: impl FnOnce(&Place)) -> Self {
        match &self.views.db().readers {
            Readers::Sqlite { pool, .. } => pool.close().await,
            Readers::Postgres(pool) => pool.close().await,
        }
        self.projection.close().await.unwrap();
        happened(&self.place);
        let (views, projection) = self.place.open(self.vault.clone()).await;
        Self {
            views,
            projection,
            ..self
        }
    }

    /// Executes something on the live generation, beside whoever writes it.
    pub(crate) async fn meddle(&self, sql: &'static str) {
        let done = match &self.views.db().readers {
            Readers::Sqlite { path, .. } => {
                let mut beside = sqlite_options(path).connect().await.unwrap();
                sqlx::raw_sql(sql).execute(&mut beside).await.map(drop)
            }
            Readers::Postgres(pool) => {
                let options = pool.connect_options().as_ref().clone();
                let options = options.options([("default_transaction_read_only", "off")]);
                let mut beside = options.connect().await.unwrap();
                sqlx::raw_sql(sql).execute(&mut beside).await.map(drop)
            }
        };
        done.unwrap();
    }

    pub(crate) fn integration(&mut self, events: &[IntegrationEvent]) -> Position {
        self.given(StreamId::integration(&project(), INTEGRATION), events)
    }

    pub(crate) fn journal(&mut self, events: &[SyncRunEvent]) -> Position {
        self.given(StreamId::sync_runs(&project(), INTEGRATION), events)
    }

    pub(crate) fn webhook(&mut self, events: &[WebhookEvent]) -> Position {
        self.given(StreamId::webhook(&project(), WEBHOOK), events)
    }

    pub(crate) fn deliveries(&mut self, events: &[DeliveryEvent]) -> Position {
        self.given(StreamId::deliveries(&project(), WEBHOOK), events)
    }

    pub(crate) fn messages(&mut self, events: &[MessageEvent]) -> Position {
        self.given(StreamId::messages(&project()), events)
    }

    /// An integration with a run that holds the lease.
    pub(crate) fn given_run(&mut self) {
        self.integration(&[created(), requested(1, 1)]);
    }
}

pub(crate) fn created() -> IntegrationEvent {
    IntegrationEvent::Created(integrations::Created {
        integration_type: "sandbox".to_owned(),
        name: "my sandbox".to_owned(),
        configuration: json!({"pages": 3}),
        sync_settings: SyncSettings::default(),
        status: Status::Active,
        created_by: "ann".to_owned(),
    })
}

pub(crate) fn requested(n: u128, fence: u64) -> IntegrationEvent {
    requested_by(n, fence, SyncType::Full, Trigger::Manual)
}

pub(crate) fn requested_by(
    n: u128,
    fence: u64,
    sync_type: SyncType,
    trigger: Trigger,
) -> IntegrationEvent {
    IntegrationEvent::SyncRequested(integrations::SyncRequested {
        run_id: run(n),
        fence: Fence(fence),
        sync_type,
        trigger,
        upload: None,
    })
}

pub(crate) fn settled(n: u128, outcome: Outcome, failure: Option<&str>) -> IntegrationEvent {
    IntegrationEvent::SyncSettled(integrations::SyncSettled {
        run_id: run(n),
        outcome,
        failure: failure.map(self::failure),
    })
}

pub(crate) fn deleted() -> IntegrationEvent {
    IntegrationEvent::Deleted(integrations::Deleted {})
}

pub(crate) fn failure(message: &str) -> syncs::Failure {
    syncs::Failure {
        class: syncs::FailureClass::Transient,
        message: message.to_owned(),
    }
}

pub(crate) fn completed(n: u128, fence: u64) -> SyncRunEvent {
    SyncRunEvent::Completed(syncs::Completed {
        run_id: run(n),
        fence: Fence(fence),
        outcome: Outcome::Completed,
        pages: 1,
        records: 1,
        deleted: 0,
        skipped: BTreeMap::from([("odd".to_owned(), 2)]),
        failure: None,
    })
}

pub(crate) fn key(name: &str) -> RecordKey {
    RecordKey::of(&[name.as_bytes()])
}

/// A record to be put on a page: its name, its value, its begin; no value is a tombstone.
pub(crate) type Item<'a> = (&'a str, &'a str, Option<u32>, i64);

/// A page of `items`, sealed as the worker seals it.
pub(crate) fn page(n: u128, fence: u64, number: u64, items: &[Item<'_>]) -> SyncRunEvent {
    let mut builder = PageBuilder::default();
    for (name, model, value, start) in items {
        let data = value.map_or_else(|| "null".to_owned(), |value| value.to_string());
        builder
            .push(&Record {
                key: key(name),
                model: (*model).into(),
                native_id: None,
                native_version: None,
                start_us: Some(at(*start).as_microsecond()),
                end_us: None,
                utc_offset_s: None,
                time_zone: None,
                civil_date: None,
                time_quality: syncs::TimeQuality::default(),
                granularity: syncs::Granularity::default(),
                source: syncs::Source::default(),
                deleted: value.is_none(),
                data: std::borrow::Cow::Owned(RawValue::from_string(data).unwrap()),
            })
            .unwrap();
    }
    let page = builder.take();
    let context = page_context(run(n), Fence(fence), number);
    let cursor = json!({"page": number});
    let sealed = syncs::sealed::seal(&page.lines, &cursor, &FakeKey, &context).unwrap();
    SyncRunEvent::PageRecorded(syncs::PageRecorded {
        run_id: run(n),
        fence: Fence(fence),
        page: number,
        models: page.models,
        records: page.records,
        deleted: page.deleted,
        cursor_hash: String::new(),
        sealed,
    })
}

pub(crate) fn webhook_created(name: &str) -> WebhookEvent {
    WebhookEvent::Created(webhooks::Created {
        name: name.to_owned(),
        url: "https://example.com/hook".to_owned(),
        events: vec!["task.*".to_owned()],
        header_names: vec!["X-Team".to_owned()],
        headers_generation: 1,
        secret_generation: 1,
        secret_hint: "abcd".to_owned(),
        compat_prefix: None,
        is_active: true,
        retry_config: None,
        timeout_seconds: 30,
        created_by: "ann".to_owned(),
    })
}

pub(crate) fn webhook_deleted() -> WebhookEvent {
    WebhookEvent::Deleted(webhooks::Deleted {})
}

pub(crate) fn accepted(n: u128) -> MessageEvent {
    MessageEvent::Accepted(webhooks::Accepted {
        message_id: message(n),
        topic: "task.created".to_owned(),
        time: at(0),
        sealed: "sealed".to_owned(),
        bytes: 6,
        only: None,
    })
}

fn attempt(n: u128, attempt: u32) -> webhooks::Attempt {
    webhooks::Attempt {
        message_id: message(n),
        message_position: Position(7),
        message_index: 3,
        topic: "task.created".to_owned(),
        attempt,
        started_at: at(i64::from(attempt)),
        duration_ms: 12,
    }
}

pub(crate) fn succeeded(n: u128, number: u32) -> DeliveryEvent {
    DeliveryEvent::AttemptSucceeded(webhooks::AttemptSucceeded {
        attempt: attempt(n, number),
        status: 204,
    })
}

/// Failed; the next attempt in second `next`, if ever.
pub(crate) fn failed(n: u128, number: u32, next: Option<i64>) -> DeliveryEvent {
    DeliveryEvent::AttemptFailed(webhooks::AttemptFailed {
        attempt: attempt(n, number),
        status: Some(500),
        reason: "the receiver answered 500".to_owned(),
        next_attempt_at: next.map(at),
    })
}

pub(crate) fn exhausted(n: u128, attempts: u32) -> DeliveryEvent {
    DeliveryEvent::Exhausted(webhooks::Exhausted {
        message_id: message(n),
        attempts,
    })
}

/// A vault that holds no secrets and seals with the context in front.
#[derive(Default)]
pub(crate) struct FakeVault {
    pub(crate) shredded: Mutex<BTreeSet<String>>,
    pub(crate) unavailable: Mutex<bool>,
}

pub(crate) struct FakeKey;

impl DataKey for FakeKey {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        [context, b"|", plain].concat()
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Secret<Vec<u8>>, VaultError> {
        sealed
            .strip_prefix(context)
            .and_then(|rest| rest.strip_prefix(b"|"))
            .map(|plain| Secret::new(plain.to_vec()))
            .ok_or(VaultError::Sealed)
    }
}

#[async_trait]
impl Vault for FakeVault {
    async fn put(&self, _: &SecretRef, _: &Secret<Vec<u8>>) -> Result<(), VaultError> {
        Ok(())
    }

    async fn get(&self, _: &SecretRef) -> Result<Secret<Vec<u8>>, VaultError> {
        Err(VaultError::Absent)
    }

    async fn data_key(&self, scope: &Scope) -> Result<Arc<dyn DataKey>, VaultError> {
        if *self.unavailable.lock().unwrap() {
            return Err(VaultError::Unavailable("down".into()));
        }
        if self.shredded.lock().unwrap().contains(&scope.name()) {
            return Err(VaultError::Shredded);
        }
        Ok(Arc::new(FakeKey))
    }

    async fn shred(&self, scope: &Scope) -> Result<(), VaultError> {
        self.shredded.lock().unwrap().insert(scope.name());
        Ok(())
    }
}

/// Every row of every table as text, alike for both engines, to compare generations.
pub(crate) async fn dump(db: &Db) -> Vec<String> {
    let tables = crate::db::query(match &db.readers {
        Readers::Sqlite { .. } => {
            "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
        }
        Readers::Postgres(_) => {
            "select table_name::text as name from information_schema.tables
             where table_schema = current_schema()"
        }
    });
    let mut rows = vec![];
    for table in tables.fetch_all(db).await.unwrap() {
        let table = table.text("name").unwrap();
        let all = AssertSqlSafe(format!("select * from {table}"));
        macro_rules! lines {
            ($pool:expr) => {
                for row in sqlx::query(all).fetch_all($pool).await.unwrap() {
                    let columns = row.columns().iter().map(|column| {
                        let (at, value) = (column.ordinal(), row.try_get_raw(column.ordinal()));
                        let value = value.unwrap();
                        match value.type_info().name() {
                            _ if value.is_null() => "null".to_owned(),
                            "INTEGER" | "INT8" => row.get::<i64, _>(at).to_string(),
                            "BLOB" | "BYTEA" => format!("{:x?}", row.get::<&[u8], _>(at)),
                            _ => row.get::<String, _>(at),
                        }
                    });
                    let columns: Vec<_> = columns.collect();
                    rows.push(format!("{table}: {}", columns.join(",")));
                }
            };
        }
        match &db.readers {
            Readers::Sqlite { pool, .. } => lines!(pool),
            Readers::Postgres(pool) => lines!(pool),
        }
    }
    rows.sort();
    rows
}

/// How SQLite finds the rows of a statement.
pub(crate) async fn plan(sql: &str) -> Vec<String> {
    let world = World::new(Engine::Sqlite).await;
    let explain = AssertSqlSafe(format!("explain query plan {sql}"));
    let Readers::Sqlite { pool, .. } = &world.views.db().readers else {
        return vec![];
    };
    let steps = sqlx::query(explain).fetch_all(pool).await.unwrap();
    steps.iter().map(|step| step.get("detail")).collect()
}

/// The statements find their rows by an index, however many rows there are.
pub(crate) async fn assert_no_scan(tables: &[&str], statements: &[&Bulk]) {
    for statement in statements {
        let text = statement.render_values(2);
        let steps = plan(&text).await;
        let scans = |step: &&String| {
            let mut words = step.split(' ');
            words.next() == Some("SCAN") && words.next().is_some_and(|name| tables.contains(&name))
        };
        assert_eq!(steps.iter().find(scans), None, "{text}");
    }
}
