//! Events as callers read and follow them.

use axum::body::Body;
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use wharf_domain::{access::Role, kernel::Position};

use super::Cursor;
use crate::testing::Hub;

#[test]
fn a_cursor_is_a_position_or_an_event() {
    for text in ["0", "42", "42.0", "42.17"] {
        assert_eq!(Cursor::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "",
        ".",
        "42.",
        ".1",
        "-1",
        "+1",
        "4 2",
        "1.2.3",
        "x",
        "99999999999999999999",
    ] {
        assert_eq!(Cursor::parse(text), None, "{text}");
    }
}

#[test]
fn a_cursor_knows_what_was_seen() {
    let within = Cursor::parse("42.1").unwrap();
    assert_eq!(within.read_after(), Position(41));
    assert!(within.has_seen(Position(41), 9));
    assert!(within.has_seen(Position(42), 1));
    assert!(!within.has_seen(Position(42), 2));
    assert!(!within.has_seen(Position(43), 0));
    let whole = Cursor::parse("42").unwrap();
    assert_eq!(whole.read_after(), Position(42));
    assert!(whole.has_seen(Position(42), 9));
}

/// Two integrations of `project123`, each with a schedule (two events a commit), and one of another
/// project in between.
async fn hub() -> (Hub, Vec<String>) {
    let hub = Hub::new().await;
    let mut ids = vec![];
    for project in ["project123", "other", "project123"] {
        let body = json!({
            "project_id": project,
            "integration_type": "files",
            "name": "a name",
            "configuration": {"repository": "r"},
            "sync_settings": {"sync_interval": "hourly", "auto_sync": true},
        });
        let request = hub
            .request("POST", "/api/v1/integrations")
            .header("content-type", "application/json");
        let mut request = request.body(Body::from(body.to_string())).unwrap();
        let token = format!("Bearer {}", hub.token(project, Role::Admin));
        request
            .headers_mut()
            .insert("authorization", token.parse().unwrap());
        let answer = hub.send(request).await.expect(201, "S10000");
        ids.push(answer.content()["id"].as_str().unwrap().to_owned());
    }
    (hub, ids)
}

fn ids(page: &Value) -> Vec<String> {
    page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn events_are_listed_in_order_and_only_the_projects_own() {
    let (hub, _) = hub().await;
    let page = hub
        .get("/api/v1/events")
        .await
        .expect(200, "S10000")
        .content();
    assert_eq!(ids(&page), ["1.0", "1.1", "3.0", "3.1"]);
    assert_eq!(page["complete"], true);
    let event = &page["events"][0];
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "integration.created");
    assert_eq!(event["source"], "/project123/integration");
    assert_eq!(event["actor"], "user:alice");
    assert_eq!(event["revision"], 1);
    assert_eq!(event["data"]["name"], "a name");
    assert_eq!(page["events"][3]["revision"], 2);
}

#[tokio::test]
async fn a_page_goes_on_within_a_commit() {
    let (hub, _) = hub().await;
    let first = hub.get("/api/v1/events?limit=1").await.content();
    assert_eq!(ids(&first), ["1.0"]);
    assert_eq!(
        (first["next"].as_str(), &first["complete"]),
        (Some("1.0"), &json!(false))
    );
    let second = hub.get("/api/v1/events?limit=2&after=1.0").await.content();
    assert_eq!(ids(&second), ["1.1", "3.0"]);
    let third = hub.get("/api/v1/events?after=3.0").await.content();
    assert_eq!(ids(&third), ["3.1"]);
    assert_eq!(third["complete"], true);
}

#[tokio::test]
async fn events_are_filtered_by_type_and_integration() {
    let (hub, integrations) = hub().await;
    let typed = hub
        .get("/api/v1/events?type=integration.sync_scheduled")
        .await
        .content();
    assert_eq!(ids(&typed), ["1.1", "3.1"]);
    let prefixed = hub
        .get("/api/v1/events?type=integration.*&after=1")
        .await
        .content();
    assert_eq!(ids(&prefixed), ["3.0", "3.1"]);
    let uri = format!("/api/v1/events?integration_id={}", integrations[2]);
    assert_eq!(ids(&hub.get(&uri).await.content()), ["3.0", "3.1"]);
    let foreign = format!("/api/v1/events?integration_id={}", integrations[1]);
    assert!(ids(&hub.get(&foreign).await.content()).is_empty());
    for bad in [
        "type=Not%20a%20type",
        "limit=0",
        "limit=501",
        "after=x",
        "afte=1",
    ] {
        hub.get(&format!("/api/v1/events?{bad}"))
            .await
            .expect(422, "F40022");
    }
}

#[tokio::test]
async fn an_integration_lists_its_own_events() {
    let (hub, integrations) = hub().await;
    let uri = format!("/api/v1/integrations/{}/events?size=1", integrations[0]);
    let page = hub.get(&uri).await.expect(200, "S10000").content();
    assert_eq!(ids(&page), ["1.0"]);
    let rest = hub.get(&format!("{uri}&after=1.0")).await.content();
    assert_eq!(ids(&rest), ["1.1"]);
    let foreign = format!("/api/v1/integrations/{}/events", integrations[1]);
    hub.get(&foreign).await.expect(404, "F42303");
}

/// The ids of the next `count` events of a stream.
async fn follow(hub: &Hub, uri: &str, last: Option<&str>, count: usize) -> Vec<String> {
    let mut request = hub.request("GET", uri);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = hub
        .router
        .clone()
        .oneshot(request.body(Body::empty()).unwrap());
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(response.headers().get("content-encoding").is_none());
    let mut chunks = response.into_body().into_data_stream();
    let mut text = String::new();
    while text.matches("\n\n").count() < count {
        text.push_str(&String::from_utf8_lossy(
            &chunks.next().await.unwrap().unwrap(),
        ));
    }
    text.lines()
        .filter_map(|line| {
            line.strip_prefix("id: ")
                .or_else(|| line.strip_prefix("id:"))
        })
        .map(ToOwned::to_owned)
        .collect()
}

#[tokio::test]
async fn a_stream_resumes_after_the_exact_event() {
    let (hub, _) = hub().await;
    let stream = "/api/v1/events/stream";
    assert_eq!(
        follow(&hub, &format!("{stream}?after=0"), None, 4).await,
        ["1.0", "1.1", "3.0", "3.1"]
    );
    assert_eq!(
        follow(&hub, stream, Some("1.0"), 3).await,
        ["1.1", "3.0", "3.1"]
    );
    // A reconnecting client keeps its first address, but its last id goes before it.
    assert_eq!(
        follow(&hub, &format!("{stream}?after=0"), Some("3.0"), 1).await,
        ["3.1"]
    );
    let request = hub
        .request("GET", stream)
        .header("last-event-id", "nonsense");
    hub.send(request.body(Body::empty()).unwrap())
        .await
        .expect(422, "F40022");
}

#[tokio::test]
async fn a_stream_ends_when_the_hub_stops_or_the_token_expires() {
    let (hub, _) = hub().await;
    let stopped = hub.get("/api/v1/events/stream");
    hub.state.shutdown.cancel();
    assert!(stopped.await.bytes.is_empty());
    let hub = Hub::new().await;
    let request = hub.request("GET", "/api/v1/events/stream");
    let response = hub
        .router
        .clone()
        .oneshot(request.body(Body::empty()).unwrap());
    let body = response.await.unwrap().into_body();
    hub.clock.advance(3601);
    assert!(
        axum::body::to_bytes(body, usize::MAX)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn streams_are_bounded() {
    let hub = Hub::with(|state| state.options.max_streams = 1).await;
    let open = || {
        hub.request("GET", "/api/v1/events/stream")
            .body(Body::empty())
            .unwrap()
    };
    let first = hub.router.clone().oneshot(open()).await.unwrap();
    let second = hub.send(open()).await.expect(503, "F50403");
    assert!(second.headers.contains_key("retry-after"));
    drop(first);
    assert_eq!(
        hub.router.clone().oneshot(open()).await.unwrap().status(),
        200
    );
}
