//! Imports over HTTP: a file in one piece or in many, broken off and resumed, and what it brings.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wharf_tests::{
    client::{Answer, Client, PATIENCE},
    process::workspace,
};

use super::{Shared, admin, apple_health, ended, sandbox, text};

static HUB: Shared = Shared::new();

const COMPLETE: &str = "upload-complete";

pub(super) fn export() -> Vec<u8> {
    fs::read(workspace().join("tests/it/fixtures/export.xml")).unwrap()
}

pub(super) fn path(id: &str) -> String {
    format!("/api/v1/integrations/{id}/import")
}

pub(super) async fn upload(
    client: &Client,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> Answer {
    let mut request = client.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Client::send(request.body(body)).await
}

/// Everything that `import` brought, without what differs from one import to the next.
pub(super) async fn brought(client: &Client, id: &str) -> Vec<Value> {
    let page = client
        .get(&format!("/api/v1/integrations/{id}/records?size=100"))
        .await
        .ok();
    assert_eq!(page["has_more"], false);
    let mut records = page["records"].as_array().unwrap().clone();
    for record in &mut records {
        record["position"] = Value::Null;
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_one_piece_becomes_records() {
    let hub = HUB.hub();
    let client = admin(&hub, "whole");
    let id = apple_health(&client, "whole").await;
    let answer = upload(&client, Method::POST, &path(&id), &[], export()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let position = answer.position();
    let location = answer.headers["location"].to_str().unwrap().to_owned();
    let started = answer.ok();
    assert_eq!(started["bytes"], export().len());
    assert_eq!(started["sha256"], hex::encode(Sha256::digest(export())));
    let run = text(&started["run_id"]);
    assert_eq!(
        location,
        format!("/api/v1/integrations/{id}/sync/runs/{run}")
    );
    client
        .get(&format!("{location}?after={position}"))
        .await
        .ok();

    let run = ended(&client, &id, &run).await;
    assert_eq!(
        (&run["status"], &run["trigger"]),
        (&json!("completed"), &json!("import")),
        "{run}"
    );
    let records = brought(&client, &id).await;
    assert_eq!(json!(records.len()), run["records"]);
    let steps = records
        .iter()
        .find(|record| record["model"] == "steps")
        .unwrap();
    assert_eq!(steps["data"]["count"], 612);
    assert_eq!(steps["start_at"], "2026-01-05T06:00:00Z");
    assert_eq!(steps["source"]["app"], "Kim’s iPhone");
    // The same file again: the same records, none of them twice.
    let again = upload(&client, Method::POST, &path(&id), &[], export())
        .await
        .ok();
    ended(&client, &id, &text(&again["run_id"])).await;
    let keys = |records: &[Value]| {
        let mut keys: Vec<_> = records.iter().map(|record| text(&record["key"])).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&brought(&client, &id).await), keys(&records));
    let logs = client
        .get(&format!("/api/v1/integrations/{id}/sync/logs"))
        .await
        .ok();
    assert_eq!(logs["total"], 2);
    // The file goes when its run has ended.
    let uploads = hub.home.uploads();
    let left = || {
        let folders = fs::read_dir(&uploads).unwrap().flatten();
        let meta = folders.map(|folder| fs::read_to_string(folder.path().join("meta.json")));
        meta.flatten().any(|meta| meta.contains("\"whole\""))
    };
    let gone = async {
        while left() {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(PATIENCE, gone).await;
    assert!(gone.is_ok(), "an imported file stays on the disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_without_files_and_one_without_syncs_say_so() {
    let hub = HUB.hub();
    let client = admin(&hub, "unable");
    let id = sandbox(&client, "unable").await;
    for headers in [&[][..], &[(COMPLETE, "?0")]] {
        upload(&client, Method::POST, &path(&id), headers, export())
            .await
            .is(409, "F42305");
    }
    let id = apple_health(&client, "unable").await;
    client
        .post(&format!("/api/v1/integrations/{id}/sync"), &json!({}))
        .await
        .is(409, "F42305");
    let zone = format!("{}?time_zone=Mars/Olympus", path(&id));
    let refused = upload(&client, Method::POST, &zone, &[], export()).await;
    refused.is(422, "F40022");
    assert_eq!(refused.body["content"]["errors"][0]["field"], "time_zone");
    let runs = client
        .get(&format!("/api/v1/integrations/{id}/sync/logs"))
        .await
        .ok();
    assert_eq!(runs["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_none_fails_its_run_and_one_that_breaks_off_is_partial() {
    let hub = HUB.hub();
    let client = admin(&hub, "no-file");
    let export = export();
    let cut = export.len() * 2 / 3;
    for (what, body, status) in [
        ("empty", vec![], "failed"),
        ("noise", vec![0xfe; 4096], "failed"),
        (
            "another XML",
            b"<?xml version=\"1.0\"?><gpx></gpx>".to_vec(),
            "failed",
        ),
        ("half a zip", b"PK\x03\x04\x14\0\0\0".to_vec(), "failed"),
        ("cut off", export[..cut].to_vec(), "partial"),
    ] {
        let id = apple_health(&client, "no-file").await;
        let started = upload(&client, Method::POST, &path(&id), &[], body)
            .await
            .ok();
        let run = ended(&client, &id, &text(&started["run_id"])).await;
        assert_eq!(run["status"], status, "{what}: {run}");
        assert_eq!(run["error"]["class"], "malformed", "{what}: {run}");
        let count = brought(&client, &id).await.len();
        assert_eq!(count > 0, status == "partial", "{what}: {count} records");
        let one = client.get(&format!("/api/v1/integrations/{id}")).await.ok();
        assert_eq!(one["status"], "active", "{what}: the next file is welcome");
    }
    super::is_well(&hub).await;
}
