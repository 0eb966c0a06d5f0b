//! The API as a whole: every route is described, asks for a token, and keeps projects apart.

mod surface;

use std::collections::BTreeSet;

use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};
use wharf_domain::access::Role;

use crate::{problems, testing::Hub};

/// Every route, as a reader of the documents expects it.
const ROUTES: [(&str, &str); 34] = [
    ("GET", "/api/v1/health"),
    ("GET", "/api/v1/health/ready"),
    ("GET", "/api/v1/integrations"),
    ("POST", "/api/v1/integrations"),
    ("GET", "/api/v1/integrations/{integration_id}"),
    ("PUT", "/api/v1/integrations/{integration_id}"),
    ("PATCH", "/api/v1/integrations/{integration_id}"),
    ("DELETE", "/api/v1/integrations/{integration_id}"),
    ("GET", "/api/v1/integrations/{integration_id}/events"),
    ("POST", "/api/v1/integrations/{integration_id}/import"),
    (
        "HEAD",
        "/api/v1/integrations/{integration_id}/import/{upload_id}",
    ),
    (
        "PATCH",
        "/api/v1/integrations/{integration_id}/import/{upload_id}",
    ),
    ("GET", "/api/v1/integrations/{integration_id}/records"),
    ("POST", "/api/v1/integrations/{integration_id}/sync"),
    ("GET", "/api/v1/integrations/{integration_id}/sync/logs"),
    (
        "GET",
        "/api/v1/integrations/{integration_id}/sync/runs/{run_id}",
    ),
    ("GET", "/api/v1/integrations/types"),
    (
        "GET",
        "/api/v1/integrations/types/{integration_type}/schema",
    ),
    ("GET", "/api/v1/webhooks"),
    ("POST", "/api/v1/webhooks"),
    ("GET", "/api/v1/webhooks/{webhook_id}"),
    ("PUT", "/api/v1/webhooks/{webhook_id}"),
    ("PATCH", "/api/v1/webhooks/{webhook_id}"),
    ("DELETE", "/api/v1/webhooks/{webhook_id}"),
    ("GET", "/api/v1/webhooks/{webhook_id}/logs"),
    ("POST", "/api/v1/webhooks/{webhook_id}/test"),
    ("POST", "/api/v1/webhooks/events/{event_type}"),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/events/stream"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    // Files of the page, not part of the description.
    ("GET", "/docs/docs.js"),
    ("GET", "/docs/docs.css"),
];

const PUBLIC: [&str; 8] = [
    "/api/v1/health",
    "/api/v1/health/ready",
    "/api/v1/integrations/types",
    "/api/v1/integrations/types/{integration_type}/schema",
    "/openapi.json",
    "/docs",
    "/docs/docs.js",
    "/docs/docs.css",
];

/// A path with every parameter filled in.
fn filled(path: &str) -> String {
    path.replace("{event_type}", "task.created")
        .replace("{integration_type}", "sandbox")
        .split('/')
        .map(|part| match part.strip_prefix('{') {
            Some(_) => "0198f3c2-7c1e-7a52-9d57-1f6c2a3b4d5e",
            None => part,
        })
        .collect::<Vec<_>>()
        .join("/")
}

fn description() -> Value {
    serde_json::from_str(&crate::openapi().to_json().unwrap()).unwrap()
}

#[test]
fn the_description_has_every_route_and_no_other() {
    let description = description();
    assert_eq!(description["openapi"], "3.1.0");
    let mut described = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let expected: BTreeSet<_> = ROUTES
        .iter()
        .filter(|(_, path)| !path.starts_with("/docs/"))
        .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(described, expected);
}

#[test]
fn every_operation_has_its_own_name_and_only_known_codes() {
    let description = description();
    let codes: BTreeSet<_> = problems().iter().map(|problem| problem.code).collect();
    let mut names = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{at}: {name} is taken");
            assert!(operation["summary"].is_string(), "{at} has no summary");
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.contains_key("500") && responses.contains_key("503"),
                "{at}"
            );
            let public = PUBLIC.contains(&path.as_str());
            assert_eq!(responses.contains_key("401"), !public, "{at}");
            for (status, response) in responses {
                let text = response["description"].as_str().unwrap();
                let success = status.starts_with('2');
                for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
                    let looks_like_a_code = word.len() == 6
                        && word.starts_with(['F', 'S'])
                        && word.bytes().skip(1).all(|b| b.is_ascii_digit());
                    if looks_like_a_code {
                        assert!(codes.contains(word), "{at} {status}: {word} is no code");
                        let row = problems().iter().find(|row| row.code == word).unwrap();
                        let status = status.parse().unwrap();
                        assert!(row.statuses.contains(&status), "{at}: {word} with {status}");
                    }
                }
                assert_eq!(success, !text.contains("`F"), "{at} {status}: {text}");
            }
        }
    }
}

#[test]
fn every_schema_that_is_named_is_there() {
    let description = description();
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let text = description.to_string();
    for (at, _) in text.match_indices("#/components/schemas/") {
        let rest = &text[at + "#/components/schemas/".len()..];
        let name = rest.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is missing");
    }
}

#[tokio::test]
async fn every_protected_route_asks_for_a_token_before_anything_else() {
    let hub = Hub::new().await;
    for (method, path) in ROUTES {
        let uri = format!("{}?nonsense=1", filled(path));
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Body::from("{"));
        let answer = hub.send(request.unwrap()).await;
        let public = PUBLIC.contains(&path);
        assert_eq!(
            answer.status == 401,
            !public,
            "{method} {path}: {}",
            answer.status
        );
        if !public {
            assert_eq!(
                answer.headers[header::WWW_AUTHENTICATE],
                "Bearer realm=\"wharf\""
            );
        }
    }
}

#[tokio::test]
async fn every_id_that_is_absent_malformed_or_foreign_answers_alike() {
    let hub = Hub::new().await;
    let mine = hub.call(
        "POST",
        "/api/v1/integrations",
        json!({"project_id": "project123", "integration_type": "files", "name": "n",
            "configuration": {"repository": "r"}}),
    );
    let integration = mine.await.expect(201, "S10000").content()["id"].clone();
    let webhook = hub.call(
        "POST",
        "/api/v1/webhooks",
        json!({"project_id": "project123", "name": "n", "url": "https://example.com", "events": ["*"]}),
    );
    let webhook = webhook.await.expect(201, "S10000").content()["id"].clone();
    let foreign = format!("Bearer {}", hub.token("other", Role::Admin));
    let mut checked = 0;
    for (method, path) in ROUTES {
        let own = if path.contains("{integration_id}") {
            &integration
        } else if path.contains("{webhook_id}") {
            &webhook
        } else {
            continue;
        };
        let mut answers = vec![];
        for id in [
            own.as_str().unwrap(),
            "0198f3c2-7c1e-7a52-9d57-1f6c2a3b4d5f",
            "not-an-id",
        ] {
            let uri = path
                .replace("{integration_id}", id)
                .replace("{webhook_id}", id);
            let request = Request::builder()
                .method(method)
                .uri(filled(&uri))
                .header(header::AUTHORIZATION, &foreign)
                .header(header::CONTENT_TYPE, "application/json")
                .header("x-request-id", "the-same")
                .header("upload-offset", "0")
                .header("upload-complete", "?0");
            let empty = matches!(method, "POST" | "PUT" | "PATCH");
            let body = if empty {
                Body::from("{}")
            } else {
                Body::empty()
            };
            let answer = hub.send(request.body(body).unwrap()).await;
            assert_eq!(answer.status, 404, "{method} {path} {id}");
            answers.push(answer.bytes);
        }
        assert!(
            answers.windows(2).all(|pair| pair[0] == pair[1]),
            "{method} {path}"
        );
        checked += 1;
    }
    assert_eq!(checked, 18);
}
