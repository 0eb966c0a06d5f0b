//! The HTTP API as its callers see it: a real `wharf` process, driven over loopback.
//!
//! A file shares one process among its tests ([`Shared`]); each test has projects of its own, which by
//! invariant 13 is all the isolation that it needs. A test that stops or tampers with its hub starts
//! one for itself.

mod access;
mod bad_input;
mod consistency;
mod contract;
mod deliveries;
mod docs;
mod events;
mod fields;
mod idempotency;
mod imports;
mod paging;
mod roles;
mod runs;
mod tokens;
mod uploads;
mod urls;
mod webhooks;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wharf_domain::access::Role;
use wharf_tests::{
    client::{Answer, Client, PATIENCE},
    process::{Home, Wharf},
    receiver::Receiver,
    subscription::Subscription,
};

/// A process for all tests of a file. It lives while one of them runs: a static is never dropped, and
/// the process would outlive the tests.
struct Shared(Mutex<Weak<Wharf>>);

impl Shared {
    const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    fn hub(&self) -> Arc<Wharf> {
        self.hub_with(&[])
    }

    /// With settings from the environment, the same at every call.
    fn hub_with(&self, environment: &[(&str, &str)]) -> Arc<Wharf> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let environment: BTreeMap<_, _> = environment.iter().copied().collect();
        let started = Arc::new(Home::default().serve_with(&environment));
        *shared = Arc::downgrade(&started);
        started
    }
}

/// Creates a sandbox integration whose account nobody else uses; answers its id.
async fn sandbox(client: &Client, project: &str) -> String {
    let body = json!({
        "project_id": project, "integration_type": "sandbox", "name": "sandbox", "configuration": {},
        "auth_config": { "auth_type": "bearer", "access_token": format!("sandbox_{project}") },
    });
    text(&client.post("/api/v1/integrations", &body).await.ok()["id"])
}

/// Creates an integration that takes export files; answers its id.
async fn apple_health(client: &Client, project: &str) -> String {
    let body = json!({
        "project_id": project, "integration_type": "apple_health", "name": "phone",
        "configuration": {},
    });
    text(&client.post("/api/v1/integrations", &body).await.ok()["id"])
}

/// Creates a webhook with `more` beside what it must have; answers it as created.
async fn webhook(client: &Client, project: &str, url: &str, more: Value) -> Value {
    let mut body = json!({
        "project_id": project, "name": "webhook", "url": url, "events": ["*"],
    });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    client.post("/api/v1/webhooks", &body).await.ok()
}

/// Sends an event; answers its message id.
async fn send(client: &Client, event_type: &str, data: &Value) -> String {
    let path = format!("/api/v1/webhooks/events/{event_type}");
    text(&client.post(&path, data).await.ok()["message_id"])
}

/// Waits for the attempts of a webhook to be `n`; answers them, newest first.
async fn attempts(client: &Client, webhook: &str, n: u64) -> Vec<Value> {
    let path = format!("/api/v1/webhooks/{webhook}/logs?size=100");
    let logs = client
        .until(&path, |logs| logs["total"].as_u64() >= Some(n))
        .await;
    assert_eq!(logs["total"], n, "{logs}");
    logs["logs"].as_array().unwrap().clone()
}

/// Starts a sync and waits for its end; answers the run.
async fn sync(client: &Client, integration: &str, body: &Value) -> Value {
    let started = client
        .post(&format!("/api/v1/integrations/{integration}/sync"), body)
        .await
        .ok();
    ended(client, integration, &text(&started["run_id"])).await
}

/// Waits until a run has ended and its integration knows; answers the run.
async fn ended(client: &Client, integration: &str, run: &str) -> Value {
    let path = format!("/api/v1/integrations/{integration}/sync/runs/{run}");
    let ended = client.until(&path, |run| run["status"] != "running").await;
    let path = format!("/api/v1/integrations/{integration}");
    client
        .until(&path, |integration| integration["open_run_id"] != run)
        .await;
    ended
}

/// A request that nobody has to wait for the hub to name: both answers to it can be compared whole.
async fn named(client: &Client, method: Method, path: &str, request_id: &str) -> Answer {
    Client::send(
        client
            .request(method, path)
            .header("x-request-id", request_id),
    )
    .await
}

/// Every event of the project, oldest first.
async fn all_events(client: &Client) -> Vec<Value> {
    let page = client.get("/api/v1/events?limit=500").await.ok();
    assert_eq!(page["complete"], true, "more events than one page");
    page["events"].as_array().unwrap().clone()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the hub under test goes by the machine's clock, too"
)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

#[track_caller]
fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no string"))
        .to_owned()
}

/// Sends bytes that no HTTP client would; answers the status and everything that came back.
async fn raw(hub: &Wharf, request: &[u8]) -> (u16, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(hub.url.trim_start_matches("http://"))
            .await
            .unwrap();
        // It may answer and close before it has read everything.
        let _ = stream.write_all(request).await;
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answer = tokio::time::timeout(PATIENCE, exchange)
        .await
        .expect("an answer");
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.unwrap_or_default(), answer)
}

/// Headers that may differ between two answers to the same request.
fn comparable(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut headers: Vec<_> = headers
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    headers
}

/// The hub lives, and its views follow the log.
async fn is_well(hub: &Wharf) {
    let health = hub.stranger().get("/api/v1/health").await.ok();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["parked"], 0);
    hub.stranger().get("/api/v1/health/ready").await.ok();
}

/// A receiver and a webhook of `project` that goes there.
async fn receiving(client: &Client, project: &str, more: Value) -> (Receiver, Value) {
    let receiver = Receiver::start().await;
    let webhook = webhook(client, project, &receiver.url, more).await;
    (receiver, webhook)
}

/// A client with every right in `project`.
fn admin(hub: &Wharf, project: &str) -> Client {
    hub.client(project, Role::Admin)
}

/// A request to the sandbox platform itself.
async fn platform(hub: &Wharf, project: &str, method: Method, path: &str, body: Value) -> Value {
    let client = Client::new(&hub.url, Some(format!("sandbox_{project}")));
    let answer = client
        .json(method, &format!("/sandbox/v1{path}"), &body)
        .await;
    assert!(
        (200..300).contains(&answer.status),
        "{path}: {} {}",
        answer.status,
        answer.text
    );
    answer.body
}
