//! Roles: the least one that each operation needs, and that every lesser one is refused.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;
use wharf_domain::access::Role;
use wharf_tests::client::Client;

use super::{Shared, access};

static HUB: Shared = Shared::new();

const ABSENT: &str = "01890000-0000-7000-8000-000000000000";

/// Which role an operation needs. A new protected route needs a line.
const NEEDED: &[(&str, &str, Role)] = &[
    ("GET", "/api/v1/events", Role::Viewer),
    ("GET", "/api/v1/events/stream", Role::Viewer),
    ("GET", "/api/v1/integrations", Role::Viewer),
    ("POST", "/api/v1/integrations", Role::Admin),
    ("GET", "/api/v1/integrations/{integration_id}", Role::Viewer),
    ("PUT", "/api/v1/integrations/{integration_id}", Role::Admin),
    (
        "PATCH",
        "/api/v1/integrations/{integration_id}",
        Role::Admin,
    ),
    (
        "DELETE",
        "/api/v1/integrations/{integration_id}",
        Role::Admin,
    ),
    (
        "GET",
        "/api/v1/integrations/{integration_id}/events",
        Role::Viewer,
    ),
    (
        "GET",
        "/api/v1/integrations/{integration_id}/records",
        Role::Viewer,
    ),
    (
        "POST",
        "/api/v1/integrations/{integration_id}/import",
        Role::Member,
    ),
    (
        "HEAD",
        "/api/v1/integrations/{integration_id}/import/{upload_id}",
        Role::Member,
    ),
    (
        "PATCH",
        "/api/v1/integrations/{integration_id}/import/{upload_id}",
        Role::Member,
    ),
    (
        "POST",
        "/api/v1/integrations/{integration_id}/sync",
        Role::Member,
    ),
    (
        "GET",
        "/api/v1/integrations/{integration_id}/sync/logs",
        Role::Viewer,
    ),
    (
        "GET",
        "/api/v1/integrations/{integration_id}/sync/runs/{run_id}",
        Role::Viewer,
    ),
    ("GET", "/api/v1/webhooks", Role::Viewer),
    ("POST", "/api/v1/webhooks", Role::Admin),
    ("POST", "/api/v1/webhooks/events/{event_type}", Role::Member),
    ("GET", "/api/v1/webhooks/{webhook_id}", Role::Viewer),
    ("PUT", "/api/v1/webhooks/{webhook_id}", Role::Admin),
    ("PATCH", "/api/v1/webhooks/{webhook_id}", Role::Admin),
    ("DELETE", "/api/v1/webhooks/{webhook_id}", Role::Admin),
    ("GET", "/api/v1/webhooks/{webhook_id}/logs", Role::Viewer),
    ("POST", "/api/v1/webhooks/{webhook_id}/test", Role::Member),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_needs_its_role_and_takes_every_greater_one() {
    let hub = HUB.hub();
    let protected: BTreeSet<_> = access::operations(&hub)
        .await
        .into_iter()
        .filter(|(_, path)| path.starts_with("/api/v1/"))
        .filter(|(_, path)| !path.contains("/types") && !path.contains("/health"))
        .collect();
    let listed: BTreeSet<_> = NEEDED
        .iter()
        .map(|(method, path, _)| (method.to_string(), path.to_string()))
        .collect();
    assert_eq!(protected, listed);

    for (method, path, needed) in NEEDED {
        for role in [Role::Viewer, Role::Member, Role::Admin, Role::Operator] {
            let client = hub.client("roles", role);
            let filled = [
                "{integration_id}",
                "{webhook_id}",
                "{run_id}",
                "{upload_id}",
            ]
            .iter()
            .fold((*path).to_owned(), |path, id| path.replace(id, ABSENT))
            .replace("{event_type}", "task.created");
            let mut request = client.request(method.parse().unwrap(), &filled);
            if let Some(body) = access::body(method, path, "roles") {
                request = request
                    .header("content-type", "application/json")
                    .body(body.to_string());
            }
            // The stream of events would not end: only its status is looked at.
            let response = request.send().await.unwrap();
            let said = format!("{method} {path} as {}", role.name());
            if role >= *needed {
                let status = response.status().as_u16();
                assert!(
                    status != 401 && status != 403 && status < 500,
                    "{said}: {status}"
                );
                continue;
            }
            assert_eq!(response.status(), 403, "{said}");
            if *method != "HEAD" {
                let body = response.text().await.unwrap();
                let body: serde_json::Value = serde_json::from_str(&body).unwrap();
                assert_eq!(body["code"], "F40003", "{said}");
                let detail = body["content"]["detail"].as_str().unwrap();
                assert!(detail.contains(needed.name()), "{said}: {detail}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_this_machine_and_for_operators() {
    let hub = HUB.hub();
    let ask = |client: Client| {
        let request = client.request(Method::GET, "/metrics");
        Client::send(request.header("x-forwarded-for", "203.0.113.7"))
    };
    ask(hub.stranger()).await.is(401, "F40001");
    ask(hub.client("roles", Role::Admin))
        .await
        .is(403, "F40003");
    assert_eq!(ask(hub.client("roles", Role::Operator)).await.status, 200);
    let local = hub.stranger().get("/metrics").await;
    assert_eq!(local.status, 200);
    assert!(
        local.text.contains("wharf_http_requests_total"),
        "{}",
        local.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_role_of_a_token_counts_and_an_unknown_one_gives_nothing() {
    let hub = HUB.hub();
    let create = |roles: serde_json::Value| {
        let token = super::tokens::signed(&json!({ "roles": roles }));
        let client = Client::new(&hub.url, Some(token));
        async move {
            let body = access::body("POST", "/api/v1/webhooks", "p").unwrap();
            let read = client.get("/api/v1/webhooks").await.status;
            (read, client.post("/api/v1/webhooks", &body).await.status)
        }
    };
    assert_eq!(create(json!(["viewer", "admin"])).await, (200, 201));
    assert_eq!(create(json!(["root", "member"])).await, (200, 403));
    assert_eq!(create(json!(["Admin"])).await, (200, 403));
    assert_eq!(create(json!([])).await, (200, 403));
    assert_eq!(create(json!(null)).await, (200, 403));
    assert_eq!(create(json!("admin")).await, (401, 401), "not a list");
}
