//! Dispatch: load from the cache, decide, append durably, answer; beside our own raw append rate and
//! beside cqrs-es with sqlite-es as published (which does not sync: a power cut loses its tail).

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use wharf_domain::{
    integrations::{Change, IntegrationCommand},
    kernel::{
        CommitId, Expected, IntegrationId, Metadata, NewCommit, NewEvent, ProjectId, StreamId,
    },
    ports::{Append, Clock as _, Dispatch as _, EventLog, Ids as _},
};
use wharf_eventlog::SqliteLog;
use wharf_runtime::clock::{SystemClock, SystemIds};
use wharf_tests::process::workspace;

use crate::{pace::Pace, table::Row};

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
    let raw = appends().await?.rate();
    let dir = tempfile::tempdir_in(workspace().join("target"))?;
    let ours = commands(open(&dir)?).await?.rate();
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

/// Runs `CALLERS` loops for `SECONDS`; `caller` makes one, which takes the number of a step.
async fn pace<L, S>(caller: impl Fn() -> L) -> anyhow::Result<Pace>
where
    L: FnMut(u64) -> S + Send + 'static,
    S: Future<Output = anyhow::Result<()>> + Send,
{
    let mut callers = tokio::task::JoinSet::new();
    let begin = Instant::now();
    let deadline = begin + Duration::from_secs(SECONDS);
    for _ in 0..CALLERS {
        let mut step = caller();
        callers.spawn(async move {
            let mut took = vec![];
            for n in 0.. {
                let asked = Instant::now();
                if asked >= deadline {
                    break;
                }
                step(n).await?;
                took.push(asked.elapsed());
            }
            anyhow::Ok(took)
        });
    }
    let mut took = vec![];
    for caller in callers.join_all().await {
        took.extend(caller?);
    }
    Ok(Pace::of(took, begin.elapsed()))
}

/// Our raw append: each commit into a stream of its own.
async fn appends() -> anyhow::Result<Pace> {
    let dir = tempfile::tempdir_in(workspace().join("target"))?;
    let log = open(&dir)?;
    let project: ProjectId = "bench".parse()?;
    pace(|| {
        let (log, project) = (log.clone(), project.clone());
        move |n| {
            let (log, project) = (log.clone(), project.clone());
            async move {
                let name = serde_json::json!({ "name": format!("{n:0>300}") });
                let commit = NewCommit {
                    id: CommitId(SystemIds.uuid()),
                    stream: StreamId::integration(&project, IntegrationId(SystemIds.uuid())),
                    expected: Expected::NoStream,
                    events: vec![NewEvent::of("integration.updated", 1, &name)?],
                    meta: Metadata {
                        time: SystemClock.now(),
                        actor: "user:bench".to_owned(),
                        correlation: "bench".to_owned(),
                        causation: None,
                        idempotency_key: None,
                    },
                };
                let answer = log.append(commit.encode()?).await;
                anyhow::ensure!(matches!(answer, Append::Committed(_)), "{answer:?}");
                Ok(())
            }
        }
    })
    .await
}

/// Commands to integrations in `log`, each integration made and then renamed.
///
/// # Errors
/// A command is refused.
pub(crate) async fn commands(log: Arc<dyn EventLog>) -> anyhow::Result<Pace> {
    let dir = tempfile::tempdir_in(workspace().join("target"))?;
    let dispatcher = Arc::new(crate::parts::dispatcher(log, &dir).await?);
    let project: ProjectId = "bench".parse()?;
    pace(|| {
        let (dispatcher, project) = (dispatcher.clone(), project.clone());
        let mut id = IntegrationId(SystemIds.uuid());
        move |n| {
            let is_first = n.is_multiple_of(COMMANDS);
            if is_first {
                id = IntegrationId(SystemIds.uuid());
            }
            let name = format!("{n:0>190}");
            let command = if is_first {
                crate::parts::create(name)
            } else {
                IntegrationCommand::Change(Change {
                    name: Some(name),
                    ..Change::default()
                })
            };
            let (dispatcher, project) = (dispatcher.clone(), project.clone());
            async move {
                let context = crate::parts::context();
                dispatcher
                    .integration(&project, id, command, context)
                    .await?;
                Ok(())
            }
        }
    })
    .await
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
