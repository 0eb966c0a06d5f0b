//! Replay: a log of mixed events becomes views from nothing, in a file and on a server.

use std::{sync::Arc, time::Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use wharf_domain::{
    integrations::{
        Created, Fence, IntegrationEvent, Status, SyncRequested, SyncSettings, Trigger,
    },
    kernel::{
        CommitId, EventSet, Expected, Head, IntegrationId, MessageId, Metadata, NewCommit,
        ProjectId, RunId, Secret, StreamId, WebhookId,
    },
    ports::{Append, Clock as _, EventLog, Ids as _, Scope, Vault},
    syncs::{
        PageBuilder, PageRecorded, Record, RecordKey, SyncRunEvent, SyncType, page_context, sealed,
    },
    webhooks::{
        Accepted, Attempt, AttemptSucceeded, Created as WebhookCreated, DeliveryEvent,
        MessageEvent, WebhookEvent, message_context,
    },
};
use wharf_eventlog::SqliteLog;
use wharf_projections::{Projection, Views};
use wharf_runtime::clock::{SystemClock, SystemIds};
use wharf_tests::{postgres::Database, process::workspace};

use crate::table::Row;

/// Messages, and as many deliveries of one attempt each, recorded 32 a commit.
const MESSAGES: u32 = 200_000;
/// Pages of 1,000 records.
const PAGES: u64 = 200;
const RECORDS: u32 = 1000;
const BATCH: usize = 1000;

/// Measures.
///
/// # Errors
/// The log cannot be written or read.
pub(crate) async fn run() -> anyhow::Result<Vec<Row>> {
    let dir = tempfile::tempdir_in(workspace().join("target"))?;
    let vault = crate::parts::vault(&dir).await?;
    let messages = filled(&dir, "messages", &vault, messages).await?;
    let pages = filled(&dir, "pages", &vault, pages).await?;
    let mut rows = vec![];
    for (log, what, each, unit) in [
        (messages, "messages and deliveries", 1, "events/s"),
        (pages, "record pages", RECORDS, "records/s"),
    ] {
        let file = dir.path().join(what);
        let in_file = Views::open(&file, vault.clone())
            .await?
            .projection(0)
            .await?;
        let database = Database::durable().await;
        let url = Secret::new(database.url());
        let views = Views::postgres(&url, vault.clone()).await?;
        let on_server = views.projection(0).await?;
        for (projection, place, wanted) in [
            (in_file, "SQLite", 100_000.0),
            (on_server, "PostgreSQL", 20_000.0),
        ] {
            let (events, how) = replayed(&*log, projection).await?;
            rows.push(Row::reaches(
                &format!("replay of {what} into views on {place}"),
                events * f64::from(each),
                wanted,
                unit,
                &how,
            ));
        }
    }
    Ok(rows)
}

/// A log with what `fill` appends.
async fn filled(
    dir: &tempfile::TempDir,
    name: &str,
    vault: &Arc<dyn Vault>,
    fill: impl AsyncFn(&Filler) -> anyhow::Result<()>,
) -> anyhow::Result<Arc<dyn EventLog>> {
    let home = dir.path().join(name);
    std::fs::create_dir_all(&home)?;
    let log: Arc<dyn EventLog> = Arc::new(SqliteLog::open(
        &home,
        wharf_eventlog::Options::default(),
        Arc::new(SystemClock),
    )?);
    fill(&Filler {
        log: log.clone(),
        vault: vault.clone(),
    })
    .await?;
    Ok(log)
}

/// Replays a log; answers events a second.
async fn replayed(log: &dyn EventLog, mut projection: Projection) -> anyhow::Result<(f64, String)> {
    let begin = Instant::now();
    let mut events = 0_u64;
    loop {
        let commits = log.read_all(projection.checkpoint(), BATCH).await?;
        if commits.is_empty() {
            break;
        }
        events += commits
            .iter()
            .map(|commit| u64::from(commit.events))
            .sum::<u64>();
        projection.apply(&commits).await?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok((
        events as f64 / seconds,
        format!("{events} events in {seconds:.1} s"),
    ))
}

struct Filler {
    log: Arc<dyn EventLog>,
    vault: Arc<dyn Vault>,
}

impl Filler {
    async fn commit<E: EventSet>(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: &[E],
    ) -> anyhow::Result<Head> {
        let commit = NewCommit {
            id: CommitId(SystemIds.uuid()),
            stream: stream.clone(),
            expected,
            events: events
                .iter()
                .map(EventSet::encode)
                .collect::<Result<_, _>>()?,
            meta: Metadata {
                time: SystemClock.now(),
                actor: "user:bench".to_owned(),
                correlation: "bench".to_owned(),
                causation: None,
                idempotency_key: None,
            },
        }
        .encode()?;
        let (revision, hash) = (commit.revision, commit.hash);
        match self.log.append(commit).await {
            Append::Committed(committed) => Ok(Head {
                position: committed.position,
                revision,
                hash,
            }),
            other @ (Append::Conflict { .. } | Append::InDoubt { .. } | Append::Refused(_)) => {
                anyhow::bail!("the log answered {other:?}")
            }
        }
    }
}

async fn messages(filler: &Filler) -> anyhow::Result<()> {
    let project: ProjectId = "bench".parse()?;
    let webhook = WebhookId(SystemIds.uuid());
    let created = WebhookEvent::Created(WebhookCreated {
        name: "bench".to_owned(),
        url: "https://example.com/".to_owned(),
        events: vec!["*".to_owned()],
        header_names: vec![],
        headers_generation: 0,
        secret_generation: 1,
        secret_hint: "abcd".to_owned(),
        compat_prefix: None,
        is_active: true,
        retry_config: None,
        timeout_seconds: 30,
        created_by: "bench".to_owned(),
    });
    filler
        .commit(
            &StreamId::webhook(&project, webhook),
            Expected::NoStream,
            &[created],
        )
        .await?;
    let key = filler
        .vault
        .data_key(&Scope::Project(project.clone()))
        .await?;
    let (journal, deliveries) = (
        StreamId::messages(&project),
        StreamId::deliveries(&project, webhook),
    );
    let body = br#"{"type":"task.created","timestamp":"2026-01-01T00:00:00Z","data":{"id":1}}"#;
    for _ in 0..MESSAGES / 32 {
        let accepted: Vec<_> = (0..32)
            .map(|_| {
                let id = MessageId(SystemIds.uuid());
                Accepted {
                    message_id: id,
                    topic: "task.created".to_owned(),
                    time: SystemClock.now(),
                    sealed: STANDARD.encode(key.seal(&message_context(id), body)),
                    bytes: body.len() as u32,
                    only: None,
                }
            })
            .collect();
        let events: Vec<_> = accepted
            .iter()
            .cloned()
            .map(MessageEvent::Accepted)
            .collect();
        let head = filler.commit(&journal, Expected::Any, &events).await?;
        let attempts: Vec<_> = (0_u32..)
            .zip(accepted)
            .map(|(index, message)| {
                DeliveryEvent::AttemptSucceeded(AttemptSucceeded {
                    attempt: Attempt {
                        message_id: message.message_id,
                        message_position: head.position,
                        message_index: index,
                        topic: message.topic,
                        attempt: 1,
                        started_at: message.time,
                        duration_ms: 3,
                    },
                    status: 204,
                })
            })
            .collect();
        filler.commit(&deliveries, Expected::Any, &attempts).await?;
    }
    Ok(())
}

async fn pages(filler: &Filler) -> anyhow::Result<()> {
    let project: ProjectId = "bench".parse()?;
    let (id, run_id) = (IntegrationId(SystemIds.uuid()), RunId(SystemIds.uuid()));
    let created = IntegrationEvent::Created(Created {
        integration_type: "sandbox".to_owned(),
        name: "bench".to_owned(),
        configuration: serde_json::json!({}),
        sync_settings: SyncSettings::default(),
        status: Status::Active,
        created_by: "bench".to_owned(),
    });
    let requested = IntegrationEvent::SyncRequested(SyncRequested {
        run_id,
        fence: Fence(1),
        sync_type: SyncType::Full,
        trigger: Trigger::Manual,
        upload: None,
    });
    let stream = StreamId::integration(&project, id);
    filler
        .commit(&stream, Expected::NoStream, &[created, requested])
        .await?;
    let key = filler
        .vault
        .data_key(&Scope::Integration(project.clone(), id))
        .await?;
    let journal = StreamId::sync_runs(&project, id);
    for page in 0..PAGES {
        let mut builder = PageBuilder::default();
        for n in 0..u64::from(RECORDS) {
            let number = page * u64::from(RECORDS) + n;
            let data = serde_json::value::to_raw_value(&serde_json::json!({ "bpm": 60 + n % 40 }))?;
            let mut record =
                Record::tombstone(RecordKey::of(&[&number.to_be_bytes()]), "heart_rate");
            record.deleted = false;
            record.start_us = Some(1_700_000_000_000_000 + number.cast_signed() * 5_000_000);
            record.data = std::borrow::Cow::Owned(data);
            builder.push(&record)?;
        }
        let built = builder.take();
        let context = page_context(run_id, Fence(1), page);
        let sealed = sealed::seal(&built.lines, &serde_json::Value::Null, &*key, &context)?;
        let event = SyncRunEvent::PageRecorded(PageRecorded {
            run_id,
            fence: Fence(1),
            page,
            models: built.models,
            records: built.records,
            deleted: 0,
            cursor_hash: String::new(),
            sealed,
        });
        filler.commit(&journal, Expected::Any, &[event]).await?;
    }
    Ok(())
}
