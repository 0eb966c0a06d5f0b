//! Leaving the embedded default, in the README's own commands: a hub in files moves to JetStream and PostgreSQL,
//! and nobody who asks it, or is told by it, can tell.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use reqwest::Method;
use serde_json::{Value, json};
use wharf_domain::access::Role;
use wharf_tests::{
    client::{Answer, Client},
    nats::Nats,
    process::{Home, Wharf, workspace},
    receiver::Receiver,
    storage::Storage,
};

/// A data folder, and where else its hub keeps things.
struct Place {
    home: Home,
    settings: BTreeMap<&'static str, String>,
}

impl Place {
    fn environment(&self) -> BTreeMap<&str, &str> {
        let settings = self.settings.iter();
        settings.map(|(name, value)| (*name, &**value)).collect()
    }

    fn serve(&self) -> Wharf {
        self.home.serve_with(&self.environment())
    }

    /// Runs a command; answers its exit code, and what it says.
    fn run(&self, args: &[&str]) -> (i32, String) {
        let mut command = self.home.command(args);
        let ran = command.envs(self.environment()).output().unwrap();
        let said = [ran.stdout, ran.stderr].concat();
        (ran.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let (code, said) = self.run(args);
        assert_eq!(code, 0, "wharf {args:?}: {said}");
        said
    }

    #[track_caller]
    fn fails(&self, args: &[&str], why: &str) {
        let (code, said) = self.run(args);
        assert_eq!(code, 1, "wharf {args:?}: {said}");
        assert!(said.contains(why), "{said}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn sqlite(folder: &Path) -> String {
    format!("sqlite:{}", folder.display())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it ends")
}

/// What there is to be kept.
struct Kept {
    sandbox: String,
    imported: String,
    webhook: String,
    /// An upload that is not whole.
    upload: String,
    receiver: Receiver,
}

const HALF: usize = 1000;

fn export() -> Vec<u8> {
    std::fs::read(workspace().join("tests/it/fixtures/export.xml")).unwrap()
}

async fn apple_health(client: &Client, name: &str) -> String {
    let body = json!({
        "project_id": "p", "integration_type": "apple_health", "name": name, "configuration": {},
    });
    text(&client.post("/api/v1/integrations", &body).await.ok()["id"])
}

async fn import(client: &Client, integration: &str, body: Vec<u8>, complete: &str) -> Answer {
    let path = format!("/api/v1/integrations/{integration}/import");
    let request = client.request(Method::POST, &path).body(body);
    let request = request.header("content-type", "application/octet-stream");
    Client::send(request.header("upload-complete", complete)).await
}

async fn ended(client: &Client, integration: &str, run: &Value) {
    let path = format!("/api/v1/integrations/{integration}/sync/runs/{}", text(run));
    let run = client.until(&path, |run| run["status"] != "running").await;
    assert_eq!(run["status"], "completed", "{run}");
}

/// Pulls from the platform, which takes the stored credential.
async fn sync(client: &Client, integration: &str) {
    let path = format!("/api/v1/integrations/{integration}/sync");
    let started = client
        .post(&path, &json!({ "sync_type": "full" }))
        .await
        .ok();
    ended(client, integration, &started["run_id"]).await;
}

/// The same request each time.
async fn repeated(client: &Client) -> Answer {
    let request = client
        .request(Method::POST, "/api/v1/webhooks/events/user.registered")
        .header("content-type", "application/json")
        .header("idempotency-key", "the-same-on-both-sides");
    Client::send(request.body("{}")).await
}

async fn filled(client: &Client) -> Kept {
    let receiver = Receiver::start().await;
    let webhook = json!({
        "project_id": "p", "name": "w", "url": receiver.url, "events": ["user.registered", "task.created"],
    });
    let webhook = text(&client.post("/api/v1/webhooks", &webhook).await.ok()["id"]);
    let sandbox = json!({
        "project_id": "p", "integration_type": "sandbox", "name": "s", "configuration": {},
        "auth_config": { "auth_type": "bearer", "access_token": "sandbox_demo" },
    });
    let sandbox = text(&client.post("/api/v1/integrations", &sandbox).await.ok()["id"]);
    sync(client, &sandbox).await;
    let imported = apple_health(client, "imported").await;
    let accepted = import(client, &imported, export(), "?1").await.ok();
    ended(client, &imported, &accepted["run_id"]).await;
    let begun = import(client, &imported, export()[..HALF].to_vec(), "?0").await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let upload = begun.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(repeated(client).await.status, 202);
    receiver.wait(1).await;
    let logs = format!("/api/v1/webhooks/{webhook}/logs");
    client.until(&logs, |logs| logs["total"] == 1).await;
    Kept {
        sandbox,
        imported,
        webhook,
        upload,
        receiver,
    }
}

/// Everything that a product would read, once the views are at `position`.
async fn answers(client: &Client, kept: &Kept, position: u64) -> BTreeMap<String, Value> {
    let path = format!("/api/v1/integrations?after={position}");
    client.until(&path, |list| list["total"] == 2).await;
    let mut answers = BTreeMap::new();
    for path in [
        "/api/v1/integrations".to_owned(),
        format!("/api/v1/integrations/{}/records?size=100", kept.sandbox),
        format!("/api/v1/integrations/{}/records?size=100", kept.imported),
        format!("/api/v1/integrations/{}/sync/logs", kept.imported),
        "/api/v1/webhooks".to_owned(),
        format!("/api/v1/webhooks/{}/logs", kept.webhook),
        "/api/v1/events?after=0&limit=100".to_owned(),
    ] {
        let answer = client.get(&path).await.ok();
        answers.insert(path, answer);
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_in_files_moves_to_jetstream_and_postgresql_and_nobody_can_tell() {
    let embedded = Place {
        home: Home::files(),
        settings: BTreeMap::new(),
    };
    let data = embedded.home.data();
    let (embedded, wharf) = blocking(move || {
        let wharf = embedded.serve();
        (embedded, wharf)
    })
    .await;
    let client = wharf.client("p", Role::Admin);
    let kept = filled(&client).await;
    let tail = client.get("/api/v1/health").await.ok();
    let tail = tail["position"].as_u64().unwrap();
    let before = answers(&client, &kept, tail).await;
    let first = repeated(&client).await;

    let storage = Storage::new(true, true);
    let shared: PathBuf = embedded.home.path().join("shared");
    let mut settings: BTreeMap<_, _> = storage.settings().into_iter().collect();
    settings.insert("WHARF_IMPORT__DIR", shared.display().to_string());
    let postgres = settings["WHARF_DATABASE__URL"].clone();
    let moved = Place {
        home: embedded.home.clone(),
        settings,
    };
    let (from, nats) = (sqlite(&data), Nats::shared().url());
    embedded.fails(&["vault", "copy", &from, &postgres], "in use");

    // The README's steps.
    assert_eq!(blocking(move || wharf.stop()).await, 0);
    let said = moved.ok(&["--json", "log", "copy", &from, &nats]);
    let copied: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let end = copied["tail"].as_u64().unwrap();
    moved.ok(&["vault", "copy", &from, &postgres]);
    std::fs::rename(data.join("uploads"), &shared).unwrap();
    let (moved, wharf) = blocking(move || {
        let wharf = moved.serve();
        (moved, wharf)
    })
    .await;

    let client = wharf.client("p", Role::Admin);
    assert_eq!(
        answers(&client, &kept, end).await,
        before,
        "every answer is the same"
    );
    let again = repeated(&client).await;
    assert_eq!(again.body, first.body, "also to who repeats a request");
    assert_eq!(again.position(), first.position());
    // Positions go on, and the secret signs what is sent.
    let path = "/api/v1/webhooks/events/task.created";
    let posted = client.post(path, &json!({})).await;
    assert_eq!(posted.position(), end + 1);
    let message = text(&posted.ok()["message_id"]);
    let got = kept.receiver.wait(2).await;
    assert_eq!(
        got[1].header("webhook-id"),
        message,
        "what was told before is not told again"
    );
    assert!(got[1].header("webhook-signature").starts_with("v1,"));
    // The credential opens, the page cursors do, and half a file is still half a file.
    sync(&client, &kept.sandbox).await;
    let rest = client.request(Method::PATCH, &kept.upload);
    let rest = rest
        .header("content-type", "application/partial-upload")
        .header("upload-offset", HALF.to_string())
        .header("upload-complete", "?1")
        .body(export()[HALF..].to_vec());
    let whole = Client::send(rest).await;
    assert!((200..300).contains(&whole.status), "{}", whole.text);
    ended(&client, &kept.imported, &whole.ok()["run_id"]).await;
    assert_eq!(kept.receiver.got().len(), 2);
    let more = json!({
        "project_id": "p", "name": "more", "url": kept.receiver.url, "events": ["task.updated"],
    });
    client.post("/api/v1/webhooks", &more).await.ok();

    // And back: nothing is lost on the way.
    let back = embedded.home.path().join("back");
    moved.fails(
        &["vault", "copy", &postgres, &sqlite(&back)],
        "stop every node",
    );
    assert_eq!(blocking(move || wharf.stop()).await, 0);
    let there = moved.ok(&["--json", "vault", "copy", &postgres, &sqlite(&back)]);
    let here = moved.ok(&["--json", "vault", "copy", &postgres, &sqlite(&back)]);
    assert_eq!(there, here, "again, it compares");
    // The file of before is behind by now: it is never copied over what went on.
    moved.fails(&["vault", "copy", &from, &postgres], "of its own");
}
