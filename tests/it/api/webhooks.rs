//! Webhooks: what a receiver gets, who gets what, and what becomes of it when it does not get through.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use wharf_tests::{
    client::Client,
    receiver::{Got, Receiver},
};

use super::{Shared, admin, attempts, now, receiving, sandbox, send, sync, text, webhook};

static HUB: Shared = Shared::new();

fn hmac(key: &[u8], content: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(content);
    mac.finalize().into_bytes().to_vec()
}

/// The signature of Standard Webhooks 1.0.0 over what arrived.
fn signature(key: &[u8], got: &Got) -> String {
    let (id, timestamp) = (got.header("webhook-id"), got.header("webhook-timestamp"));
    let content = [format!("{id}.{timestamp}.").as_bytes(), &got.body].concat();
    format!("v1,{}", STANDARD.encode(hmac(key, &content)))
}

/// The webhook as the list shows it.
pub(super) async fn read(client: &Client, id: &str) -> Value {
    client.get(&format!("/api/v1/webhooks/{id}")).await.ok()
}

pub(super) fn instant(value: &Value) -> jiff::Timestamp {
    text(value).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_signed_by_the_webhooks_own_secret() {
    let hub = HUB.hub();
    let client = admin(&hub, "signed");
    let (made, hook) = receiving(&client, "signed", json!({})).await;
    let own = json!({ "secret": "webhook_secret", "compat_prefix": "X-DietTracker" });
    let (given, shown) = receiving(&client, "signed", own).await;
    let data = json!({ "service": "部署", "nested": [1, 2.5, null, { "a": "b" }] });
    let message = send(&client, "deployment.completed", &data).await;

    let secret = text(&hook["secret"]);
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    assert_eq!(key.len(), 32);
    assert_eq!(
        shown["secret"], "webhook_secret",
        "shown once, as it was given"
    );
    for (receiver, key) in [(&made, key.as_slice()), (&given, b"webhook_secret")] {
        let got = &receiver.wait(1).await[0];
        assert_eq!(got.header("webhook-signature"), signature(key, got));
        assert_eq!(got.header("webhook-id"), message);
        let timestamp: i64 = got.header("webhook-timestamp").parse().unwrap();
        let now = now().as_second();
        assert!((now - 60..=now).contains(&timestamp), "{timestamp}");
        assert_eq!(got.header("content-type"), "application/json");
        assert!(got.header("user-agent").starts_with("wharf/"));
        let body = got.json();
        assert_eq!(body["type"], "deployment.completed");
        assert_eq!(body["data"], data);
        assert!(instant(&body["timestamp"]).as_second() <= timestamp);
    }
    let (made, given) = (&made.got()[0], &given.got()[0]);
    assert_ne!(
        made.header("webhook-signature"),
        given.header("webhook-signature")
    );
    // The documents' own pair, only where it is asked for.
    let digest = hex::encode(hmac(b"webhook_secret", &given.body));
    assert_eq!(given.header("x-diettracker-signature"), digest);
    assert_eq!(given.header("x-diettracker-event"), "deployment.completed");
    assert!(
        !made
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("x-")),
        "{:?}",
        made.headers
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_headers_are_sent_and_changed_ones_too() {
    let hub = HUB.hub();
    let client = admin(&hub, "headers-sent");
    let headers = json!({ "headers": { "Authorization": "Bearer token", "X-Tenant": "äöü" } });
    let (receiver, hook) = receiving(&client, "headers-sent", headers).await;
    send(&client, "task.created", &json!(1)).await;
    let got = &receiver.wait(1).await[0];
    assert_eq!(got.header("authorization"), "Bearer token");
    assert_eq!(got.headers["x-tenant"].as_bytes(), "äöü".as_bytes());

    let path = format!("/api/v1/webhooks/{}", text(&hook["id"]));
    let change =
        json!({ "headers": { "authorization": "Bearer new", "x-tenant": null, "X-More": "1" } });
    client.json(Method::PATCH, &path, &change).await.ok();
    send(&client, "task.created", &json!(2)).await;
    let got = &receiver.wait(2).await[1];
    assert_eq!(got.header("authorization"), "Bearer new");
    assert_eq!(got.headers.get_all("authorization").iter().count(), 1);
    assert_eq!((got.header("x-tenant"), got.header("x-more")), ("", "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_secret_is_shown_once_and_masked_ever_after() {
    let hub = HUB.hub();
    let client = admin(&hub, "masked");
    let more = json!({
        "secret": "planted-secret-4242", "headers": { "Authorization": "Bearer planted-header-4242" },
    });
    let created = webhook(&client, "masked", "https://example.com/", more).await;
    assert_eq!(created["secret"], "planted-secret-4242");
    let path = format!("/api/v1/webhooks/{}", text(&created["id"]));
    let renamed = client
        .json(Method::PATCH, &path, &json!({ "name": "renamed" }))
        .await;
    for answer in [
        renamed,
        client.get(&path).await,
        client.get("/api/v1/webhooks").await,
        client.get("/api/v1/events").await,
    ] {
        assert_eq!(answer.status, 200);
        assert!(!answer.text.contains("planted"), "{}", answer.text);
    }
    let shown = read(&client, &text(&created["id"])).await;
    assert_eq!(shown["secret"], "whsec_…4242", "to recognise it by");
    assert_eq!(shown["headers"], json!({ "Authorization": "***" }));

    // A new secret signs the next message; the masked one sent back is no new one.
    let receiver = Receiver::start().await;
    let change =
        json!({ "url": receiver.url, "secret": "another-secret-of-mine", "events": ["user.*"] });
    let changed = client.json(Method::PATCH, &path, &change).await;
    assert!(!changed.text.contains("another"), "{}", changed.text);
    let masked = json!({ "secret": changed.ok()["secret"] });
    client.json(Method::PATCH, &path, &masked).await.ok();
    send(&client, "user.updated", &json!({})).await;
    let got = &receiver.wait(1).await[0];
    assert_eq!(
        got.header("webhook-signature"),
        signature(b"another-secret-of-mine", got)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_to_the_webhooks_that_subscribe_to_their_type() {
    let hub = HUB.hub();
    let client = admin(&hub, "filter");
    let mut hooks = vec![];
    for events in [
        json!(["task.created"]),
        json!(["task.*"]),
        json!(["*"]),
        json!(["user.registered", "deployment.*"]),
        json!(["sync.completed"]),
        // A prefix ends at a dot: this is no family.
        json!(["tas"]),
    ] {
        hooks.push(receiving(&client, "filter", json!({ "events": events })).await);
    }
    let sent = [
        "task.created",
        "task.completed",
        "user.registered",
        "deployment.failed",
        "project.deleted",
    ];
    for event_type in sent {
        send(&client, event_type, &json!({})).await;
    }
    let id = sandbox(&client, "filter").await;
    let run = sync(&client, &id, &json!({})).await;
    // The last message comes after all others were planned.
    hooks[4].0.wait(1).await;
    let all = [&sent[..], &["sync.completed"]].concat();
    let wanted: [&[&str]; 6] = [
        &["task.created"],
        &["task.created", "task.completed"],
        &all,
        &["user.registered", "deployment.failed"],
        &["sync.completed"],
        &[],
    ];
    for ((receiver, hook), wanted) in hooks.iter().zip(wanted) {
        attempts(&client, &text(&hook["id"]), wanted.len() as u64).await;
        let got: BTreeSet<_> = receiver
            .got()
            .iter()
            .map(|got| text(&got.json()["type"]))
            .collect();
        assert_eq!(
            got,
            wanted.iter().map(ToString::to_string).collect(),
            "{}",
            hook["events"]
        );
        assert_eq!(receiver.got().len(), wanted.len(), "one delivery each");
    }
    let told = hooks[4].0.got()[0].json();
    assert_eq!(told["data"]["integration_id"], id);
    assert_eq!(
        (&told["data"]["run_id"], &told["data"]["records"]),
        (&run["run_id"], &json!(250))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_webhook_gets_nothing_and_later_nothing_of_the_past() {
    let hub = HUB.hub();
    let client = admin(&hub, "inactive");
    let (quiet, hook) = receiving(&client, "inactive", json!({ "is_active": false })).await;
    let (witness, _) = receiving(&client, "inactive", json!({})).await;
    let path = format!("/api/v1/webhooks/{}", text(&hook["id"]));
    client
        .post(&format!("{path}/test"), &json!({}))
        .await
        .is(409, "F40009");
    send(&client, "task.created", &json!("while off")).await;
    witness.wait(1).await;
    client
        .json(Method::PATCH, &path, &json!({ "is_active": true }))
        .await
        .ok();
    send(&client, "task.created", &json!("while on")).await;
    assert_eq!(quiet.wait(1).await[0].json()["data"], "while on");
    client
        .json(Method::PATCH, &path, &json!({ "is_active": false }))
        .await
        .ok();
    send(&client, "task.created", &json!("off again")).await;
    witness.wait(3).await;
    let logs = attempts(&client, &text(&hook["id"]), 1).await;
    assert_eq!(logs[0]["status"], "succeeded");
    assert_eq!(quiet.got().len(), 1);
}
