//! Fields and parameters: closed, typed and in range; a wrong one is named, and its value is not
//! repeated.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Shared, admin, apple_health,
    bad_input::{INTEGRATIONS, WEBHOOKS, names, refused},
    is_well, sandbox, text, webhook,
};

static HUB: Shared = Shared::new();

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_field_is_named_and_its_value_is_not_repeated() {
    const PLANTED: &str = "planted-4242";
    let hub = HUB.hub();
    let client = admin(&hub, "fields");
    let integration = format!("{INTEGRATIONS}/{}", sandbox(&client, "fields").await);
    let id = text(&webhook(&client, "fields", "https://example.com/", json!({})).await["id"]);
    let hook = format!("{WEBHOOKS}/{id}");
    let new_integration = json!({
        "project_id": "fields", "integration_type": "sandbox", "name": "n", "configuration": {},
    });
    let new_webhook = json!({
        "project_id": "fields", "name": "n", "url": "https://example.com/", "events": ["*"],
    });
    let (put, post) = (Method::PUT, Method::POST);
    let empty = json!({});
    let sync = format!("{integration}/sync");
    let test = format!("{hook}/test");
    let ways = [
        (&post, INTEGRATIONS, &new_integration),
        (&post, WEBHOOKS, &new_webhook),
        (&put, &integration, &empty),
        (&put, &hook, &empty),
        (&post, &sync, &empty),
        (&post, &test, &empty),
    ];
    let wrong: &[(usize, &str, Value)] = &[
        (0, "name", json!(7)),
        (0, "name", json!("")),
        (0, "name", json!("x".repeat(201))),
        (0, "project_id", json!(["fields"])),
        (0, "integration_type", json!(null)),
        (0, "auth_config", json!(PLANTED)),
        (0, "sync_settings", json!([PLANTED])),
        (1, "name", json!({})),
        (1, "name", json!("   ")),
        (1, "url", json!(1)),
        (1, "events", json!("*")),
        (1, "events", json!([])),
        (1, "events", json!([PLANTED])),
        (1, "headers", json!([PLANTED])),
        (1, "secret", json!("short")),
        (1, "secret", json!(["planted-4242"])),
        (1, "is_active", json!("yes")),
        (1, "retry_config", json!(3)),
        (
            1,
            "retry_config",
            json!({ "max_retries": 21, "retry_delay": 1 }),
        ),
        (
            1,
            "retry_config",
            json!({ "max_retries": 1, "retry_delay": 0 }),
        ),
        (1, "timeout_seconds", json!("30")),
        (1, "timeout_seconds", json!(0)),
        (1, "timeout_seconds", json!(61)),
        (1, "timeout_seconds", json!(-1)),
        (1, "timeout_seconds", json!(1.5)),
        (1, "timeout_seconds", json!(4_294_967_296_u64)),
        (1, "compat_prefix", json!("webhook")),
        (1, "compat_prefix", json!("X: y\r\n")),
        (2, "name", json!(null)),
        (2, "configuration", json!(null)),
        (2, "auth_config", json!([PLANTED])),
        (2, "status", json!("error")),
        (2, "status", json!(PLANTED)),
        (3, "events", json!({})),
        (3, "timeout_seconds", json!(0)),
        (4, "sync_type", json!("everything")),
        (4, "sync_type", json!(1)),
        (4, "force", json!("true")),
    ];
    for (way, field, value) in wrong {
        let (method, path, body) = ways[*way];
        let mut body = body.clone();
        body[*field] = value.clone();
        let answer = client.json(method.clone(), path, &body).await;
        let what = format!("{method} {path} {field} = {value}");
        refused(&hub, &what, &answer, 422, "F40022");
        let named = text(&answer.body["content"]["errors"][0]["field"]);
        assert!(
            named == *field || named.starts_with(&format!("{field}.")),
            "{what}: {named}"
        );
        assert!(!answer.text.contains(PLANTED), "{what}: {}", answer.text);
    }
    for (method, path, body) in ways {
        // Unknown fields, also deep inside; misspelled ones are not passed over.
        let mut unknown = body.clone();
        unknown["nmae"] = json!(PLANTED);
        let answer = client.json(method.clone(), path, &unknown).await;
        names(&hub, path, &answer, "nmae");
        assert!(!answer.text.contains(PLANTED), "{}", answer.text);
        // Missing ones.
        for field in body.as_object().unwrap().keys() {
            let mut without = body.clone();
            without.as_object_mut().unwrap().remove(field);
            names(
                &hub,
                path,
                &client.json(method.clone(), path, &without).await,
                field,
            );
        }
        // No object at all.
        for other in [json!(1), json!("x"), json!([]), json!(null), json!(true)] {
            let answer = client.json(method.clone(), path, &other).await;
            refused(&hub, path, &answer, 422, "F40022");
        }
    }
    for (field, body) in [
        (
            "retry_config.x",
            json!({ "retry_config": { "max_retries": 1, "retry_delay": 1, "x": 1 } }),
        ),
        (
            "retry_config.retry_delay",
            json!({ "retry_config": { "max_retries": 1 } }),
        ),
        ("headers.Host", json!({ "headers": { "Host": "internal" } })),
        (
            "headers.webhook-id",
            json!({ "headers": { "webhook-id": "forged" } }),
        ),
        (
            "headers.Content-Length",
            json!({ "headers": { "Content-Length": "0" } }),
        ),
        (
            "headers.X-A",
            json!({ "headers": { "X-A": "planted-4242\r\nX-B: smuggled" } }),
        ),
        (
            "headers.a b",
            json!({ "headers": { "a b": "planted-4242" } }),
        ),
        (
            "headers",
            json!({ "headers": (0..21).map(|n| (format!("x-{n}"), json!("v"))).collect::<serde_json::Map<_, _>>() }),
        ),
    ] {
        let answer = client.json(Method::PATCH, &hook, &body).await;
        names(&hub, field, &answer, field);
        assert!(!answer.text.contains(PLANTED), "{}", answer.text);
    }
    is_well(&hub).await;
    // Nothing of all this had an effect.
    assert_eq!(client.get(INTEGRATIONS).await.ok()["total"], 1);
    assert_eq!(client.get(WEBHOOKS).await.ok()["total"], 1);
    assert_eq!(client.get(&hook).await.ok()["headers"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_or_credential_that_the_platform_does_not_take_is_f42304() {
    const PLANTED: &str = "planted-4242";
    let hub = HUB.hub();
    let client = admin(&hub, "config");
    let bearer = |token: Value| json!({ "auth_type": "bearer", "access_token": token });
    for (what, change, pointer) in [
        (
            "no such platform",
            json!({ "integration_type": PLANTED }),
            "/integration_type",
        ),
        (
            "unknown member",
            json!({ "configuration": { "planted": PLANTED } }),
            "/configuration",
        ),
        (
            "wrong type",
            json!({ "configuration": { "page_size": PLANTED } }),
            "/configuration/page_size",
        ),
        (
            "out of range",
            json!({ "configuration": { "page_size": 101 } }),
            "/configuration/page_size",
        ),
        (
            "no object",
            json!({ "configuration": PLANTED }),
            "/configuration",
        ),
        (
            "another auth_type",
            json!({ "auth_config": { "auth_type": "oauth" } }),
            "/auth_config/auth_type",
        ),
        (
            "no auth_type",
            json!({ "auth_config": {} }),
            "/auth_config/auth_type",
        ),
        (
            "token missing",
            json!({ "auth_config": { "auth_type": "bearer" } }),
            "/auth_config/access_token",
        ),
        (
            "token empty",
            json!({ "auth_config": bearer(json!("")) }),
            "/auth_config/access_token",
        ),
        (
            "token of another type",
            json!({ "auth_config": bearer(json!([PLANTED])) }),
            "/auth_config/access_token",
        ),
        (
            "unknown secret",
            json!({ "auth_config": { "auth_type": "bearer", "access_token": "t", "x": PLANTED } }),
            "/auth_config/x",
        ),
    ] {
        let mut body = json!({
            "project_id": "config", "integration_type": "sandbox", "name": "n", "configuration": {},
        });
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let answer = client.post(INTEGRATIONS, &body).await;
        refused(&hub, what, &answer, 422, "F42304");
        assert_eq!(
            answer.body["content"]["errors"][0]["field"], pointer,
            "{what}: {}",
            answer.text
        );
        assert!(!answer.text.contains(PLANTED), "{what}: {}", answer.text);
    }
    assert_eq!(client.get(INTEGRATIONS).await.ok()["total"], 0);
    // An interval is a field like any other.
    for interval in ["fortnightly", "PT1S", "-P1D", "", "P1Y\0"] {
        let body = json!({
            "project_id": "config", "integration_type": "sandbox", "name": "n", "configuration": {},
            "sync_settings": { "sync_interval": interval, "auto_sync": true },
        });
        names(
            &hub,
            interval,
            &client.post(INTEGRATIONS, &body).await,
            "sync_settings.sync_interval",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_closed_and_in_range() {
    let hub = HUB.hub();
    let client = admin(&hub, "params");
    let id = apple_health(&client, "params").await;
    let hook = text(&webhook(&client, "params", "https://example.com/", json!({})).await["id"]);
    let lists = [
        INTEGRATIONS.to_owned(),
        WEBHOOKS.to_owned(),
        format!("{INTEGRATIONS}/{id}/sync/logs"),
        format!("{WEBHOOKS}/{hook}/logs"),
    ];
    for list in &lists {
        for page in [
            "0",
            "-1",
            "1.5",
            "x",
            "",
            "1000001",
            "4294967296",
            "99999999999999999999",
            "%00",
        ] {
            names(
                &hub,
                list,
                &client.get(&format!("{list}?page={page}")).await,
                "page",
            );
        }
        for size in ["0", "101", "-5", "all", "1e2", "0x10"] {
            names(
                &hub,
                list,
                &client.get(&format!("{list}?size={size}")).await,
                "size",
            );
        }
        names(
            &hub,
            list,
            &client.get(&format!("{list}?page=1&page=2")).await,
            "page",
        );
        names(
            &hub,
            list,
            &client.get(&format!("{list}?Page=1")).await,
            "Page",
        );
        for (query, page, size) in [
            ("", 1, 20),
            ("?page=1000000&size=1", 1_000_000, 1),
            ("?size=100", 1, 100),
        ] {
            let content = client.get(&format!("{list}{query}")).await.ok();
            assert_eq!(
                (&content["page"], &content["size"]),
                (&json!(page), &json!(size))
            );
        }
    }
    let records = format!("{INTEGRATIONS}/{id}/records");
    let own_events = format!("{INTEGRATIONS}/{id}/events");
    let one = format!("{INTEGRATIONS}/{id}");
    let hook = format!("{WEBHOOKS}/{hook}");
    for (path, field, value) in [
        (INTEGRATIONS, "status", "bogus"),
        (INTEGRATIONS, "after", "now"),
        (INTEGRATIONS, "category", "health"),
        ("/api/v1/integrations/types", "category", "bogus"),
        ("/api/v1/integrations/types", "page", "1"),
        (WEBHOOKS, "is_active", "maybe"),
        (WEBHOOKS, "status", "active"),
        (&lists[3], "message_id", "x"),
        (&lists[3], "succeeded", "1"),
        (&records, "size", "101"),
        (&records, "cursor", "x"),
        (&records, "cursor", "1"),
        (&records, "cursor", "1.x"),
        (&records, "cursor", "-1.-1"),
        (&records, "from", "yesterday"),
        (&records, "to", "2026-13-01T00:00:00Z"),
        (&records, "deleted", "2"),
        (&records, "page", "1"),
        (&own_events, "after", "x"),
        (&own_events, "size", "0"),
        (&one, "expand", "1"),
        (&hook, "after", "-1"),
        ("/api/v1/events", "limit", "0"),
        ("/api/v1/events", "limit", "501"),
        ("/api/v1/events", "after", "1.2.3"),
        ("/api/v1/events", "after", "+1"),
        ("/api/v1/events", "type", "DROP TABLE"),
        ("/api/v1/events", "integration_id", "x"),
        ("/api/v1/events", "project_id", "params"),
        ("/api/v1/events/stream", "after", "x"),
        ("/api/v1/events/stream", "type", "*.created"),
        ("/api/v1/events/stream", "limit", "5"),
    ] {
        let value = value.replace('+', "%2B").replace(' ', "%20");
        let answer = client.get(&format!("{path}?{field}={value}")).await;
        names(&hub, &format!("{path}?{field}={value}"), &answer, field);
    }
    // Injection is only text.
    let quoted = client
        .get(&format!("{INTEGRATIONS}?integration_type=%27%20or%201=1--"))
        .await
        .ok();
    assert_eq!(quoted["total"], 0);
    let model = client
        .get(&format!("{records}?model=%27%3B%20drop%20table%20record--"))
        .await
        .ok();
    assert_eq!(model["records"], json!([]));
    is_well(&hub).await;
}
