//! Every result code: a request that answers it, or why none can by now.

use std::{collections::BTreeSet, path::Path};

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::json;
use wharf_domain::access::Role;
use wharf_tests::{
    client::{Answer, Client},
    process::{Home, Wharf},
};

use super::super::{admin, apple_health, bad_input::leaks_nothing, receiving, text, webhook};

const ABSENT: &str = "01890000-0000-7000-8000-000000000000";

/// Codes of the contract that no request reaches yet.
const UNREACHED: &[(&str, &str)] = &[
    (
        "F40029",
        "callers have no rate limits before there are API keys and tiers",
    ),
    ("F42302", "there are no plugins yet"),
    ("F42306", "there are no plugins yet"),
    (
        "F42309",
        "a sync answers at once and waits for the platform by itself; its run tells",
    ),
    ("F50000", "a defect; a request that reached it would be one"),
    (
        "F50402",
        "the caches are in the process and cannot be out of reach",
    ),
];

/// A request for each of the other codes, with the status that belongs to it.
async fn reached(hub: &Wharf) -> Vec<(u16, &'static str, Answer)> {
    let client = &admin(hub, "codes");
    let send = |method, path: &str, header: (&'static str, &'static str), body: &str| {
        let request = client.request(method, path).header(header.0, header.1);
        Client::send(request.body(body.to_owned()))
    };
    let json = ("content-type", "application/json");
    let integrations = "/api/v1/integrations";
    let id = apple_health(client, "codes").await;
    let own = format!("{integrations}/{id}");
    let sandbox = json!({
        "project_id": "codes", "integration_type": "sandbox", "name": "n", "configuration": {},
    });
    let pending = text(&client.post(integrations, &sandbox).await.ok()["id"]);
    let (receiver, webhook) = receiving(client, "codes", json!({ "events": ["user.*"] })).await;
    receiver.reply([(StatusCode::INTERNAL_SERVER_ERROR, vec![])]);
    let webhook = text(&webhook["id"]);
    let event = "/api/v1/webhooks/events/task.created";
    let keyed = |body: &str| {
        let request = client
            .request(Method::POST, event)
            .header("idempotency-key", "key");
        Client::send(request.header(json.0, json.1).body(body.to_owned()))
    };
    keyed("1").await.ok();
    let get = |path: String| async move { client.get(&path).await };

    vec![
        (200, "S10000", get(own.clone()).await),
        (
            400,
            "F40000",
            send(Method::POST, integrations, json, "{").await,
        ),
        (401, "F40001", hub.stranger().get(integrations).await),
        (
            403,
            "F40003",
            hub.client("codes", Role::Member).delete(&own).await,
        ),
        (404, "F40004", get("/api/v1/nothing".to_owned()).await),
        (405, "F40004", client.delete(integrations).await),
        (
            409,
            "F40009",
            send(Method::DELETE, &own, ("if-match", "\"99\""), "").await,
        ),
        (
            413,
            "F40013",
            send(Method::POST, event, json, &"1".repeat(1024 * 1024 + 1)).await,
        ),
        (
            415,
            "F40015",
            send(Method::POST, event, ("content-type", "text/plain"), "1").await,
        ),
        (422, "F40022", get(format!("{integrations}?page=0")).await),
        (
            404,
            "F42301",
            get(format!("/api/v1/webhooks/{ABSENT}")).await,
        ),
        (404, "F42303", get(format!("{integrations}/{ABSENT}")).await),
        (
            422,
            "F42304",
            send(Method::PATCH, &own, json, r#"{"configuration":{"no":1}}"#).await,
        ),
        (
            409,
            "F42305",
            client.post(&format!("{own}/sync"), &json!({})).await,
        ),
        (
            502,
            "F42307",
            client
                .post(&format!("/api/v1/webhooks/{webhook}/test"), &json!({}))
                .await,
        ),
        (
            409,
            "F42308",
            client
                .post(&format!("{integrations}/{pending}/sync"), &json!({}))
                .await,
        ),
        (422, "F42310", keyed("2").await),
        (503, "F50403", get(format!("{own}?after=1000000000")).await),
        (503, "F50401", while_the_vault_is_locked(hub, client).await),
    ]
}

/// Another process holds the vault: what needs to write there cannot.
async fn while_the_vault_is_locked(hub: &Wharf, client: &Client) -> Answer {
    let vault = lock(&hub.home.data().join("vault.db"));
    let body = json!({
        "project_id": "codes", "name": "n", "url": "https://example.com/", "events": ["*"],
    });
    let answer = client.post("/api/v1/webhooks", &body).await;
    drop(vault);
    answer
}

fn lock(path: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch("begin immediate").unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn inv12_every_code_is_reached_by_a_request_or_its_absence_is_explained() {
    // Its own hub, in files: it is broken on purpose, by locking them.
    let hub = Home::files().serve();
    let mut seen = BTreeSet::new();
    for (status, code, answer) in reached(&hub).await {
        answer.is(status, code);
        leaks_nothing(&hub, &answer.text);
        let problem = wharf_api::problems()
            .iter()
            .find(|problem| problem.code == code);
        let problem = problem.unwrap_or_else(|| panic!("{code} is in no table"));
        assert!(
            problem.statuses.contains(&status),
            "{code} comes with {status}, its row says not"
        );
        if code != "S10000" {
            assert_eq!(answer.body["msg"], problem.title);
            assert_eq!(answer.body["content"]["remedy"], problem.remedy);
            assert_eq!(answer.body["content"]["docs"], format!("/docs#{code}"));
        }
        assert_eq!(
            answer.headers.contains_key("retry-after"),
            status == 503,
            "{code}: whoever is told to come back is told when"
        );
        seen.insert(code);
    }
    let unreached: BTreeSet<_> = UNREACHED.iter().map(|(code, _)| *code).collect();
    assert!(seen.is_disjoint(&unreached), "a code is both");
    seen.extend(unreached);
    let table: BTreeSet<_> = wharf_api::problems()
        .iter()
        .map(|problem| problem.code)
        .collect();
    assert_eq!(seen, table);
    // What was broken works again by itself.
    webhook(
        &admin(&hub, "codes"),
        "codes",
        "https://example.com/",
        json!({}),
    )
    .await;
    super::super::is_well(&hub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv12_every_code_of_the_table_is_documented() {
    let hub = super::HUB.hub();
    let description = hub.stranger().get("/openapi.json").await.body;
    let documented: BTreeSet<_> = description["x-problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["code"].as_str().unwrap())
        .collect();
    let table: BTreeSet<_> = wharf_api::problems()
        .iter()
        .map(|problem| problem.code)
        .collect();
    assert_eq!(documented, table);
    for code in table {
        let (exit, out, errors) = hub.home.run(&["explain", code]);
        assert_eq!(exit, 0, "wharf explain {code}: {errors}");
        assert!(out.contains(code), "{out}");
    }
    assert_ne!(hub.home.run(&["explain", "F99999"]).0, 0);
}
