//! Deliveries: what becomes of a message whose receiver fails, is slow, asks for time or is gone; what
//! the logs and counters say of it.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::client::Client;

use super::{
    Shared, admin, attempts, now, receiving, send, text, webhook,
    webhooks::{instant, read},
};

static HUB: Shared = Shared::new();

fn retries(max_retries: u32) -> Value {
    json!({ "retry_config": { "max_retries": max_retries, "retry_delay": 1 } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_repeated_as_configured_until_it_succeeds() {
    let hub = HUB.hub();
    let client = admin(&hub, "retry");
    let (receiver, hook) = receiving(&client, "retry", retries(3)).await;
    receiver.reply([
        (StatusCode::BAD_GATEWAY, vec![]),
        (StatusCode::NOT_FOUND, vec![]),
        (StatusCode::CREATED, vec![]),
    ]);
    let message = send(&client, "task.created", &json!({ "n": 1 })).await;
    let id = text(&hook["id"]);
    let logs = attempts(&client, &id, 3).await;
    let told: Vec<_> = logs
        .iter()
        .rev()
        .map(|log| {
            (
                log["attempt"].clone(),
                text(&log["status"]),
                log["response_status"].clone(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (json!(1), "failed".to_owned(), json!(502)),
            (json!(2), "failed".to_owned(), json!(404)),
            (json!(3), "succeeded".to_owned(), json!(201)),
        ]
    );
    let mut ids = BTreeSet::new();
    for log in &logs {
        assert_eq!(
            (&log["message_id"], &log["webhook_id"]),
            (&json!(message), &json!(id))
        );
        assert_eq!(log["event_type"], "task.created");
        assert!(ids.insert(text(&log["id"])), "{log}");
        let failed = log["status"] == "failed";
        assert_eq!(log["error_message"].is_string(), failed, "{log}");
        assert_eq!(log["next_attempt_at"].is_string(), failed, "{log}");
    }
    // A second apart, give or take a fifth; the attempt comes at its time and not before.
    for pair in logs.windows(2) {
        let (later, earlier) = (&pair[0], &pair[1]);
        let due = instant(&earlier["next_attempt_at"]);
        let wait = due
            .duration_since(instant(&earlier["started_at"]))
            .as_millis();
        assert!((800..=1500).contains(&wait), "due after {wait} ms");
        assert!(instant(&later["started_at"]) >= due, "{later} before {due}");
    }
    // The same message each time: the receiver can tell by its id.
    let got = receiver.got();
    assert_eq!(got.len(), 3);
    for got in &got {
        assert_eq!(
            (got.header("webhook-id"), &got.body),
            (&*message, &receiver.got()[0].body)
        );
    }
    let counted = read(&client, &id).await;
    assert_eq!(
        (&counted["success_count"], &counted["failure_count"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(counted["last_triggered_at"], logs[0]["started_at"]);
    for (query, total) in [
        ("succeeded=true", 1),
        ("succeeded=false", 2),
        (&*format!("message_id={message}"), 3),
    ] {
        let path = format!("/api/v1/webhooks/{id}/logs?{query}");
        assert_eq!(client.get(&path).await.ok()["total"], total, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_retry_a_delivery_is_exhausted() {
    let hub = HUB.hub();
    let client = admin(&hub, "exhausted");
    let (receiver, hook) = receiving(&client, "exhausted", retries(1)).await;
    receiver.reply([
        (StatusCode::INTERNAL_SERVER_ERROR, vec![]),
        (StatusCode::SERVICE_UNAVAILABLE, vec![]),
    ]);
    send(&client, "task.created", &json!(1)).await;
    let id = text(&hook["id"]);
    let logs = attempts(&client, &id, 2).await;
    let told: Vec<_> = logs
        .iter()
        .rev()
        .map(|log| (text(&log["status"]), log["response_status"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("failed".to_owned(), json!(500)),
            ("exhausted".to_owned(), json!(503))
        ]
    );
    assert!(logs[0]["next_attempt_at"].is_null());
    // One that gave up keeps nobody waiting.
    send(&client, "task.created", &json!(2)).await;
    assert_eq!(receiver.wait(3).await[2].json()["data"], 2);
    attempts(&client, &id, 3).await;
    let counted = read(&client, &id).await;
    assert_eq!(
        (&counted["success_count"], &counted["failure_count"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(counted["is_active"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_not_asked_again() {
    let hub = HUB.hub();
    let client = admin(&hub, "gone");
    let (receiver, hook) = receiving(&client, "gone", retries(5)).await;
    receiver.reply([(StatusCode::GONE, vec![])]);
    send(&client, "task.created", &json!(1)).await;
    let id = text(&hook["id"]);
    let path = format!("/api/v1/webhooks/{id}");
    let disabled = client.until(&path, |hook| hook["is_active"] == false).await;
    assert!(
        text(&disabled["disabled_reason"]).contains("410"),
        "{disabled}"
    );
    let logs = attempts(&client, &id, 1).await;
    assert_eq!(
        (&logs[0]["status"], &logs[0]["response_status"]),
        (&json!("exhausted"), &json!(410))
    );
    let (witness, _) = receiving(&client, "gone", json!({})).await;
    send(&client, "task.created", &json!(2)).await;
    witness.wait(1).await;
    // Switched on again it is asked again; the reason is no more.
    let again = client
        .json(Method::PATCH, &path, &json!({ "is_active": true }))
        .await
        .ok();
    assert_eq!(
        (&again["is_active"], &again["disabled_reason"]),
        (&json!(true), &json!(null))
    );
    send(&client, "task.created", &json!(3)).await;
    let got = receiver.wait(2).await;
    assert_eq!(got[1].json()["data"], 3);
    attempts(&client, &id, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_switched_off_is_not_retried() {
    let hub = HUB.hub();
    let client = admin(&hub, "off");
    let (receiver, hook) = receiving(&client, "off", retries(5)).await;
    receiver.reply([(StatusCode::BAD_GATEWAY, vec![])]);
    send(&client, "task.created", &json!(1)).await;
    let id = text(&hook["id"]);
    let logs = attempts(&client, &id, 1).await;
    let due = instant(&logs[0]["next_attempt_at"]);
    let path = format!("/api/v1/webhooks/{id}");
    let off = json!({ "is_active": false });
    client.json(Method::PATCH, &path, &off).await.ok();
    assert!(now() < due, "too slow: the retry was due before");
    // When its time comes the delivery is over, and the log says so.
    let over = |page: &Value| page["events"].as_array().is_some_and(|all| all.len() == 1);
    let told = client
        .until("/api/v1/events?type=delivery.exhausted", over)
        .await;
    assert_eq!(told["events"][0]["data"]["attempts"], 1);
    assert_eq!(receiver.got().len(), 1, "it was called though it was off");
    // Switched on again it gets what is new, and nothing of what is over.
    let on = json!({ "is_active": true });
    client.json(Method::PATCH, &path, &on).await.ok();
    send(&client, "task.created", &json!(2)).await;
    assert_eq!(receiver.wait(2).await[1].json()["data"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_time_gets_it() {
    let hub = HUB.hub();
    let client = admin(&hub, "patient");
    let (receiver, hook) = receiving(&client, "patient", retries(3)).await;
    for (status, seconds) in [
        (StatusCode::TOO_MANY_REQUESTS, 3600),
        (StatusCode::SERVICE_UNAVAILABLE, 7200),
    ] {
        receiver.reply([(status, vec![("retry-after", seconds.to_string())])]);
        let message = send(&client, "task.created", &json!(1)).await;
        let path = format!(
            "/api/v1/webhooks/{}/logs?message_id={message}",
            text(&hook["id"])
        );
        let logs = client.until(&path, |logs| logs["total"] == 1).await;
        let log = &logs["logs"][0];
        assert_eq!(log["status"], "failed");
        let wait = instant(&log["next_attempt_at"]).duration_since(instant(&log["started_at"]));
        assert!(
            (seconds..seconds + 60).contains(&wait.as_secs()),
            "{wait} for {seconds} s"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_answer_in_time_or_at_all_is_a_failed_attempt() {
    let hub = HUB.hub();
    let client = admin(&hub, "silent");
    // Takes the connection and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let mut once = retries(0);
    once["timeout_seconds"] = json!(1);
    let hook = webhook(&client, "silent", &url, once).await;
    // Nobody listens there.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let nobody = webhook(&client, "silent", &url, retries(0)).await;
    send(&client, "task.created", &json!(1)).await;

    let log = &attempts(&client, &text(&hook["id"]), 1).await[0];
    assert_eq!(
        (&log["status"], &log["response_status"]),
        (&json!("exhausted"), &json!(null))
    );
    assert!(
        (1000..5000).contains(&log["duration_ms"].as_u64().unwrap()),
        "{log}"
    );
    assert!(text(&log["error_message"]).contains("time"), "{log}");
    let log = &attempts(&client, &text(&nobody["id"]), 1).await[0];
    assert_eq!(
        (&log["status"], &log["response_status"]),
        (&json!("exhausted"), &json!(null))
    );
    assert!(log["error_message"].is_string(), "{log}");
    for id in [&hook["id"], &nobody["id"]] {
        let counted = read(&client, &text(id)).await;
        assert_eq!(
            (&counted["success_count"], &counted["failure_count"]),
            (&json!(0), &json!(1))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_goes_to_one_webhook_and_answers_what_came_of_it() {
    let hub = HUB.hub();
    let client = admin(&hub, "test");
    // It did not subscribe to tests, and gets one all the same.
    let mut more = retries(3);
    more["events"] = json!(["user.updated"]);
    let (receiver, hook) = receiving(&client, "test", more).await;
    let (other, _) = receiving(&client, "test", json!({})).await;
    let path = format!("/api/v1/webhooks/{}/test", text(&hook["id"]));
    let payload = json!({ "test_payload": { "message": "測試消息" } });
    let tested = client.post(&path, &payload).await;
    assert_eq!(tested.status, 200, "{}", tested.text);
    let tested = tested.ok();
    let got = &receiver.wait(1).await[0];
    assert_eq!(got.header("webhook-id"), text(&tested["message_id"]));
    assert_eq!(got.json()["data"], payload["test_payload"]);
    assert_eq!(got.json()["type"], "webhook.test");
    assert_eq!(
        (
            &tested["attempt"]["status"],
            &tested["attempt"]["response_status"]
        ),
        (&json!("succeeded"), &json!(204))
    );
    // Without a body there is a message, too.
    let bare = Client::send(client.request(Method::POST, &path)).await;
    assert_eq!(bare.status, 200, "{}", bare.text);
    assert!(receiver.got()[1].json()["data"]["message"].is_string());

    receiver.reply([(StatusCode::IM_A_TEAPOT, vec![])]);
    let failed = client.post(&path, &json!({})).await;
    failed.is(502, "F42307");
    assert!(
        text(&failed.body["content"]["detail"]).contains("418"),
        "{}",
        failed.text
    );
    send(&client, "task.created", &json!("a witness")).await;
    assert_eq!(
        other.wait(1).await[0].json()["data"],
        "a witness",
        "no test came before it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_webhook_gets_nothing_more_not_even_what_it_was_promised() {
    let hub = HUB.hub();
    let client = admin(&hub, "deleted");
    let (receiver, hook) = receiving(&client, "deleted", retries(5)).await;
    receiver.reply([(StatusCode::BAD_GATEWAY, vec![])]);
    send(&client, "task.created", &json!("before")).await;
    let id = text(&hook["id"]);
    let logs = attempts(&client, &id, 1).await;
    let due = instant(&logs[0]["next_attempt_at"]);
    let path = format!("/api/v1/webhooks/{id}");
    let deleted = client.delete(&path).await.ok();
    assert_eq!(deleted, json!({ "id": id, "deleted": true }));
    assert!(now() < due, "too slow: the retry was due before");
    for path in [path.clone(), format!("{path}/logs")] {
        client.get(&path).await.is(404, "F42301");
    }
    client.delete(&path).await.is(404, "F42301");
    client
        .json(Method::PATCH, &path, &json!({ "name": "n" }))
        .await
        .is(404, "F42301");
    client
        .post(&format!("{path}/test"), &json!({}))
        .await
        .is(404, "F42301");
    assert_eq!(client.get("/api/v1/webhooks").await.ok()["total"], 0);

    // The retry that was due is not made, and a new message passes it by. Another webhook's retries
    // tell that its time has come and gone.
    let (witness, _) = receiving(&client, "deleted", retries(5)).await;
    witness.reply([
        (StatusCode::BAD_GATEWAY, vec![]),
        (StatusCode::BAD_GATEWAY, vec![]),
    ]);
    send(&client, "task.created", &json!("after")).await;
    witness.wait(3).await;
    assert!(now() > due);
    assert_eq!(receiver.got().len(), 1, "a deleted webhook was called");
}
