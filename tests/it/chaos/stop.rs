//! SIGTERM at a bad moment: the hub stops within its grace period, and what was under way goes on after
//! the next start.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::StatusCode};
use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;
use wharf_domain::access::Role;
use wharf_tests::{
    client::{Client, PATIENCE},
    process::{Home, Wharf},
};

use super::{blocking, load::text};

/// Seconds of grace in these tests, as a setting.
const GRACE: &str = "2";
/// Grace, what the supervisor adds, and a busy machine.
const SOON: Duration = Duration::from_secs(12);

/// Started with a short grace period.
async fn serve(home: &Home) -> Wharf {
    let home = home.clone();
    let settings = BTreeMap::from([("WHARF_SERVER__SHUTDOWN_GRACE_SECONDS", GRACE)]);
    blocking(move || home.serve_with(&settings)).await
}

/// SIGTERM; the exit code is 0 and comes soon.
async fn stops_soon(wharf: Wharf) {
    let (code, took) = blocking(move || {
        let began = Instant::now();
        (wharf.stop(), began.elapsed())
    })
    .await;
    assert_eq!(code, 0, "after {took:?}");
    assert!(took < SOON, "it took {took:?} to stop");
}

/// A receiver that holds every request until its gate is opened.
struct Slow {
    url: String,
    gate: watch::Sender<bool>,
    /// Counts requests.
    came: watch::Sender<u32>,
}

impl Slow {
    async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let slow = Arc::new(Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            gate: watch::Sender::new(false),
            came: watch::Sender::default(),
        });
        let router = Router::new().fallback(hold).with_state(slow.clone());
        #[expect(clippy::disallowed_methods, reason = "tests have no supervisor")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        slow
    }
}

async fn hold(State(slow): State<Arc<Slow>>) -> StatusCode {
    slow.came.send_modify(|came| *came += 1);
    let _ = slow.gate.subscribe().wait_for(|open| *open).await;
    StatusCode::NO_CONTENT
}

async fn reached(count: &watch::Sender<u32>, least: u32) {
    let mut count = count.subscribe();
    let waited = tokio::time::timeout(PATIENCE, count.wait_for(|count| *count >= least)).await;
    assert!(waited.is_ok(), "{least} never came");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_slow_receiver_and_a_slow_platform_do_not_hold_the_hub() {
    let home = Home::default();
    let wharf = serve(&home).await;
    let client = wharf.client("p", Role::Admin);
    let receiver = Slow::start().await;
    let webhook = json!({
        "project_id": "p", "name": "slow", "url": receiver.url, "events": ["task.*"],
        "timeout_seconds": 60,
    });
    let webhook = text(&client.post("/api/v1/webhooks", &webhook).await.ok()["id"]);
    let sandbox = json!({
        "project_id": "p", "integration_type": "sandbox", "name": "slow", "configuration": {},
        "auth_config": { "auth_type": "bearer", "access_token": "sandbox_slow" },
    });
    let id = text(&client.post("/api/v1/integrations", &sandbox).await.ok()["id"]);
    // Every page of the platform takes three seconds.
    let slow = Client::new(&wharf.url, Some("sandbox_slow".to_owned()));
    let fault = json!({ "kind": "slow", "count": 100 });
    let answer = slow.json(Method::PUT, "/sandbox/v1/faults", &fault).await;
    assert!(answer.status < 300, "{}", answer.text);
    let started = client
        .post(&format!("/api/v1/integrations/{id}/sync"), &json!({}))
        .await
        .ok();
    for n in 0..3 {
        client
            .post("/api/v1/webhooks/events/task.created", &json!({ "n": n }))
            .await
            .ok();
    }
    reached(&receiver.came, 3).await;
    stops_soon(wharf).await;

    // The sandbox forgot its slowness, the receiver wakes up.
    receiver.gate.send_replace(true);
    let wharf = serve(&home).await;
    let client = wharf.client("p", Role::Admin);
    reached(&receiver.came, 6).await;
    client
        .until(&format!("/api/v1/webhooks/{webhook}"), |shown| {
            shown["success_count"] == 3
        })
        .await;
    let run = text(&started["run_id"]);
    let run = client
        .until(
            &format!("/api/v1/integrations/{id}/sync/runs/{run}"),
            |run| !run["finished_at"].is_null(),
        )
        .await;
    assert_eq!(
        (run["status"].as_str(), &run["records"]),
        (Some("completed"), &250.into()),
        "{run}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_open_streams_and_stalled_uploads_do_not_hold_the_hub() {
    let home = Home::default();
    let wharf = serve(&home).await;
    let client = wharf.client("p", Role::Admin);
    let integration = json!({
        "project_id": "p", "integration_type": "apple_health", "name": "x", "configuration": {},
    });
    let id = text(&client.post("/api/v1/integrations", &integration).await.ok()["id"]);

    // A subscriber who has seen an event and waits for the next one.
    let subscribed = client.request(Method::GET, "/api/v1/events/stream?after=0");
    let mut events = subscribed.send().await.unwrap().bytes_stream();
    let first = events.next().await.unwrap().unwrap();
    assert!(!first.is_empty());

    // An upload that sends half and then nothing, and one request that is never finished.
    let halted = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"<Health"))])
        .chain(futures::stream::pending());
    let upload = client
        .request(Method::POST, &format!("/api/v1/integrations/{id}/import"))
        .header("content-type", "application/octet-stream")
        .body(reqwest::Body::wrap_stream(halted));
    let uploads = home.uploads();
    let stopping = async {
        while std::fs::read_dir(&uploads).map_or(0, Iterator::count) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stops_soon(wharf).await;
    };
    let (answer, ()) = tokio::join!(Client::try_send(upload), stopping);
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status >= 400));
    let rest = tokio::time::timeout(PATIENCE, events.collect::<Vec<_>>()).await;
    assert!(rest.is_ok(), "the stream ended with the hub");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_what_was_in_flight_at_a_kill_9_is_sent_again_and_counted_once() {
    let home = Home::default();
    let wharf = serve(&home).await;
    let client = wharf.client("p", Role::Admin);
    let receiver = Slow::start().await;
    let webhook = json!({
        "project_id": "p", "name": "slow", "url": receiver.url, "events": ["*"],
    });
    let webhook = client.post("/api/v1/webhooks", &webhook).await.ok();
    let webhook = text(&webhook["id"]);
    for n in 0..3 {
        let event = json!({ "n": n });
        client
            .post("/api/v1/webhooks/events/task.created", &event)
            .await
            .ok();
    }
    reached(&receiver.came, 3).await;
    blocking(move || wharf.kill()).await;

    receiver.gate.send_replace(true);
    let wharf = serve(&home).await;
    let client = wharf.client("p", Role::Admin);
    reached(&receiver.came, 6).await;
    let logs = format!("/api/v1/webhooks/{webhook}/logs");
    let logs = client.until(&logs, |logs| logs["total"] == 3).await;
    for attempt in logs["logs"].as_array().unwrap() {
        assert_eq!(attempt["attempt"], 1, "{attempt}");
        assert_eq!(attempt["status"], "succeeded", "{attempt}");
    }
    stops_soon(wharf).await;
    // And nothing is left to be sent at the next start.
    let wharf = serve(&home).await;
    let client = wharf.client("p", Role::Admin);
    let event = json!({ "last": true });
    client
        .post("/api/v1/webhooks/events/task.created", &event)
        .await
        .ok();
    reached(&receiver.came, 7).await;
    client
        .until("/api/v1/webhooks", |list| {
            list["webhooks"][0]["success_count"] == 4
        })
        .await;
    assert_eq!(*receiver.came.borrow(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_an_attempt_under_way_end() {
    let home = Home::default();
    let wharf = serve(&home).await;
    let client = wharf.client("p", Role::Admin);
    let receiver = Slow::start().await;
    let webhook = json!({
        "project_id": "p", "name": "slow", "url": receiver.url, "events": ["*"],
    });
    client.post("/api/v1/webhooks", &webhook).await.ok();
    client
        .post("/api/v1/webhooks/events/task.created", &json!({}))
        .await
        .ok();
    reached(&receiver.came, 1).await;
    let opening = async {
        // The stop is under way by then; if not, the attempt ends all the same.
        tokio::time::sleep(Duration::from_millis(300)).await;
        receiver.gate.send_replace(true);
    };
    tokio::join!(stops_soon(wharf), opening);
    let wharf = serve(&home).await;
    let client = wharf.client("p", Role::Admin);
    let shown = client
        .until("/api/v1/webhooks", |list| {
            list["webhooks"][0]["success_count"] == 1
        })
        .await;
    assert!(shown["webhooks"][0]["failure_count"] == 0, "{shown}");
    assert_eq!(
        *receiver.came.borrow(),
        1,
        "its outcome was recorded, so it is not sent again"
    );
}
