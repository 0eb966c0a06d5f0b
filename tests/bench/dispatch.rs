//! Dispatch: load from the cache, decide, append durably, answer; beside our own raw append rate and
//! beside cqrs-es with sqlite-es as published (which does not sync: a power cut loses its tail).

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use wharf_domain::{
    integrations::{Change, Create, IntegrationCommand, SyncSettings},
    kernel::{
        CommitId, Expected, IntegrationId, Metadata, NewCommit, NewEvent, ProjectId, StreamId,
    },
    ports::{Append, Clock as _, Context, Dispatch as _, EventLog, Ids as _},
};
use wharf_eventlog::SqliteLog;
use wharf_runtime::{
    clock::{SystemClock, SystemIds},
    dispatch::Dispatcher,
};
use wharf_tests::process::workspace;

use crate::table::Row;

/// Callers that each wait for their answer.
const CALLERS: u64 = 64;
/// Length of one measurement.
const SECONDS: u64 = 4;
/// Commands to one aggregate before the next one, creation included.
const COMMANDS: u64 = 10;

/// Measures.
///
/// # Errors
/// A log cannot be opened, or the peer cannot be built.
pub(crate) async fn run() -> anyhow::Result<Vec<Row>> {
    let raw = append().await?;
    let ours = dispatch().await?;
    let peer = tokio::task::spawn_blocking(sqlite_es).await??;
    Ok(vec![
        Row::at_least(
            "dispatch, 64 callers, beside our raw append",
            ours / raw,
            0.5,
            format!("{ours:.0}/s of {raw:.0}/s"),
        ),
        Row::at_least(
            "dispatch, 64 callers, beside cqrs-es + sqlite-es",
            ours / peer,
            5.0,
            format!("{ours:.0}/s (durable) to {peer:.0}/s (not)"),
        ),
    ])
}

fn open(dir: &tempfile::TempDir) -> anyhow::Result<Arc<dyn EventLog>> {
    let clock = Arc::new(SystemClock);
    Ok(Arc::new(SqliteLog::open(
        dir.path(),
        wharf_eventlog::Options::default(),
        clock,
    )?))
}

/// Runs `CALLERS` loops for `SECONDS`; answers how often `step` was done a second.
async fn rate<F, S>(step: F) -> f64
where
    F: Fn(u64) -> S,
    S: Future<Output = Box<dyn FnMut(u64) -> futures::future::BoxFuture<'static, bool> + Send>>,
{
    let done = Arc::new(AtomicU64::new(0));
    let mut callers = tokio::task::JoinSet::new();
    let begin = Instant::now();
    let deadline = begin + Duration::from_secs(SECONDS);
    for caller in 0..CALLERS {
        let mut step = step(caller).await;
        let done = done.clone();
        callers.spawn(async move {
            for n in 0.. {
                if Instant::now() >= deadline {
                    return;
                }
                if step(n).await {
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    callers.join_all().await;
    done.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64()
}

async fn append() -> anyhow::Result<f64> {
    let dir = tempfile::tempdir_in(workspace().join("target"))?;
    let log = open(&dir)?;
    let project: ProjectId = "bench".parse()?;
    Ok(rate(async |_| {
        let (log, project) = (log.clone(), project.clone());
        let step = move |n: u64| {
            let (log, project) = (log.clone(), project.clone());
            let step = async move {
                let commit = NewCommit {
                    id: CommitId(SystemIds.uuid()),
                    stream: StreamId::integration(&project, IntegrationId(SystemIds.uuid())),
                    expected: Expected::NoStream,
                    events: vec![
                        NewEvent::of(
                            "integration.updated",
                            1,
                            &serde_json::json!({ "name": format!("{n:0>300}") }),
                        )
                        .unwrap(),
                    ],
                    meta: Metadata {
                        time: SystemClock.now(),
                        actor: "user:bench".to_owned(),
                        correlation: "bench".to_owned(),
                        causation: None,
                        idempotency_key: None,
                    },
                };
                matches!(
                    log.append(commit.encode().unwrap()).await,
                    Append::Committed(_)
                )
            };
            Box::pin(step) as futures::future::BoxFuture<'static, bool>
        };
        Box::new(step) as Box<dyn FnMut(u64) -> _ + Send>
    })
    .await)
}

async fn dispatch() -> anyhow::Result<f64> {
    let dir = tempfile::tempdir_in(workspace().join("target"))?;
    let vault = crate::parts::vault(&dir).await?;
    let dispatcher = Arc::new(Dispatcher::new(
        open(&dir)?,
        vault,
        Arc::new(SystemClock),
        Arc::new(SystemIds),
    ));
    let project: ProjectId = "bench".parse()?;
    Ok(rate(async |_| {
        let (dispatcher, project) = (dispatcher.clone(), project.clone());
        let mut id = IntegrationId(SystemIds.uuid());
        let step = move |n: u64| {
            if n.is_multiple_of(COMMANDS) {
                id = IntegrationId(SystemIds.uuid());
            }
            let command = if n.is_multiple_of(COMMANDS) {
                IntegrationCommand::Create(Create {
                    integration_type: "sandbox".to_owned(),
                    name: format!("{n:0>190}"),
                    configuration: serde_json::json!({}),
                    sync_settings: SyncSettings::default(),
                    pending_auth: false,
                    created_by: "bench".to_owned(),
                    now: SystemClock.now(),
                })
            } else {
                IntegrationCommand::Change(Change {
                    name: Some(format!("{n:0>190}")),
                    ..Change::default()
                })
            };
            let context = Context {
                actor: "user:bench".to_owned(),
                correlation: "bench".to_owned(),
                causation: None,
                idempotency_key: None,
            };
            let (dispatcher, project) = (dispatcher.clone(), project.clone());
            let step = async move {
                dispatcher
                    .integration(&project, id, command, context)
                    .await
                    .is_ok()
            };
            Box::pin(step) as futures::future::BoxFuture<'static, bool>
        };
        Box::new(step) as Box<dyn FnMut(u64) -> _ + Send>
    })
    .await)
}

/// Builds and runs the peer, a workspace of its own.
fn sqlite_es() -> anyhow::Result<f64> {
    let home = workspace().join("tests/bench/peers/sqlite-es");
    let target = workspace().join("target/peers");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--target-dir"])
        .arg(&target)
        .current_dir(&home)
        .status()?;
    anyhow::ensure!(
        built.success(),
        "the peer in {} does not build",
        home.display()
    );
    let dir = tempfile::tempdir_in(workspace().join("target"))?;
    let output = Command::new(target.join("release/peer-sqlite-es"))
        .arg(dir.path().join("peer.db"))
        .args([CALLERS.to_string(), SECONDS.to_string()])
        .output()?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    said["commands_per_second"]
        .as_f64()
        .context("the peer says its rate")
}
