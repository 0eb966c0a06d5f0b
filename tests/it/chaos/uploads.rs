//! A hub with one `apple_health` integration, and files sent to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use wharf_domain::access::Role;
use wharf_tests::{
    client::{Answer, Client, PATIENCE},
    process::{Home, Wharf},
};

use super::{blocking, check, load::text};

/// Most memory that a hub may ever have used, whatever it was sent. Debug builds, too.
const MEMORY_KIB: u64 = 200 * 1024;
/// How long a run may take; the machine may have better things to do.
const RUN: Duration = PATIENCE.saturating_mul(10);

/// The hub and its integration.
pub(super) struct Importer {
    pub(super) wharf: Wharf,
    pub(super) client: Client,
    /// The integration.
    pub(super) id: String,
}

impl Importer {
    /// A fresh hub.
    pub(super) async fn start() -> Self {
        Self::start_with(BTreeMap::new()).await
    }

    /// A fresh hub with more settings.
    pub(super) async fn start_with(settings: BTreeMap<&'static str, &'static str>) -> Self {
        let wharf = blocking(move || Home::default().serve_with(&settings)).await;
        let client = wharf.client("p", Role::Admin);
        let mut importer = Self {
            wharf,
            client,
            id: String::new(),
        };
        importer.another().await;
        importer
    }

    /// Goes on with another, empty integration.
    pub(super) async fn another(&mut self) {
        let body = json!({
            "project_id": "p", "integration_type": "apple_health", "name": "x", "configuration": {},
        });
        let integration = self.client.post("/api/v1/integrations", &body).await.ok();
        self.id = text(&integration["id"]);
    }

    /// kill -9, and up again.
    pub(super) async fn killed(self) -> Self {
        let home = self.wharf.home.clone();
        let wharf = self.wharf;
        let wharf = blocking(move || {
            wharf.kill();
            home.serve()
        })
        .await;
        let client = wharf.client("p", Role::Admin);
        Self {
            wharf,
            client,
            id: self.id,
        }
    }

    /// The request that uploads a file in one go.
    pub(super) fn request(&self, key: &str) -> reqwest::RequestBuilder {
        let path = format!("/api/v1/integrations/{}/import", self.id);
        self.client
            .request(Method::POST, &path)
            .timeout(RUN)
            .header("idempotency-key", key)
            .header("content-type", "application/octet-stream")
    }

    /// Uploads a file; answers the id of its run.
    #[track_caller]
    pub(super) fn upload(&self, body: impl Into<reqwest::Body>) -> impl Future<Output = String> {
        let key = wharf_domain::ports::Ids::uuid(&wharf_runtime::clock::SystemIds).to_string();
        let sending = Client::send(self.request(&key).body(body));
        async move { Self::run_of(sending.await) }
    }

    /// The run that an accepted file started.
    pub(super) fn run_of(accepted: Answer) -> String {
        assert_eq!(accepted.status, 202, "{}", accepted.text);
        text(&accepted.ok()["run_id"])
    }

    /// The run as it is shown now.
    pub(super) async fn run(&self, run: &str) -> Value {
        let path = format!("/api/v1/integrations/{}/sync/runs/{run}", self.id);
        self.client.get(&path).await.ok()
    }

    /// Waits until `done` says so of the run.
    pub(super) async fn until(&self, run: &str, done: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let shown = self.run(run).await;
                if done(&shown) {
                    return shown;
                }
                // The hub is another process: there is nothing to be woken by.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(RUN, asking).await {
            Ok(shown) => shown,
            Err(_) => panic!("the run hangs: {}", self.run(run).await),
        }
    }

    /// Uploads a file and waits until its run has ended and the next one may begin.
    pub(super) async fn import(&self, body: impl Into<reqwest::Body>) -> Value {
        let run = self.upload(body).await;
        let shown = self.until(&run, ended).await;
        let path = format!("/api/v1/integrations/{}", self.id);
        self.client
            .until(&path, |integration| integration["open_run_id"].is_null())
            .await;
        shown
    }

    /// The keys of the integration's records.
    pub(super) async fn keys(&self) -> BTreeSet<String> {
        check::keys(&self.client, &self.id).await
    }

    /// The hub works, is not waiting for anything, and never used much memory.
    #[track_caller]
    pub(super) fn is_well(&self, after: &str) -> impl Future<Output = ()> {
        let used = self.wharf.memory_kib("VmHWM");
        assert!(
            (1..MEMORY_KIB).contains(&used),
            "{after}: it used {used} KiB"
        );
        let client = self.client.clone();
        let after = after.to_owned();
        async move {
            let health = client.get("/api/v1/health").await.ok();
            assert_eq!(health["status"], "healthy", "{after}");
            assert_eq!(health["parked"], 0, "{after}");
            let ready = client.get("/api/v1/health/ready").await;
            assert_eq!(ready.status, 200, "{after}: {}", ready.text);
        }
    }
}

/// The run is over.
pub(super) fn ended(run: &Value) -> bool {
    !run["finished_at"].is_null()
}
