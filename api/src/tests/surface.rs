//! What every route has in common, and the routes that have no tests of their own.

use std::net::SocketAddr;

use axum::{body::Body, extract::ConnectInfo};
use http::{Request, header};
use serde_json::json;
use wharf_domain::access::Role;

use crate::testing::Hub;

#[tokio::test]
async fn every_list_refuses_parameters_that_it_does_not_know() {
    let hub = Hub::new().await;
    for path in [
        "integrations",
        "webhooks",
        "events",
        "events/stream",
        "integrations/types",
    ] {
        let answer = hub.get(&format!("/api/v1/{path}?nonsense=1")).await;
        assert_eq!(answer.expect(422, "F40022").fields(), ["nonsense"]);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_in_the_envelope() {
    let hub = Hub::new().await;
    for path in [
        "/",
        "/api/v1/nothing",
        "/api/v2/integrations",
        "/api/v1/integrations/",
    ] {
        hub.get(path).await.expect(404, "F40004");
    }
    let answer = hub
        .call("DELETE", "/api/v1/integrations", json!({}))
        .await
        .expect(405, "F40004");
    let allow = answer.headers[header::ALLOW].to_str().unwrap().to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test]
async fn every_answer_has_an_id_and_closed_headers() {
    let hub = Hub::new().await;
    let own = hub
        .request("GET", "/api/v1/health")
        .header("x-request-id", "mine-1");
    let answer = hub.send(own.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers["x-request-id"], "mine-1");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(
        answer.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'")
    );
    let bad = hub.request("GET", "/nothing").header("x-request-id", "a b");
    let answer = hub.send(bad.body(Body::empty()).unwrap()).await;
    let given = answer.headers["x-request-id"].to_str().unwrap().to_owned();
    assert_ne!(given, "a b");
    assert_eq!(answer.content()["request_id"], given);
}

#[tokio::test]
async fn health_has_the_contracts_body() {
    let hub = Hub::new().await;
    let answer = hub.get("/api/v1/health").await.expect(200, "S10000");
    assert_eq!(
        answer.content(),
        json!({
            "status": "healthy",
            "service": "integration-service",
            "timestamp": "2026-01-31T12:00:00Z",
            "version": env!("CARGO_PKG_VERSION"),
            "database": "connected",
            "cache": "connected",
            "webhooks_active": 0,
            "integrations_active": 0,
            "plugins_installed": 0,
            "durability": "volatile",
            "position": 0,
            "parked": 0,
        })
    );
    hub.get("/api/v1/health/ready").await.expect(200, "S10000");
    hub.state.shutdown.cancel();
    hub.get("/api/v1/health/ready").await.expect(503, "F50403");
}

#[tokio::test]
async fn types_are_public_and_cacheable() {
    let hub = Hub::new().await;
    let get = |uri: &str| Request::builder().uri(uri).body(Body::empty()).unwrap();
    let answer = hub
        .send(get("/api/v1/integrations/types"))
        .await
        .expect(200, "S10000");
    assert_eq!(answer.headers["cache-control"], "public, max-age=300");
    assert_eq!(answer.content()["total"], 2);
    let one = hub
        .send(get("/api/v1/integrations/types?category=health"))
        .await
        .content();
    assert_eq!(one["types"][0]["integration_type"], "files");
    let none = hub
        .send(get("/api/v1/integrations/types?category=ci_cd"))
        .await
        .expect(200, "S10000");
    assert_eq!(none.content()["total"], 0);
    hub.send(get("/api/v1/integrations/types?category=nope"))
        .await
        .expect(422, "F40022");
    let schema = hub
        .send(get("/api/v1/integrations/types/sandbox/schema"))
        .await
        .expect(200, "S10000");
    assert_eq!(
        schema.content()["configuration_schema"]["required"],
        json!(["repository"])
    );
    assert_eq!(
        schema.content()["auth"]["fields"]["access_token"],
        "the token"
    );
    hub.send(get("/api/v1/integrations/types/nope/schema"))
        .await
        .expect(404, "F40004");
}

#[tokio::test]
async fn an_event_is_accepted_if_its_type_is_the_contracts() {
    let hub = Hub::new().await;
    let uri = "/api/v1/webhooks/events/task.created";
    for body in [json!({"id": 1}), json!([1]), json!("text"), json!(null)] {
        let answer = hub.call("POST", uri, body).await.expect(202, "S10000");
        assert_eq!(answer.content()["event_type"], "task.created");
    }
    for unknown in ["task.invented", "sync.completed", "test"] {
        let answer = hub
            .call(
                "POST",
                &format!("/api/v1/webhooks/events/{unknown}"),
                json!({}),
            )
            .await;
        assert_eq!(answer.expect(422, "F40022").fields(), ["event_type"]);
    }
    let first = hub
        .call_once("k", uri, json!({"n": 1}))
        .await
        .expect(202, "S10000");
    let again = hub
        .call_once("k", uri, json!({"n": 1}))
        .await
        .expect(202, "S10000");
    assert_eq!(first.bytes, again.bytes);
    hub.call_once("k", "/api/v1/webhooks/events/task.updated", json!({"n": 1}))
        .await
        .expect(422, "F42310");
    assert_eq!(hub.log.all().len(), 5);
}

#[tokio::test]
async fn a_sync_is_started_once() {
    let hub = Hub::new().await;
    let body = json!({
        "project_id": "project123", "integration_type": "sandbox", "name": "n",
        "configuration": {"repository": "r"},
        "auth_config": {"auth_type": "bearer", "access_token": "t"},
    });
    let created = hub
        .call("POST", "/api/v1/integrations", body)
        .await
        .expect(201, "S10000");
    let uri = format!(
        "/api/v1/integrations/{}",
        created.content()["id"].as_str().unwrap()
    );
    let sync = format!("{uri}/sync");
    let empty = hub.request("POST", &sync).body(Body::empty()).unwrap();
    let started = hub.send(empty).await.expect(202, "S10000").content();
    assert_eq!(started["sync_type"], "full");
    let busy = hub
        .call("POST", &sync, json!({"sync_type": "incremental"}))
        .await;
    busy.expect(409, "F42305");
    let forced = json!({"sync_type": "delta", "force": true});
    let second = hub
        .call("POST", &sync, forced)
        .await
        .expect(202, "S10000")
        .content();
    hub.call("POST", &sync, json!({"sync_type": "half"}))
        .await
        .expect(422, "F40022");
    let logs = hub
        .get(&format!("{uri}/sync/logs"))
        .await
        .expect(200, "S10000")
        .content();
    assert_eq!(logs["total"], 2);
    assert_eq!(logs["logs"][0]["run_id"], second["run_id"]);
    assert_eq!(logs["logs"][1]["status"], "superseded");
    let run = format!("{uri}/sync/runs/{}", second["run_id"].as_str().unwrap());
    assert_eq!(
        hub.get(&run).await.expect(200, "S10000").content()["status"],
        "running"
    );
    let absent = format!(
        "{uri}/sync/runs/{}",
        started["integration_id"].as_str().unwrap()
    );
    hub.get(&absent).await.expect(404, "F40004");
    hub.get(&format!("{uri}/sync/runs/7"))
        .await
        .expect(404, "F40004");
}

#[tokio::test]
async fn metrics_are_for_this_machine_and_for_operators() {
    let hub = Hub::new().await;
    let from = |peer: Option<&str>| {
        let mut request = Request::builder()
            .uri("/metrics")
            .body(Body::empty())
            .unwrap();
        if let Some(peer) = peer {
            let peer: SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        request
    };
    for local in ["127.0.0.1:9", "[::1]:9", "[::ffff:127.0.0.1]:9"] {
        let answer = hub.send(from(Some(local))).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.bytes[..]),
            (200, &b"wharf_up 1\n"[..])
        );
    }
    let mut forwarded = from(Some("127.0.0.1:9"));
    forwarded
        .headers_mut()
        .insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
    for other in [from(None), from(Some("203.0.113.9:9")), forwarded] {
        hub.send(other).await.expect(401, "F40001");
    }
    for (role, status) in [(Role::Admin, 403), (Role::Operator, 200)] {
        let mut request = from(Some("203.0.113.9:9"));
        let token = format!("Bearer {}", hub.token("p", role));
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, token.parse().unwrap());
        assert_eq!(hub.send(request).await.status.as_u16(), status);
    }
}

#[tokio::test]
async fn a_bad_token_is_told_from_none() {
    let hub = Hub::new().await;
    let with = |value: &str| {
        Request::builder()
            .uri("/api/v1/integrations")
            .header(header::AUTHORIZATION, value)
            .body(Body::empty())
            .unwrap()
    };
    let bad = hub
        .send(with("Bearer nonsense"))
        .await
        .expect(401, "F40001");
    assert!(
        bad.headers[header::WWW_AUTHENTICATE]
            .to_str()
            .unwrap()
            .contains("invalid_token")
    );
    let basic = hub.send(with("Basic YTpi")).await.expect(401, "F40001");
    assert!(
        !basic.headers[header::WWW_AUTHENTICATE]
            .to_str()
            .unwrap()
            .contains("invalid_token")
    );
    let token = hub.token("project123", Role::Viewer);
    assert_eq!(hub.send(with(&format!("bearer {token}"))).await.status, 200);
    // Only in the header: an address is logged everywhere.
    let uri = format!("/api/v1/integrations?access_token={token}");
    let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
    hub.send(request).await.expect(401, "F40001");
    hub.clock.advance(3600 + 60);
    hub.send(with(&format!("Bearer {token}")))
        .await
        .expect(401, "F40001");
}

#[tokio::test]
async fn bodies_are_bounded_and_json() {
    let hub = Hub::with(|state| state.options.max_body_bytes = 100).await;
    let send = async |content_type: &str, body: Body| {
        let request = hub
            .request("POST", "/api/v1/webhooks")
            .header("content-type", content_type);
        hub.send(request.body(body).unwrap()).await
    };
    send("application/json", Body::from("x".repeat(101)))
        .await
        .expect(413, "F40013");
    let endless =
        futures::stream::repeat_with(|| Ok::<_, std::io::Error>(bytes::Bytes::from("xxxx")));
    send("application/json", Body::from_stream(endless))
        .await
        .expect(413, "F40013");
    send("text/plain", Body::from("{}"))
        .await
        .expect(415, "F40015");
    send("application/json", Body::from("{\"a\":"))
        .await
        .expect(400, "F40000");
    send("application/json", Body::from("[".repeat(100)))
        .await
        .expect(400, "F40000");
}

#[tokio::test]
async fn more_requests_than_allowed_are_refused_but_probes_are_not() {
    let hub = Hub::with(|state| state.options.max_in_flight = 0).await;
    let refused = hub.get("/api/v1/integrations").await.expect(503, "F50403");
    assert_eq!(refused.headers[header::RETRY_AFTER], "1");
    hub.get("/api/v1/health").await.expect(200, "S10000");
}

#[tokio::test]
async fn the_docs_page_is_whole_and_keeps_to_itself() {
    let hub = Hub::new().await;
    for (path, content_type) in [
        ("/docs", "text/html"),
        ("/docs/docs.js", "text/javascript"),
        ("/docs/docs.css", "text/css"),
        ("/openapi.json", "application/json"),
    ] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = hub.send(request).await;
        assert_eq!(answer.status, 200, "{path}");
        let given = answer.headers[header::CONTENT_TYPE].to_str().unwrap();
        assert!(given.starts_with(content_type), "{path}: {given}");
        let text = String::from_utf8(answer.bytes).unwrap();
        if path != "/openapi.json" {
            assert!(
                !text.contains("https://") && !text.contains("http://"),
                "{path}"
            );
            let policy = answer.headers["content-security-policy"].to_str().unwrap();
            assert!(!policy.contains("unsafe"), "{policy}");
        }
    }
    let off = Hub::with(|state| state.options.docs = false).await;
    for path in ["/docs", "/docs/docs.js", "/openapi.json"] {
        off.get(path).await.expect(404, "F40004");
    }
}

#[tokio::test]
async fn large_answers_are_compressed_if_asked() {
    let hub = Hub::new().await;
    let request = Request::builder()
        .uri("/openapi.json")
        .header("accept-encoding", "gzip");
    let answer = hub.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers["content-encoding"], "gzip");
}
