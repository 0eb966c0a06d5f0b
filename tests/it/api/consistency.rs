//! Consistency: a caller sees its own writes, a change builds on what its caller saw, pages are whole,
//! and one integration has one run at a time.

use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::client::{Answer, Client};

use super::{Shared, admin, apple_health, text, webhook};

static HUB: Shared = Shared::new();

#[tokio::test(flavor = "multi_thread")]
async fn every_write_names_its_position_and_a_read_after_it_shows_it() {
    let hub = HUB.hub();
    let client = admin(&hub, "position");
    let mut last = 0;
    let mut grows = |answer: &Answer| {
        assert!((200..300).contains(&answer.status), "{}", answer.text);
        let position = answer.position();
        assert!(position > last, "{position} is not after {last}");
        last = position;
        position
    };
    for n in 0..20 {
        let body = json!({
            "project_id": "position", "integration_type": "apple_health",
            "name": format!("n{n}"), "configuration": {},
        });
        let created = client.post("/api/v1/integrations", &body).await;
        let position = grows(&created);
        let location = created.headers["location"].to_str().unwrap().to_owned();
        let list = client
            .get(&format!("/api/v1/integrations?after={position}"))
            .await
            .ok();
        assert_eq!(
            list["integrations"][0]["name"],
            format!("n{n}"),
            "newest first"
        );
        assert_eq!(list["total"], n + 1);

        let change = json!({ "name": "changed" });
        let position = grows(&client.json(Method::PATCH, &location, &change).await);
        let read = client
            .get(&format!("{location}?after={position}"))
            .await
            .ok();
        assert_eq!(read["name"], "changed");
    }
    let sent = client
        .post("/api/v1/webhooks/events/task.created", &json!({}))
        .await;
    let position = grows(&sent);
    assert_eq!(sent.body["content"]["position"], position);
    let list = client
        .get(&format!("/api/v1/webhooks?after={position}"))
        .await
        .ok();
    assert_eq!(list["total"], 0);

    let hook = client
        .post("/api/v1/webhooks", &json!({
            "project_id": "position", "name": "n", "url": "https://example.com/", "events": ["*"],
        }))
        .await;
    grows(&hook);
    let location = hook.headers["location"].to_str().unwrap();
    let position = grows(&client.delete(location).await);
    client
        .get(&format!("{location}?after={position}"))
        .await
        .is(404, "F42301");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_after_a_position_that_is_not_there_is_told_to_come_back() {
    let hub = HUB.hub();
    let client = admin(&hub, "ahead");
    let id = apple_health(&client, "ahead").await;
    let hook = text(&webhook(&client, "ahead", "https://example.com/", json!({})).await["id"]);
    let one = format!("/api/v1/integrations/{id}");
    let paths = [
        "/api/v1/integrations".to_owned(),
        one.clone(),
        format!("{one}/records"),
        format!("{one}/sync/logs"),
        "/api/v1/webhooks".to_owned(),
        format!("/api/v1/webhooks/{hook}"),
        format!("/api/v1/webhooks/{hook}/logs"),
    ];
    let asked = paths.iter().map(async |path| {
        let answer = client.get(&format!("{path}?after=1000000000")).await;
        answer.is(503, "F50403");
        let seconds: u32 = answer.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(seconds >= 1, "{path}");
    });
    futures::future::join_all(asked).await;
    let all = client
        .get(&format!("{one}?after=18446744073709551615"))
        .await;
    all.is(503, "F50403");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_upon_an_old_revision_is_f40009_and_leaves_all_as_it_is() {
    let hub = HUB.hub();
    let client = admin(&hub, "etag");
    let id = apple_health(&client, "etag").await;
    let one = format!("/api/v1/integrations/{id}");
    let etag = |answer: &Answer| answer.headers["etag"].to_str().unwrap().to_owned();
    let change = |method: Method, seen: &str, name: &str| {
        let request = client
            .request(method, &one)
            .header("content-type", "application/json")
            .header("if-match", seen)
            .body(json!({ "name": name }).to_string());
        Client::send(request)
    };
    let first = etag(&client.get(&one).await);
    let changed = change(Method::PATCH, &first, "second").await;
    let second = etag(&changed);
    assert_eq!(changed.ok()["name"], "second");
    assert_ne!(first, second);
    assert_eq!(etag(&client.get(&one).await), second);

    change(Method::PATCH, &first, "lost")
        .await
        .is(409, "F40009");
    change(Method::PUT, &first, "lost").await.is(409, "F40009");
    change(Method::DELETE, &first, "lost")
        .await
        .is(409, "F40009");
    change(Method::PATCH, "\"never-ours\"", "lost")
        .await
        .is(409, "F40009");
    let read = client.get(&one).await;
    assert_eq!(
        (etag(&read), read.ok()["name"].clone()),
        (second.clone(), json!("second"))
    );

    assert_eq!(
        change(Method::PUT, &second, "third").await.ok()["name"],
        "third"
    );
    assert_eq!(
        change(Method::PATCH, "*", "fourth").await.ok()["name"],
        "fourth"
    );
    // Of two that saw the same, one wins.
    let seen = etag(&client.get(&one).await);
    let (left, right) = tokio::join!(
        change(Method::PATCH, &seen, "left"),
        change(Method::PATCH, &seen, "right")
    );
    let mut statuses = [left.status, right.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let seen = etag(&client.get(&one).await);
    assert_eq!(change(Method::DELETE, &seen, "").await.status, 200);
    client.get(&one).await.is(404, "F42303");
    change(Method::PATCH, "*", "late").await.is(404, "F42303");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_changed_upon_the_revision_that_its_caller_saw() {
    let hub = HUB.hub();
    let client = admin(&hub, "hook-etag");
    let hook = webhook(&client, "hook-etag", "https://example.com/", json!({})).await;
    let one = format!("/api/v1/webhooks/{}", text(&hook["id"]));
    let etag = |answer: &Answer| answer.headers["etag"].to_str().unwrap().to_owned();
    let change = |method: Method, seen: &str| {
        let request = client
            .request(method, &one)
            .header("content-type", "application/json")
            .header("if-match", seen)
            .body(json!({ "name": seen, "secret": format!("a-secret-for-{seen}") }).to_string());
        Client::send(request)
    };
    let first = etag(&client.get(&one).await);
    let changed = change(Method::PATCH, &first).await;
    let second = etag(&changed);
    assert_eq!(changed.ok()["name"], first);
    for method in [Method::PATCH, Method::PUT, Method::DELETE] {
        change(method.clone(), &first).await.is(409, "F40009");
        change(method, "\"never-ours\"").await.is(409, "F40009");
    }
    let read = client.get(&one).await;
    assert_eq!(etag(&read), second);
    assert_eq!(read.ok()["name"], first, "a refused change was made");
    assert_eq!(change(Method::PUT, &second).await.ok()["name"], second);
    assert_eq!(change(Method::DELETE, "*").await.status, 200);
    change(Method::DELETE, "*").await.is(404, "F42301");
}

#[tokio::test(flavor = "multi_thread")]
async fn put_and_patch_change_what_they_name_and_nothing_else() {
    let hub = HUB.hub();
    let client = admin(&hub, "merge");
    for method in [Method::PUT, Method::PATCH] {
        let body = json!({
            "project_id": "merge", "integration_type": "sandbox", "name": "before",
            "configuration": { "page_size": 10, "seed": 7 },
            "auth_config": { "auth_type": "bearer", "access_token": "sandbox_merge" },
            "sync_settings": { "sync_interval": "daily", "auto_sync": true },
        });
        let created = client.post("/api/v1/integrations", &body).await.ok();
        let one = format!("/api/v1/integrations/{}", text(&created["id"]));
        let steps = [
            (json!({}), json!({})),
            (json!({ "name": "after" }), json!({ "name": "after" })),
            (
                json!({ "configuration": { "page_size": 20 } }),
                json!({ "configuration": { "page_size": 20, "seed": 7 } }),
            ),
            (
                json!({ "configuration": { "seed": null } }),
                json!({ "configuration": { "page_size": 20 } }),
            ),
            (
                json!({ "sync_settings": { "auto_sync": false } }),
                json!({
                    "sync_settings": { "sync_interval": "daily", "auto_sync": false },
                    "next_sync_at": null,
                }),
            ),
            (
                json!({ "sync_settings": null }),
                json!({ "sync_settings": { "sync_interval": null, "auto_sync": false } }),
            ),
            (
                json!({ "status": "inactive" }),
                json!({ "status": "inactive", "status_detail": "paused" }),
            ),
            (
                json!({ "status": "active" }),
                json!({ "status": "active", "status_detail": "active" }),
            ),
        ];
        let mut expected = created;
        for (change, effect) in steps {
            expected
                .as_object_mut()
                .unwrap()
                .extend(effect.as_object().unwrap().clone());
            let answer = client.json(method.clone(), &one, &change).await.ok();
            expected["updated_at"] = answer["updated_at"].clone();
            assert_eq!(answer, expected, "{method} {change}");
            assert_eq!(client.get(&one).await.ok(), expected, "{method} {change}");
        }
    }
    let hook = webhook(
        &client,
        "merge",
        "https://example.com/",
        json!({
            "headers": { "X-One": "1", "X-Two": "2" }, "secret": "a-secret-of-its-own",
            "retry_config": { "max_retries": 3, "retry_delay": 5 },
        }),
    )
    .await;
    let one = format!("/api/v1/webhooks/{}", text(&hook["id"]));
    let mut expected = client.get(&one).await.ok();
    for (change, effect) in [
        (json!({}), json!({})),
        (json!({ "name": "after" }), json!({ "name": "after" })),
        (
            json!({ "headers": { "x-one": null } }),
            json!({ "headers": { "X-Two": "***" } }),
        ),
        // What was shown masked may be sent back.
        (
            json!({ "headers": { "X-Two": "***" }, "secret": hook_hint(&expected) }),
            json!({}),
        ),
        (
            json!({ "retry_config": null }),
            json!({ "retry_config": null }),
        ),
        (
            json!({ "events": ["task.*"] }),
            json!({ "events": ["task.*"] }),
        ),
        (json!({ "is_active": false }), json!({ "is_active": false })),
        (
            json!({ "timeout_seconds": 5 }),
            json!({ "timeout_seconds": 5 }),
        ),
    ] {
        expected
            .as_object_mut()
            .unwrap()
            .extend(effect.as_object().unwrap().clone());
        for method in [Method::PUT, Method::PATCH] {
            assert_eq!(
                client.json(method.clone(), &one, &change).await.ok(),
                expected,
                "{change}"
            );
        }
        assert_eq!(client.get(&one).await.ok(), expected, "{change}");
    }
}

fn hook_hint(webhook: &Value) -> Value {
    assert!(text(&webhook["secret"]).starts_with("whsec_…"), "{webhook}");
    webhook["secret"].clone()
}
