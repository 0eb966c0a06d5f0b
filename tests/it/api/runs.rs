//! Runs: an integration has one at a time, and one that cannot start says why.

use reqwest::Method;
use serde_json::json;

use super::{Shared, admin, ended, platform, sandbox, sync, text};

static HUB: Shared = Shared::new();

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_has_one_run_at_a_time_unless_forced() {
    let hub = HUB.hub();
    let client = admin(&hub, "one-run");
    let id = sandbox(&client, "one-run").await;
    let slow = json!({ "kind": "slow", "count": 1 });
    platform(&hub, "one-run", Method::PUT, "/faults", slow).await;
    let path = format!("/api/v1/integrations/{id}/sync");
    let first = text(&client.post(&path, &json!({})).await.ok()["run_id"]);
    let open = client.get(&format!("/api/v1/integrations/{id}")).await.ok();
    assert_eq!(open["open_run_id"], first);

    let refused = client
        .post(&path, &json!({ "sync_type": "incremental" }))
        .await;
    refused.is(409, "F42305");
    assert!(
        text(&refused.body["content"]["detail"]).contains(&first),
        "which run is in the way"
    );
    let run = format!("/api/v1/integrations/{id}/sync/runs/{first}");
    assert_eq!(
        client.get(&run).await.ok()["status"],
        "running",
        "the refusal touched it"
    );

    let second = text(&client.post(&path, &json!({ "force": true })).await.ok()["run_id"]);
    assert_ne!(first, second);
    assert_eq!(client.get(&run).await.ok()["status"], "superseded");
    let second = ended(&client, &id, &second).await;
    assert_eq!(
        (&second["status"], &second["records"]),
        (&json!("completed"), &json!(250))
    );
    let logs = client
        .get(&format!("/api/v1/integrations/{id}/sync/logs"))
        .await
        .ok();
    let statuses: Vec<_> = logs["logs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| text(&run["status"]))
        .collect();
    assert_eq!(statuses, ["completed", "superseded"]);
    // Nothing stands in the way of the next.
    let third = sync(&client, &id, &json!({ "sync_type": "delta" })).await;
    assert_eq!(
        (&third["status"], &third["sync_type"]),
        (&json!("completed"), &json!("delta"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_start_says_why() {
    let hub = HUB.hub();
    let client = admin(&hub, "cannot");
    let start = |id: String| {
        let client = client.clone();
        async move {
            client
                .post(&format!("/api/v1/integrations/{id}/sync"), &json!({}))
                .await
        }
    };
    // Paused by a caller.
    let id = sandbox(&client, "cannot").await;
    let one = format!("/api/v1/integrations/{id}");
    client
        .json(Method::PATCH, &one, &json!({ "status": "inactive" }))
        .await
        .ok();
    start(id.clone()).await.is(409, "F42305");
    client
        .json(Method::PATCH, &one, &json!({ "status": "active" }))
        .await
        .ok();
    // Refused by the platform: the account must be connected again.
    let unauthorized = json!({ "kind": "unauthorized", "count": 1 });
    platform(&hub, "cannot", Method::PUT, "/faults", unauthorized).await;
    let run = sync(&client, &id, &json!({})).await;
    assert_eq!(
        (&run["status"], &run["error"]["class"]),
        (&json!("failed"), &json!("unauthorized"))
    );
    let failed = client.until(&one, |one| one["status"] == "error").await;
    assert_eq!(failed["status_detail"], "needs_reauth");
    assert!(failed["sync_error_message"].is_string(), "{failed}");
    start(id.clone()).await.is(409, "F42308");
    client
        .json(Method::PATCH, &one, &json!({ "status": "active" }))
        .await
        .is(409, "F42308");
    let credential = json!({
        "auth_config": { "auth_type": "bearer", "access_token": "sandbox_cannot" },
    });
    assert_eq!(
        client.json(Method::PATCH, &one, &credential).await.ok()["status"],
        "active"
    );
    assert_eq!(sync(&client, &id, &json!({})).await["status"], "completed");
    let mended = client.get(&one).await.ok();
    assert!(mended["sync_error_message"].is_null(), "{mended}");
    assert!(mended["last_sync_at"].is_string(), "{mended}");
}
