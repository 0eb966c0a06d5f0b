//! Deliveries of one node beside those of two on the same servers, to receivers that take their time.
//!
//! A node has so many POSTs under way at once; that, and not the two cores that everything here shares, has to
//! be what bounds it, so both arms run with a small number.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{Router, extract::State, http::StatusCode};
use futures::future::try_join_all;
use serde_json::json;
use tokio::sync::Notify;
use wharf_domain::access::Role;
use wharf_tests::{
    client::Client,
    process::{Home, Wharf},
    storage::Storage,
};

use crate::{pace::median, table::Row};

/// Webhooks that all get every message.
const WEBHOOKS: usize = 64;
/// Messages of one round.
const MESSAGES: usize = 100;
/// POSTs under way at once of one node.
const IN_FLIGHT: &str = "32";
/// How long a receiver takes.
const RECEIVER: Duration = Duration::from_millis(50);
/// Rounds of each arm, in turns; the median counts.
const ROUNDS: usize = 3;
/// The longest that a round takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// Measures.
///
/// # Errors
/// A message is refused, or not delivered.
pub(crate) async fn run() -> anyhow::Result<Vec<Row>> {
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(round(1).await?);
        together.push(round(2).await?);
    }
    let (alone, together) = (median(alone), median(together));
    Ok(vec![Row::at_least(
        "deliveries of two nodes beside one, receivers that take 50 ms",
        together / alone,
        1.5,
        format!("{together:.0}/s to {alone:.0}/s, {IN_FLIGHT} under way a node"),
    )])
}

/// Deliveries a second, from the first that arrived to the last.
async fn round(nodes: usize) -> anyhow::Result<f64> {
    let receiver = Receiver::start().await?;
    let nodes = tokio::task::spawn_blocking(move || start(nodes)).await?;
    let first = nodes.first().context("there is a node")?;
    let client = first.client("bench", Role::Admin);
    for n in 0..WEBHOOKS {
        let webhook = json!({
            "project_id": "bench", "name": format!("{n}"), "url": receiver.url, "events": ["*"],
        });
        client.post("/api/v1/webhooks", &webhook).await.ok();
    }
    try_join_all((0..MESSAGES).map(|n| post(&client, n))).await?;
    receiver.rate(WEBHOOKS * MESSAGES).await
}

async fn post(client: &Client, n: usize) -> anyhow::Result<()> {
    let path = "/api/v1/webhooks/events/task.created";
    let answer = client.post(path, &json!({ "n": n })).await;
    anyhow::ensure!(answer.status < 300, "{}", answer.text);
    Ok(())
}

fn start(nodes: usize) -> Vec<Wharf> {
    let settings = BTreeMap::from([("WHARF_WEBHOOKS__IN_FLIGHT", IN_FLIGHT)]);
    let home = Home::on(Storage::new(true, true));
    let mut running = vec![home.serve_with(&settings)];
    for _ in 1..nodes {
        running.push(home.another_node().serve_with(&settings));
    }
    running
}

/// Counts what arrives.
struct Receiver {
    url: String,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    arrived: AtomicUsize,
    one_more: Notify,
}

impl Receiver {
    async fn start() -> anyhow::Result<Self> {
        let inner = Arc::<Inner>::default();
        let router = Router::new().fallback(take).with_state(inner.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        #[expect(clippy::disallowed_methods, reason = "it goes on until the run ends")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, inner })
    }

    /// Arrivals a second once there are `all` of them, from the first one on.
    async fn rate(&self, all: usize) -> anyhow::Result<f64> {
        let reached = async |wanted: usize| {
            loop {
                let more = self.inner.one_more.notified();
                if self.inner.arrived.load(Ordering::Acquire) >= wanted {
                    return Instant::now();
                }
                more.await;
            }
        };
        let timed = async {
            let begun = reached(1).await;
            reached(all).await - begun
        };
        let took = tokio::time::timeout(PATIENCE, timed).await?;
        Ok(all as f64 / took.as_secs_f64())
    }
}

async fn take(State(inner): State<Arc<Inner>>) -> StatusCode {
    tokio::time::sleep(RECEIVER).await;
    inner.arrived.fetch_add(1, Ordering::AcqRel);
    inner.one_more.notify_one();
    StatusCode::NO_CONTENT
}
