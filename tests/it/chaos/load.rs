//! The load: callers who post events, create and rename integrations, sync and import, and write down
//! what the hub accepted. Whoever gets no answer, or 503, asks the next node with the same key.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use wharf_tests::client::{Answer, Client, PATIENCE};

/// Callers that post events.
pub(super) const POSTERS: usize = 3;
/// Events of a poster, and integrations, between two faults; then the caller waits for the next one.
const EVENTS: u32 = 40;
const INTEGRATIONS: u32 = 4;

/// Between two looks at what is not told: the hub is another process.
const PAUSE: Duration = Duration::from_millis(20);

/// Who can be reached just now.
#[derive(Clone, Default)]
pub(super) struct Hub {
    /// Counts the times that it came back.
    start: u32,
    /// One for each node; none while it is down.
    clients: Vec<Client>,
    /// There are no more faults: finish what is begun.
    over: bool,
}

/// What the hub said it keeps.
#[derive(Default)]
pub(super) struct Accepted {
    /// Messages.
    pub(super) messages: BTreeSet<String>,
    /// Integrations and their last acknowledged names.
    pub(super) names: BTreeMap<String, String>,
    /// Runs and their integrations.
    pub(super) runs: BTreeMap<String, String>,
    /// Requests that had to be repeated.
    pub(super) repeated: u32,
}

/// The callers.
pub(super) struct Load {
    hub: watch::Sender<Hub>,
    /// Whose turn it is.
    turn: AtomicUsize,
    pub(super) accepted: Mutex<Accepted>,
    /// The integration of the sandbox.
    pub(super) sandbox: String,
    /// The integration of the imports.
    pub(super) imports: String,
    export: Bytes,
}

impl Load {
    /// Connects the two platforms.
    pub(super) async fn prepare(client: &Client, export: Bytes) -> Self {
        let sandbox = json!({
            "project_id": "p", "integration_type": "sandbox", "name": "sandbox",
            "configuration": { "page_size": 20 },
            "auth_config": { "auth_type": "bearer", "access_token": "sandbox_chaos" },
        });
        let sandbox = client.post("/api/v1/integrations", &sandbox).await.ok();
        let imports = integration("imports");
        let imports = client.post("/api/v1/integrations", &imports).await.ok();
        Self {
            hub: watch::Sender::default(),
            turn: AtomicUsize::default(),
            accepted: Mutex::default(),
            sandbox: text(&sandbox["id"]),
            imports: text(&imports["id"]),
            export,
        }
    }

    /// The hub is up, with so many nodes.
    pub(super) fn up(&self, clients: Vec<Client>, over: bool) {
        self.hub.send_modify(|hub| {
            hub.start += 1;
            hub.clients = clients;
            hub.over = over;
        });
    }

    /// The hub is down.
    pub(super) fn down(&self) {
        self.hub.send_modify(|hub| hub.clients.clear());
    }

    /// Everybody at once, until the hub says that it is over.
    pub(super) async fn run(&self) {
        let posters = futures::future::join_all((0..POSTERS).map(|poster| self.post(poster)));
        tokio::join!(posters, self.create(), self.sync(), self.import());
    }

    /// Waits until another event is accepted.
    pub(super) async fn goes_on(&self) {
        let accepted = || self.accepted.lock().unwrap().messages.len();
        let before = accepted();
        while accepted() == before {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until the hub is up and came back at least `start` times.
    async fn reach(&self, start: u32) -> Hub {
        let mut hub = self.hub.subscribe();
        hub.wait_for(|hub| hub.start >= start && !hub.clients.is_empty())
            .await
            .expect("it comes back")
            .clone()
    }

    /// Asks one node after the other until there is an answer.
    async fn ask(&self, method: Method, path: &str, key: &str, body: Bytes) -> Answer {
        loop {
            let hub = self.reach(0).await;
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let client = &hub.clients[turn % hub.clients.len()];
            let content_type = if path.ends_with("/import") {
                "application/octet-stream"
            } else {
                "application/json"
            };
            let mut request = client
                .request(method.clone(), path)
                .header("content-type", content_type)
                .body(body.clone());
            if !key.is_empty() {
                request = request.header("idempotency-key", key);
            }
            match Client::try_send(request).await {
                Ok(answer) if answer.status < 500 => return answer,
                Ok(answer) => assert_eq!(answer.status, 503, "{path}: {}", answer.text),
                // Killed, or it stands still.
                Err(_) => {}
            }
            self.note(|accepted| accepted.repeated += 1);
            // It is starting, busy or gone: the hub's own advice, in short.
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn note(&self, what: impl FnOnce(&mut Accepted)) {
        what(&mut self.accepted.lock().unwrap());
    }

    async fn post(&self, poster: usize) {
        let (mut start, mut left, mut n) = (0, 0, 0);
        loop {
            if left == 0 {
                let hub = self.reach(start).await;
                (start, left) = (hub.start + 1, EVENTS);
                if hub.over {
                    return;
                }
            }
            let body = json!({ "poster": poster, "n": n }).to_string().into();
            let path = "/api/v1/webhooks/events/task.created";
            let key = format!("event-{poster}-{n}");
            let accepted = self.ask(Method::POST, path, &key, body).await;
            assert_eq!(accepted.status, 202, "{}", accepted.text);
            let id = text(&accepted.ok()["message_id"]);
            self.note(|accepted| {
                assert!(accepted.messages.insert(id), "two events have one id");
            });
            (left, n) = (left - 1, n + 1);
        }
    }

    async fn create(&self) {
        let (mut start, mut left, mut n) = (0, 0, 0);
        loop {
            if left == 0 {
                let hub = self.reach(start).await;
                (start, left) = (hub.start + 1, INTEGRATIONS);
                if hub.over {
                    return;
                }
            }
            let name = format!("{n}, new");
            let body = integration(&name).to_string().into();
            let path = "/api/v1/integrations";
            let created = self
                .ask(Method::POST, path, &format!("create-{n}"), body)
                .await;
            // The views may lag; who wants to read at once says so.
            let seen = format!("?after={}", created.position());
            let id = text(&created.ok()["id"]);
            let shown = format!("/api/v1/integrations/{id}{seen}");
            self.ask(Method::GET, &shown, "", Bytes::new()).await.ok();
            self.note(|accepted| drop(accepted.names.insert(id.clone(), name)));
            for turn in 0..2 {
                let name = format!("{n}, renamed {turn}");
                let body = json!({ "name": name }).to_string().into();
                let path = format!("/api/v1/integrations/{id}");
                self.ask(Method::PATCH, &path, "", body).await.ok();
                self.note(|accepted| drop(accepted.names.insert(id.clone(), name)));
            }
            (left, n) = (left - 1, n + 1);
        }
    }

    async fn sync(&self) {
        for n in 0.. {
            if self.reach(0).await.over {
                return;
            }
            let kind = if n % 2 == 0 { "full" } else { "incremental" };
            self.sync_once(&format!("sync-{n}"), kind).await;
        }
    }

    /// One run of the sandbox, to its end.
    pub(super) async fn sync_once(&self, key: &str, kind: &str) {
        let body = json!({ "sync_type": kind }).to_string().into();
        let path = format!("/api/v1/integrations/{}/sync", self.sandbox);
        let started = self.begin(&path, key, body).await;
        self.follow(&self.sandbox, started).await;
    }

    async fn import(&self) {
        for n in 0.. {
            if self.reach(0).await.over {
                return;
            }
            let path = format!("/api/v1/integrations/{}/import", self.imports);
            let key = format!("import-{n}");
            let started = self.begin(&path, &key, self.export.clone()).await;
            self.follow(&self.imports, started).await;
        }
    }

    /// Asks for a run, again while the one before it still holds the lease: after a restart the views may
    /// be behind the log for a moment and not show it.
    async fn begin(&self, path: &str, key: &str, body: Bytes) -> Answer {
        let started = async {
            loop {
                let answer = self.ask(Method::POST, path, key, body.clone()).await;
                if answer.status != 409 {
                    return answer;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let started = tokio::time::timeout(4 * PATIENCE, started).await;
        started
            .unwrap_or_else(|_| panic!("{path}: the run before {key} never gives its lease back"))
    }

    /// Notes a run and waits for its end, however often it is cut off.
    async fn follow(&self, integration: &str, started: Answer) {
        assert_eq!(started.status, 202, "{}", started.text);
        let run = text(&started.ok()["run_id"]);
        self.note(|accepted| drop(accepted.runs.insert(run, integration.to_owned())));
        let path = format!("/api/v1/integrations/{integration}");
        while !self.ask(Method::GET, &path, "", Bytes::new()).await.ok()["open_run_id"].is_null() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn integration(name: &str) -> Value {
    json!({
        "project_id": "p", "integration_type": "apple_health", "name": name, "configuration": {},
    })
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
