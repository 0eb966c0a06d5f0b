//! What a million streams cost: memory of `nats-server` and of a hub that has read them all, and the load of
//! one of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use wharf_domain::{
    access::Role,
    kernel::{IntegrationId, Position, ProjectId, StreamId},
    ports::{Dispatch as _, EventLog as _, Ids as _},
};
use wharf_eventlog::{JetStreamLog, JetStreamOptions};
use wharf_runtime::clock::{SystemClock, SystemIds};
use wharf_tests::{
    nats::{Nats, Sync},
    process::{Home, memory_kib, workspace},
};

use crate::{pace::Pace, table::Row};

/// Integrations, each a stream of one commit.
const STREAMS: u64 = 1_000_000;
/// Callers that make them.
const CALLERS: usize = 256;
/// Streams that are loaded, spread over all of them.
const LOADS: u64 = 2_000;
const PREFIX: &str = "many";
/// The longest that a new hub takes to have them all in its views.
const PATIENCE: Duration = Duration::from_mins(10);

/// Measures.
///
/// # Errors
/// A command is refused, or the hub does not catch up.
pub(crate) async fn run() -> anyhow::Result<Vec<Row>> {
    let nats = tokio::task::spawn_blocking(|| Nats::start(Sync::Default)).await?;
    let dir = tempfile::tempdir_in(workspace().join("target"))?;
    let options = JetStreamOptions {
        servers: vec![nats.url()],
        prefix: PREFIX.to_owned(),
        mirror: dir.path().join("mirror"),
        ..JetStreamOptions::default()
    };
    let log = JetStreamLog::open(options, Arc::new(SystemClock)).await?;
    fill(&log, &dir).await?;
    let loads = load(&log).await?;
    log.close().await;
    let (hub, ready) = follow(&nats).await?;
    let server = mib(memory_kib(nats.pid().context("it runs")?, "VmRSS"));
    Ok(vec![
        Row::at_most(
            "a million streams: memory of wharf serve, once its views have them",
            hub,
            150.0,
            "MiB",
            &format!("{ready:.0} s after its first start"),
        ),
        Row::at_most(
            "a million streams: memory of nats-server",
            server,
            1024.0,
            "MiB",
            "after a hub has read them all",
        ),
        Row::at_most(
            "a million streams: load of one from the mirror, p99",
            loads.within(0.99),
            1.0,
            "ms",
            &format!("p50 {:.3} ms of {LOADS}", loads.within(0.5)),
        ),
    ])
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Makes the streams.
async fn fill(log: &JetStreamLog, dir: &tempfile::TempDir) -> anyhow::Result<()> {
    let dispatcher = Arc::new(crate::parts::dispatcher(Arc::new(log.clone()), dir).await?);
    let project: ProjectId = "bench".parse()?;
    let next = Arc::new(AtomicU64::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (dispatcher, project, next) = (dispatcher.clone(), project.clone(), next.clone());
        callers.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < STREAMS {
                let id = IntegrationId(SystemIds.uuid());
                let create = crate::parts::create("one of many".to_owned());
                let context = crate::parts::context();
                dispatcher
                    .integration(&project, id, create, context)
                    .await?;
            }
            anyhow::Ok(())
        });
    }
    callers.join_all().await.into_iter().collect()
}

/// Loads streams that nothing remembers but the mirror.
async fn load(log: &JetStreamLog) -> anyhow::Result<Pace> {
    let tail = log.tail().await?;
    let mut streams: Vec<StreamId> = Vec::new();
    for n in 0..LOADS {
        let before = Position(tail.0 / LOADS * n);
        let commits = log.read_all(before, 1).await?;
        streams.extend(commits.into_iter().map(|commit| commit.stream));
    }
    let begin = Instant::now();
    let mut took = Vec::with_capacity(streams.len());
    for stream in &streams {
        let asked = Instant::now();
        let commits = log.read_stream(stream, Position::START, 512).await?;
        took.push(asked.elapsed());
        anyhow::ensure!(commits.len() == 1, "{stream} has one commit");
    }
    Ok(Pace::of(took, begin.elapsed()))
}

/// Memory in MiB of a new hub once its views have everything, and how many seconds that took.
async fn follow(nats: &Nats) -> anyhow::Result<(f64, f64)> {
    let url = nats.url();
    let begin = Instant::now();
    let wharf = tokio::task::spawn_blocking(move || {
        let settings = BTreeMap::from([
            ("WHARF_LOG__NATS_URL", url.as_str()),
            ("WHARF_LOG__NATS_PREFIX", PREFIX),
        ]);
        Home::files().serve_with(&settings)
    })
    .await?;
    let client = wharf.client("bench", Role::Viewer);
    let path = format!("/api/v1/integrations?size=1&after={STREAMS}");
    while client.get(&path).await.status != 200 {
        anyhow::ensure!(begin.elapsed() < PATIENCE, "the hub does not catch up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok((
        mib(wharf.memory_kib("VmRSS")),
        begin.elapsed().as_secs_f64(),
    ))
}
