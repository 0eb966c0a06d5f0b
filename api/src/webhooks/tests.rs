//! Webhooks through the API.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use serde_json::{Value, json};
use wharf_domain::{
    kernel::WebhookId,
    ports::{Scope, SecretRef},
    webhooks::{HEADERS_FIELD, SECRET_FIELD},
};

use super::secrets::{check_headers, check_prefix, check_secret, hint, merge};
use crate::testing::{Hub, MemoryAnswers};

const PATH: &str = "/api/v1/webhooks";

/// The contract's own example.
fn example() -> Value {
    json!({
        "project_id": "project123",
        "name": "部署通知",
        "url": "https://api.example.com/webhook",
        "events": ["deployment.completed", "deployment.failed"],
        "headers": {"Authorization": "Bearer planted-token"},
        "secret": "webhook_secret",
        "is_active": true,
        "timeout_seconds": 30
    })
}

fn secret(hub: &Hub, id: &str, field: &'static str, generation: u64) -> Option<String> {
    let id: WebhookId = id.parse().unwrap();
    hub.vault.peek(&SecretRef {
        scope: Scope::Webhook("project123".parse().unwrap(), id),
        field,
        generation,
    })
}

async fn created(hub: &Hub, body: Value) -> Value {
    hub.call("POST", PATH, body)
        .await
        .expect(201, "S10000")
        .content()
}

#[tokio::test]
async fn the_contracts_example_makes_a_webhook_of_its_shape() {
    let hub = Hub::new().await;
    let shown = created(&hub, example()).await;
    let id = shown["id"].as_str().unwrap();
    let mut expected = json!({
        "id": id,
        "project_id": "project123",
        "name": "部署通知",
        "url": "https://api.example.com/webhook",
        "events": ["deployment.completed", "deployment.failed"],
        "headers": {"Authorization": "***"},
        "secret": "webhook_secret",
        "is_active": true,
        "disabled_reason": null,
        "retry_config": null,
        "timeout_seconds": 30,
        "compat_prefix": null,
        "last_triggered_at": null,
        "success_count": 0,
        "failure_count": 0,
        "created_by": "alice",
        "created_at": "2026-01-31T12:00:00Z",
    });
    assert_eq!(shown, expected);
    expected["secret"] = json!("whsec_…cret");
    let read = hub
        .get(&format!("{PATH}/{id}"))
        .await
        .expect(200, "S10000")
        .content();
    assert_eq!(read, expected);
    let list = hub
        .get(&format!("{PATH}?project_id=project123"))
        .await
        .content();
    assert_eq!(
        list,
        json!({"webhooks": [expected], "total": 1, "page": 1, "size": 20})
    );
}

#[tokio::test]
async fn secrets_are_in_the_vault_and_nowhere_else() {
    let hub = Hub::new().await;
    let shown = created(&hub, example()).await;
    let id = shown["id"].as_str().unwrap();
    assert_eq!(secret(&hub, id, SECRET_FIELD, 1).unwrap(), "webhook_secret");
    let headers = secret(&hub, id, HEADERS_FIELD, 1).unwrap();
    assert_eq!(headers, r#"{"Authorization":"Bearer planted-token"}"#);
    for commit in hub.log.all() {
        let body = String::from_utf8_lossy(&commit.body).into_owned();
        assert!(
            !body.contains("planted-token") && !body.contains("webhook_secret"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_secret_is_made_unless_given_and_shown_once() {
    let hub = Hub::new().await;
    let mut body = example();
    body.as_object_mut().unwrap().remove("secret");
    let shown = created(&hub, body).await;
    let made = shown["secret"].as_str().unwrap();
    assert!(made.starts_with("whsec_") && made.len() == 50, "{made}");
    let id = shown["id"].as_str().unwrap();
    assert_eq!(secret(&hub, id, SECRET_FIELD, 1).unwrap(), made);
    let read = hub.get(&format!("{PATH}/{id}")).await.content();
    let masked = format!("whsec_…{}", &made[made.len() - 4..]);
    assert_eq!(read["secret"], masked);
}

#[tokio::test]
async fn a_repeat_whose_answer_was_lost_keeps_the_made_secret() {
    let answers = Arc::new(MemoryAnswers::default());
    let hub = Hub::with(|state| state.answers = answers.clone()).await;
    let mut body = example();
    body.as_object_mut().unwrap().remove("secret");
    let first = hub
        .call_once("k", PATH, body.clone())
        .await
        .expect(201, "S10000")
        .content();
    answers.forget();
    let again = hub
        .call_once("k", PATH, body)
        .await
        .expect(201, "S10000")
        .content();
    assert_eq!(again["secret"], first["secret"]);
    assert_eq!(again["id"], first["id"]);
}

#[tokio::test]
async fn a_bad_webhook_is_refused_by_field_and_leaves_nothing() {
    let hub = Hub::new().await;
    for (field, value, named) in [
        ("url", json!("http://127.0.0.1/x"), "url"),
        ("url", json!("not a url"), "url"),
        ("name", json!(""), "name"),
        ("events", json!([]), "events"),
        ("events", json!(["not a topic"]), "events"),
        ("secret", json!("short"), "secret"),
        ("secret", json!("whsec_@@@@@@@@@@@@@@@@"), "secret"),
        ("timeout_seconds", json!(0), "timeout_seconds"),
        ("timeout_seconds", json!("30"), "timeout_seconds"),
        (
            "retry_config",
            json!({"max_retries": 99, "retry_delay": 5}),
            "retry_config",
        ),
        (
            "retry_config",
            json!({"max_retries": 3}),
            "retry_config.retry_delay",
        ),
        (
            "headers",
            json!({"Content-Length": "7"}),
            "headers.Content-Length",
        ),
        ("headers", json!({"Webhook-Id": "7"}), "headers.Webhook-Id"),
        ("headers", json!({"X-A": "b\r\nc: d"}), "headers.X-A"),
        ("headers", json!({"not a name": "7"}), "headers.not a name"),
        ("headers", json!({"X-A": "1", "x-a": "2"}), "headers.x-a"),
        ("compat_prefix", json!("X Diet"), "compat_prefix"),
        ("webhook_url", json!("x"), "webhook_url"),
    ] {
        let mut body = example();
        body[field] = value;
        let answer = hub.call("POST", PATH, body).await.expect(422, "F40022");
        assert_eq!(answer.fields(), [named]);
    }
    assert!(hub.log.all().is_empty());
    assert_eq!(hub.vault.len(), 0);
}

#[tokio::test]
async fn a_change_leaves_what_comes_back_masked() {
    let hub = Hub::new().await;
    let id = created(&hub, example()).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let uri = format!("{PATH}/{id}");
    let read = hub.get(&uri).await.content();
    // A client that reads, changes one thing and puts everything back.
    let mut put = json!({});
    for field in [
        "project_id",
        "name",
        "url",
        "events",
        "headers",
        "secret",
        "is_active",
        "retry_config",
        "timeout_seconds",
    ] {
        put[field] = read[field].clone();
    }
    put["name"] = json!("New name");
    let changed = hub
        .call("PUT", &uri, put)
        .await
        .expect(200, "S10000")
        .content();
    assert_eq!(changed["name"], "New name");
    assert!(secret(&hub, &id, SECRET_FIELD, 2).is_none());
    assert!(secret(&hub, &id, HEADERS_FIELD, 2).is_none());
    let patch = json!({"headers": {"X-More": "m"}, "secret": "another_secret"});
    let changed = hub
        .call("PATCH", &uri, patch)
        .await
        .expect(200, "S10000")
        .content();
    assert_eq!(
        changed["headers"],
        json!({"Authorization": "***", "X-More": "***"})
    );
    assert_eq!(changed["secret"], "whsec_…cret");
    assert_eq!(
        secret(&hub, &id, SECRET_FIELD, 2).unwrap(),
        "another_secret"
    );
    let headers = secret(&hub, &id, HEADERS_FIELD, 2).unwrap();
    assert_eq!(
        headers,
        r#"{"Authorization":"Bearer planted-token","X-More":"m"}"#
    );
    let cleared = hub
        .call("PATCH", &uri, json!({"headers": null}))
        .await
        .expect(200, "S10000");
    assert_eq!(cleared.content()["headers"], json!({}));
}

#[tokio::test]
async fn a_retry_schedule_can_be_set_and_taken_back() {
    let hub = Hub::new().await;
    let id = created(&hub, example()).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let uri = format!("{PATH}/{id}");
    let schedule = json!({"max_retries": 3, "retry_delay": 5});
    let set = hub
        .call("PUT", &uri, json!({"retry_config": schedule}))
        .await
        .content();
    assert_eq!(set["retry_config"], schedule);
    let back = hub
        .call("PUT", &uri, json!({"retry_config": null}))
        .await
        .content();
    assert_eq!(back["retry_config"], Value::Null);
}

#[tokio::test]
async fn a_list_is_filtered_by_activity() {
    let hub = Hub::new().await;
    let id = created(&hub, example()).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    created(&hub, example()).await;
    let off = json!({"is_active": false});
    hub.call("PUT", &format!("{PATH}/{id}"), off)
        .await
        .expect(200, "S10000");
    let inactive = hub.get(&format!("{PATH}?is_active=false")).await.content();
    assert_eq!(
        (&inactive["total"], &inactive["webhooks"][0]["id"]),
        (&json!(1), &json!(id))
    );
    hub.get(&format!("{PATH}?is_active=maybe"))
        .await
        .expect(422, "F40022");
}

#[tokio::test]
async fn a_test_of_an_inactive_webhook_is_refused() {
    let hub = Hub::new().await;
    let mut body = example();
    body["is_active"] = json!(false);
    let id = created(&hub, body).await["id"].as_str().unwrap().to_owned();
    let answer = hub
        .call("POST", &format!("{PATH}/{id}/test"), json!({}))
        .await;
    answer.expect(409, "F40009");
}

#[tokio::test]
async fn a_test_that_is_not_over_in_time_is_accepted() {
    let hub = Hub::with(|state| state.options.test_wait = std::time::Duration::ZERO).await;
    let id = created(&hub, example()).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let body = json!({"test_payload": {"message": "測試消息"}});
    let answer = hub
        .call("POST", &format!("{PATH}/{id}/test"), body)
        .await
        .expect(202, "S10000");
    assert!(answer.content()["message_id"].is_string());
    assert_eq!(
        hub.log.all().last().unwrap().stream.to_string(),
        "project123.message.main"
    );
}

#[tokio::test]
async fn a_webhook_that_the_views_do_not_show_yet_still_shows_its_secret() {
    let hub = Hub::new().await;
    hub.projecting.store(false, Ordering::Relaxed);
    let answer = hub
        .call("POST", PATH, example())
        .await
        .expect(202, "S10000");
    assert_eq!(answer.content()["secret"], "webhook_secret");
}

#[test]
fn a_hint_is_the_end_of_a_secret() {
    assert_eq!(hint("whsec_abcdef"), "cdef");
    assert_eq!(hint("äöü"), "äöü");
}

#[test]
fn secrets_and_prefixes_have_bounds() {
    assert!(check_secret("webhook_secret").is_ok());
    assert!(check_secret("whsec_MDEyMzQ1Njc4OWFiY2RlZg==").is_ok());
    assert!(check_secret("whsec_AAAA").is_err());
    assert!(check_secret(&"x".repeat(257)).is_err());
    assert!(check_prefix("X-DietTracker").is_ok());
    for bad in ["", "-X", "X-", "webhook", "X\r\n", &"x".repeat(41)] {
        assert!(check_prefix(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn headers_merge_without_regard_to_case() {
    let text = |text: &str| text.to_owned();
    let mut headers = BTreeMap::from([(text("X-A"), text("1")), (text("X-B"), text("2"))]);
    let patch = BTreeMap::from([
        (text("x-a"), Some(text("***"))),
        (text("x-b"), Some(text("3"))),
        (text("X-C"), Some(text("***"))),
    ]);
    merge(&mut headers, Some(patch));
    let expected = [("X-A", "1"), ("X-C", "***"), ("x-b", "3")];
    assert!(
        headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .eq(expected)
    );
    merge(&mut headers, Some(BTreeMap::from([(text("X-A"), None)])));
    assert!(!headers.contains_key("X-A"));
    assert!(check_headers(headers).is_ok());
}
