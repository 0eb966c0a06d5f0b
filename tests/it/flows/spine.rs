//! The spine: a real export becomes records, a webhook hears of it, the log tells every step, and the
//! views can be thrown away.

use std::path::Path;

use serde_json::{Value, json};
use wharf_domain::access::Role;
use wharf_tests::{
    client::Client,
    peers,
    process::{Home, workspace},
    receiver::{Got, Receiver},
};

fn export() -> std::path::PathBuf {
    workspace().join("tests/it/fixtures/export.xml")
}

/// Imports `file` through the command line; answers what it says at the end.
async fn import(home: &Home, file: &Path) -> Value {
    let (home, file) = (home.clone(), file.to_str().unwrap().to_owned());
    let args = move || {
        let (code, out, errors) =
            home.run(&["import", "apple_health", &file, "--project", "p", "--json"]);
        assert_eq!(code, 0, "{out}{errors}");
        serde_json::from_str(out.lines().last().unwrap()).unwrap()
    };
    tokio::task::spawn_blocking(args).await.unwrap()
}

async fn records(client: &Client, integration: &str, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/integrations/{integration}/records?size=100{query}");
    client.get(&path).await.ok()["records"]
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_imported_queried_announced_and_told() {
    let home = Home::default();
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    let receiver = Receiver::start().await;
    let webhook = client
        .post("/api/v1/webhooks", &json!({
            "project_id": "p", "name": "imports", "url": receiver.url, "events": ["sync.completed"],
        }))
        .await
        .ok();

    let done = import(&home, &export()).await;
    assert_eq!(done["state"], "completed", "{done}");
    let id = done["integration_id"].as_str().unwrap();

    // Right values, units, instants and sources.
    let steps = &records(&client, id, "&model=steps").await[0];
    assert_eq!(steps["data"]["count"], 612);
    assert_eq!(steps["start_at"], "2026-01-05T06:00:00Z");
    assert_eq!(steps["end_at"], "2026-01-05T06:09:30Z");
    assert_eq!(steps["source"]["app"], "Kim’s iPhone");
    assert_eq!(steps["source"]["manufacturer"], "Apple Inc.");
    assert!(
        !steps.to_string().contains("0x282a45810"),
        "a memory address is no source"
    );
    let near = |value: &Value, wanted: f64| {
        let got = value.as_f64().unwrap();
        assert!((got - wanted).abs() < 1e-6, "{got} is not {wanted}");
    };
    near(
        &records(&client, id, "&model=body_weight").await[0]["data"]["value"],
        157.4 * 0.453_592_37,
    );
    near(
        &records(&client, id, "&model=distance").await[0]["data"]["meters"],
        1.5 * 1609.344,
    );
    near(
        &records(&client, id, "&model=energy").await[0]["data"]["active_kcal"],
        100.0,
    );
    near(
        &records(&client, id, "&model=body_fat").await[0]["data"]["value"],
        0.213,
    );
    near(
        &records(&client, id, "&model=heart_rate").await[0]["data"]["bpm"],
        71.0,
    );
    let sleep = &records(&client, id, "&model=sleep_stage").await[0];
    assert_eq!(sleep["start_at"], "2026-01-04T22:02:00Z");
    assert_eq!(sleep["time_zone"], "Europe/Paris");
    assert_eq!(sleep["civil_date"], "2026-01-04", "23:02 to 23:40 in Paris");
    let workout = &records(&client, id, "&model=workout").await[0];
    near(&workout["data"]["distance_m"], 5230.0);
    assert_eq!(
        records(&client, id, "&model=activity_summary").await[0]["time_quality"],
        "date_only"
    );

    // One signed message, verified by a library that is not ours.
    let got = receiver.wait(1).await;
    let message = got[0].json();
    assert_eq!(message["type"], "sync.completed");
    assert_eq!(message["data"]["integration_id"], id);
    assert_eq!(message["data"]["records"], done["records"]);
    verify(webhook["secret"].as_str().unwrap(), &got[0], true);
    verify(
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        &got[0],
        false,
    );

    // The log tells every step, in order.
    let webhook_id = webhook["id"].as_str().unwrap();
    client
        .until(&format!("/api/v1/webhooks/{webhook_id}/logs"), |logs| {
            logs["total"] == 1
        })
        .await;
    let (code, out, _) = home.run(&["log", "replay", "--project", "p", "--json"]);
    assert_eq!(code, 0);
    let told: Vec<String> = out
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let mut steps = told.iter();
    for step in [
        "webhook.created",
        "integration.created",
        "integration.sync_requested",
        "sync_run.started",
        "sync_run.page_recorded",
        "sync_run.completed",
        "message.accepted",
        "delivery.attempt_succeeded",
    ] {
        assert!(
            steps.any(|told| told == step),
            "{step} is missing or late in {told:?}"
        );
    }
    assert!(told.contains(&"integration.sync_settled".to_owned()));
}

/// Asks the `standardwebhooks` package of `PyPI`.
#[track_caller]
fn verify(secret: &str, got: &Got, expected: bool) {
    let python = peers::program("python").unwrap();
    let script = "
import sys, json
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
given = json.load(sys.stdin)
try:
    Webhook(given['secret']).verify(given['body'], given['headers'])
    print('verified')
except WebhookVerificationError:
    print('refused')
";
    let given = json!({
        "secret": secret,
        "body": String::from_utf8(got.body.to_vec()).unwrap(),
        "headers": {
            "webhook-id": got.header("webhook-id"),
            "webhook-timestamp": got.header("webhook-timestamp"),
            "webhook-signature": got.header("webhook-signature"),
        },
    });
    let mut child = std::process::Command::new(python)
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(
        &mut child.stdin.take().unwrap(),
        given.to_string().as_bytes(),
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.trim(), if expected { "verified" } else { "refused" });
}

/// Every read of the API that a project can make, as bytes.
async fn answers(client: &Client) -> Vec<(String, String)> {
    let mut paths = vec![
        "/api/v1/integrations".to_owned(),
        "/api/v1/webhooks".to_owned(),
        "/api/v1/events?limit=100".to_owned(),
    ];
    let integrations = client.get(&paths[0]).await.ok();
    for integration in integrations["integrations"].as_array().unwrap() {
        let id = integration["id"].as_str().unwrap();
        paths.push(format!("/api/v1/integrations/{id}"));
        paths.push(format!("/api/v1/integrations/{id}/sync/logs"));
        paths.push(format!("/api/v1/integrations/{id}/events"));
        paths.push(format!("/api/v1/integrations/{id}/records?size=100"));
        paths.push(format!(
            "/api/v1/integrations/{id}/records?size=100&deleted=true"
        ));
    }
    let webhooks = client.get(&paths[1]).await.ok();
    for webhook in webhooks["webhooks"].as_array().unwrap() {
        let id = webhook["id"].as_str().unwrap();
        paths.push(format!("/api/v1/webhooks/{id}"));
        paths.push(format!("/api/v1/webhooks/{id}/logs?size=100"));
    }
    let mut answers = vec![];
    for path in paths {
        let answer = client.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answers.push((path, answer.text));
    }
    answers
}

/// Fills a hub with a bit of everything and waits until it is at rest.
async fn fill(home: &Home, client: &Client, receiver: &Receiver) {
    client
        .post(
            "/api/v1/webhooks",
            &json!({
                "project_id": "p", "name": "all", "url": receiver.url, "events": ["*"],
                "retry_config": { "max_retries": 3, "retry_delay": 1 },
            }),
        )
        .await
        .ok();
    receiver.reply([(axum::http::StatusCode::BAD_GATEWAY, vec![])]);
    client
        .post("/api/v1/webhooks/events/task.created", &json!({ "id": 1 }))
        .await
        .ok();
    let sandbox = client
        .post(
            "/api/v1/integrations",
            &json!({
                "project_id": "p", "integration_type": "sandbox", "name": "s", "configuration": {},
                "auth_config": { "auth_type": "bearer", "access_token": "sandbox_spine" },
            }),
        )
        .await
        .ok();
    let id = sandbox["id"].as_str().unwrap();
    client
        .post(&format!("/api/v1/integrations/{id}/sync"), &json!({}))
        .await
        .ok();
    import(home, &export()).await;
    // Two syncs and one event, one of them answered 502 first.
    receiver.wait(4).await;
    client
        .until("/api/v1/webhooks", |list| {
            let webhook = &list["webhooks"][0];
            webhook["success_count"] == 3 && webhook["failure_count"] == 1
        })
        .await;
    let settled = |list: &Value| {
        list["integrations"]
            .as_array()
            .unwrap()
            .iter()
            .all(|i| i["last_sync_at"].is_string())
    };
    client.until("/api/v1/integrations", settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv01_views_deleted_and_replayed_give_the_same_bytes() {
    let home = Home::default();
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    let receiver = Receiver::start().await;
    fill(&home, &client, &receiver).await;
    let before = answers(&client).await;

    // Beside the live ones, then swapped, while the hub runs.
    let (code, out, errors) = tokio::task::spawn_blocking({
        let home = home.clone();
        move || home.run(&["views", "rebuild"])
    })
    .await
    .unwrap();
    assert_eq!(code, 0, "{out}{errors}");
    assert_eq!(answers(&client).await, before, "after wharf views rebuild");

    // And from nothing at all.
    assert_eq!(wharf.stop(), 0);
    home.storage().forget_views(&home.data()).await;
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    client.until("/api/v1/health/ready", Value::is_object).await;
    assert_eq!(
        answers(&client).await,
        before,
        "after the views were deleted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inv04_no_planted_secret_is_found_outside_the_vaults_ciphertext() {
    const TOKEN: &str = "sandbox_planted-credential-4242";
    const HEADER: &str = "Bearer planted-header-4242";
    const SECRET: &str = "planted-signing-secret-4242";
    let home = Home::default();
    let wharf = home.serve();
    let client = wharf.client("p", Role::Admin);
    let receiver = Receiver::start().await;
    client
        .post("/api/v1/webhooks", &json!({
            "project_id": "p", "name": "w", "url": receiver.url, "events": ["*"], "secret": SECRET,
            "headers": { "Authorization": HEADER },
        }))
        .await
        .ok();
    let sandbox = client
        .post(
            "/api/v1/integrations",
            &json!({
                "project_id": "p", "integration_type": "sandbox", "name": "s", "configuration": {},
                "auth_config": { "auth_type": "bearer", "access_token": TOKEN },
            }),
        )
        .await
        .ok();
    let id = sandbox["id"].as_str().unwrap();
    client
        .post(&format!("/api/v1/integrations/{id}/sync"), &json!({}))
        .await
        .ok();
    let got = receiver.wait(1).await;
    assert_eq!(got[0].header("authorization"), HEADER, "it is sent");
    let metrics = client.get("/metrics").await.text;
    let mut shown = answers(&client).await;
    shown.push(("/metrics".to_owned(), metrics));
    assert_eq!(wharf.stop(), 0);

    for secret in [
        TOKEN,
        HEADER,
        SECRET,
        "planted-header",
        "planted-credential",
        "planted-signing",
    ] {
        for (path, text) in &shown {
            assert!(!text.contains(secret), "{path} shows {secret}");
        }
        for file in files(&home.data()) {
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {secret}", file.display());
        }
    }
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all = vec![];
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.is_file() {
            all.push(path);
        }
    }
    all
}
