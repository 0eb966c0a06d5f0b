//! Consistency: a caller sees its own writes, a change builds on what its caller saw, pages are whole,
//! and one integration has one run at a time.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::{
    client::{Answer, Client},
    process::Wharf,
};

use super::{Shared, admin, apple_health, ended, sandbox, sync, text, webhook};

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

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_whole_newest_first_and_filtered() {
    let hub = HUB.hub();
    let client = admin(&hub, "pages");
    let mut made = vec![];
    for n in 0..7 {
        let body = json!({
            "project_id": "pages", "name": format!("n{n}"), "configuration": {},
            "integration_type": if n % 2 == 0 { "apple_health" } else { "sandbox" },
        });
        made.push(text(
            &client.post("/api/v1/integrations", &body).await.ok()["id"],
        ));
    }
    made.reverse();
    let mut listed = vec![];
    for page in 1..=4 {
        let content = client
            .get(&format!("/api/v1/integrations?page={page}&size=3"))
            .await
            .ok();
        assert_eq!(
            (&content["total"], &content["page"], &content["size"]),
            (&json!(7), &json!(page), &json!(3))
        );
        listed.extend(
            content["integrations"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| text(&one["id"])),
        );
    }
    assert_eq!(listed, made);
    for (query, total) in [
        ("integration_type=sandbox", 3),
        ("integration_type=apple_health", 4),
        ("integration_type=github", 0),
        ("status=active", 4),
        // Without a credential a sandbox waits for one.
        ("status=pending_auth", 3),
        ("status=inactive", 3),
        ("status=error", 0),
        ("status=active&integration_type=sandbox", 0),
        ("project_id=pages", 7),
    ] {
        let content = client
            .get(&format!("/api/v1/integrations?{query}"))
            .await
            .ok();
        assert_eq!(content["total"], total, "{query}");
        assert_eq!(
            content["integrations"].as_array().unwrap().len(),
            total,
            "{query}"
        );
    }
    for active in [true, true, false] {
        webhook(
            &client,
            "pages",
            "https://example.com/",
            json!({ "is_active": active }),
        )
        .await;
    }
    for (query, total) in [
        ("", 3),
        ("?is_active=true", 2),
        ("?is_active=false", 1),
        ("?project_id=pages", 3),
    ] {
        assert_eq!(
            client.get(&format!("/api/v1/webhooks{query}")).await.ok()["total"],
            total,
            "{query}"
        );
    }
}

/// All records from `cursor` on, in pages of `size`; answers the last cursor, too.
async fn records(
    client: &Client,
    id: &str,
    size: u32,
    cursor: Option<String>,
) -> (Vec<Value>, String) {
    let (mut all, mut cursor) = (vec![], cursor);
    loop {
        let from = cursor
            .as_ref()
            .map(|cursor| format!("&cursor={cursor}"))
            .unwrap_or_default();
        let path = format!("/api/v1/integrations/{id}/records?deleted=true&size={size}{from}");
        let page = client.get(&path).await.ok();
        let records = page["records"].as_array().unwrap();
        assert!(records.len() <= size as usize);
        all.extend(records.iter().cloned());
        cursor = page["next_cursor"].as_str().map(ToOwned::to_owned);
        if page["has_more"] == false {
            return (all, cursor.unwrap());
        }
        assert_eq!(
            records.len(),
            size as usize,
            "a page that is not the last is full"
        );
    }
}

/// A request to the sandbox platform itself.
async fn platform(hub: &Wharf, project: &str, method: Method, path: &str, body: Value) -> Value {
    let client = Client::new(&hub.url, Some(format!("sandbox_{project}")));
    let answer = client
        .json(method, &format!("/sandbox/v1{path}"), &body)
        .await;
    assert!(
        (200..300).contains(&answer.status),
        "{path}: {} {}",
        answer.status,
        answer.text
    );
    answer.body
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_paged_whole_whatever_the_size_and_a_cursor_stays_good() {
    let hub = HUB.hub();
    let client = admin(&hub, "cursor");
    let id = sandbox(&client, "cursor").await;
    let run = sync(&client, &id, &json!({})).await;
    assert_eq!(
        (&run["status"], &run["records"]),
        (&json!("completed"), &json!(250)),
        "{run}"
    );

    let (all, end) = records(&client, &id, 100, None).await;
    assert_eq!(all.len(), 250);
    let keys: BTreeSet<_> = all.iter().map(|record| text(&record["key"])).collect();
    assert_eq!(keys.len(), 250);
    for size in [1, 37, 50] {
        let (again, same) = records(&client, &id, size, None).await;
        assert!(again == all, "pages of {size} differ");
        assert_eq!(same, end);
    }
    assert_eq!(
        records(&client, &id, 10, Some(end.clone())).await,
        (vec![], end.clone())
    );

    // What changes meanwhile comes at the end, and only that.
    platform(
        &hub,
        "cursor",
        Method::POST,
        "/advance",
        json!({ "steps": 30 }),
    )
    .await;
    let run = sync(&client, &id, &json!({ "sync_type": "incremental" })).await;
    assert_eq!(run["status"], "completed", "{run}");
    let (changed, _) = records(&client, &id, 7, Some(end)).await;
    assert_eq!(json!(changed.len()), run["records"]);
    assert!(
        (1..=30).contains(&changed.len()),
        "{} records changed",
        changed.len()
    );
    // Whoever followed the cursor has what a newcomer sees.
    let fold = |records: &[Value]| -> BTreeMap<String, (Value, bool)> {
        let state = |record: &Value| (record["data"].clone(), record["deleted"] == true);
        records
            .iter()
            .map(|record| (text(&record["key"]), state(record)))
            .collect()
    };
    let followed = fold(&[all, changed].concat());
    let (anew, _) = records(&client, &id, 100, None).await;
    assert_eq!(fold(&anew), followed);
    let items = platform(&hub, "cursor", Method::GET, "", json!({})).await["items"].as_u64();
    let live = followed.values().filter(|(_, deleted)| !deleted).count();
    assert_eq!(Some(live as u64), items, "as many as the platform has");
    assert_ne!(
        live,
        followed.len(),
        "nothing was deleted: the test shows too little"
    );
}

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
