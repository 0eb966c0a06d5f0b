//! The log on `JetStream`, and commands through it, beside the raw rate of its client on the same servers
//! under the same settings; and what a stream's commits cost to load from a node's mirror.
//!
//! Every arm has 64 writers. The raw one and the log's each make a commit, send it with the same headers
//! and the same expectation, and wait for the acknowledgement; the raw one keeps no mirror and asks nothing
//! when an acknowledgement does not come. Rounds take turns.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{
    HeaderMap,
    jetstream::{Context, stream::Config},
};
use wharf_domain::{
    kernel::{Commit, Expected, Position, StreamId, WebhookId},
    ports::EventLog as _,
};
use wharf_eventlog::{JetStreamLog, JetStreamOptions};
use wharf_runtime::clock::SystemClock;
use wharf_tests::nats::{Nats, Sync};

use crate::{
    append::{Target, WRITERS, write},
    dispatch::commands,
    pace::{Pace, median},
    table::Row,
};

/// Rounds of each arm; the median counts.
const ROUNDS: usize = 3;
/// Loads of one stream of the mirror.
const LOADS: usize = 200;

/// Measures on one server.
///
/// # Errors
/// It does not start, or takes no commits.
pub(crate) async fn one() -> anyhow::Result<Vec<Row>> {
    let servers = [Nats::start(Sync::Default)];
    compare("one server, synced by default", &servers, 1_500).await
}

/// Measures on three servers.
///
/// # Errors
/// They do not start, or take no commits.
pub(crate) async fn three() -> anyhow::Result<Vec<Row>> {
    let servers = Nats::cluster(Sync::Always);
    compare("three servers, always synced", &servers, 300).await
}

/// Every arm on `servers`, each writer making so many commits a round.
async fn compare(what: &str, servers: &[Nats], commits: usize) -> anyhow::Result<Vec<Row>> {
    let context = connect(servers).await?;
    let (mut raws, mut logs, mut dispatches) = (Vec::new(), Vec::new(), Vec::new());
    let mut loads = Vec::new();
    for round in 0..ROUNDS {
        let dir = tempfile::tempdir()?;
        let options = JetStreamOptions {
            servers: servers.iter().map(Nats::url).collect(),
            prefix: format!("log{round}"),
            replicas: servers.len(),
            mirror: dir.path().join("mirror"),
            ..JetStreamOptions::default()
        };
        let log = JetStreamLog::open(options, Arc::new(SystemClock)).await?;
        let raw = RawStream::make(&context, &log.options().prefix, round).await?;
        raws.push(write(raw, commits).await?);
        logs.push(write(log.clone(), commits).await?);
        loads.push(load(&log).await?);
        dispatches.push(commands(Arc::new(log.clone())).await?);
        log.close().await;
    }
    let rate = |paces: &[Pace]| median(paces.iter().map(Pace::rate).collect());
    let slow = |paces: &[Pace]| median(paces.iter().map(|pace| pace.within(0.99)).collect());
    let (raw, log, dispatch) = (rate(&raws), rate(&logs), rate(&dispatches));
    let (raw_p99, dispatch_p99) = (slow(&raws), slow(&dispatches));
    Ok(vec![
        Row::at_least(
            &format!("append, 64 in flight, {what}, beside raw publishing"),
            log / raw,
            0.8,
            format!("{log:.0}/s of {raw:.0}/s, median of {ROUNDS}"),
        ),
        Row::at_least(
            &format!("dispatch, 64 callers, {what}, beside raw publishing"),
            dispatch / raw,
            0.6,
            format!("{dispatch:.0}/s of {raw:.0}/s, median of {ROUNDS}"),
        ),
        Row::at_most(
            &format!("its p99, {what}, beside that of raw publishing"),
            dispatch_p99 / raw_p99,
            3.0,
            "times",
            &format!("{dispatch_p99:.2} ms to {raw_p99:.2} ms"),
        ),
        Row::at_most(
            &format!("load a stream's first 20 of {commits} commits from the mirror, p50, {what}"),
            median(loads),
            1.0,
            "ms",
            &format!("{LOADS} loads, median of {ROUNDS}"),
        ),
    ])
}

async fn connect(servers: &[Nats]) -> anyhow::Result<Context> {
    let client = async_nats::connect(servers[0].url()).await?;
    Ok(async_nats::jetstream::new(client))
}

/// Milliseconds that half of the loads take at most, once the mirror has everything.
async fn load(log: &JetStreamLog) -> anyhow::Result<f64> {
    let tail = log.tail().await?;
    let last = log.read_all(Position(tail.0 - 1), 1).await?;
    let stream = last
        .first()
        .map_or_else(anything, |commit| commit.stream.clone());
    let mut took = Vec::with_capacity(LOADS);
    for _ in 0..LOADS {
        let begin = Instant::now();
        let loaded = log.read_stream(&stream, Position::START, 20).await?;
        anyhow::ensure!(!loaded.is_empty(), "the stream is there");
        took.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(median(took))
}

fn anything() -> StreamId {
    let project = "bench".parse().unwrap();
    StreamId::webhook(&project, WebhookId(uuid::Uuid::from_u128(WRITERS.into())))
}

/// The raw arm: the client, and a stream like the log's.
#[derive(Clone)]
struct RawStream {
    context: Context,
    prefix: String,
    stream: String,
}

impl RawStream {
    /// A stream as the log with this prefix has it, under another name.
    async fn make(context: &Context, prefix: &str, round: usize) -> anyhow::Result<Self> {
        let like = context.get_stream(format!("{prefix}_WHARF")).await?;
        let raw = Self {
            context: context.clone(),
            prefix: format!("raw{round}"),
            stream: format!("raw{round}"),
        };
        let config = Config {
            name: raw.stream.clone(),
            subjects: vec![format!("{}.>", raw.prefix)],
            ..like.cached_info().config.clone()
        };
        context.create_stream(config).await?;
        // Its leader has to be known before anything is timed.
        tokio::time::timeout(Duration::from_secs(30), async {
            while context.get_stream(&raw.stream).await.is_err() {}
        })
        .await?;
        Ok(raw)
    }

    /// The headers that the log would send.
    fn headers(&self, commit: &Commit) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", commit.id.to_string());
        headers.insert("Nats-Expected-Stream", self.stream.as_str());
        let expected = match commit.expected {
            Expected::At(head) => head.position,
            Expected::NoStream | Expected::Any => Position::START,
        };
        headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
        headers.insert("Content-Type", "application/cloudevents-batch+json");
        headers.insert("Wharf-Revision", commit.revision.0.to_string());
        headers.insert("Wharf-Events", commit.events.to_string());
        headers.insert("Wharf-Hash", commit.hash.to_string());
        headers.insert("Wharf-Prev", commit.prev.to_string());
        headers.insert("Wharf-Actor", "user:bench");
        headers.insert("Wharf-Correlation", "bench");
        headers.insert("Wharf-Types", "bench.happened");
        headers.insert("Wharf-Meta", commit.headers.as_str());
        headers
    }
}

impl Target for RawStream {
    async fn put(&self, commit: Commit) -> anyhow::Result<Position> {
        let subject = format!("{}.evt.00.{}", self.prefix, commit.stream);
        let headers = self.headers(&commit);
        loop {
            let (subject, headers, body) = (subject.clone(), headers.clone(), commit.body.clone());
            let sent = self.context.publish_with_headers(subject, headers, body);
            match sent.await?.await {
                Ok(stored) => return Ok(Position(stored.sequence)),
                // Three servers acknowledge a moment before they take the next one of the subject.
                Err(error) if error.to_string().contains("10164") => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
