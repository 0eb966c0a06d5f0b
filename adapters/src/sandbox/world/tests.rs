//! The sandbox platform, request by request.

use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::*;

struct Fixture {
    world: World,
    now: Timestamp,
    token: &'static str,
}

impl Fixture {
    fn new(options: Options) -> Self {
        Self {
            world: World::new(options),
            now: "2026-01-05T08:00:00Z".parse().unwrap(),
            token: "sandbox_one",
        }
    }

    fn send(&mut self, method: &str, path: &str, body: &Value) -> (http::Response<Bytes>, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/sandbox/v1{path}"))
            .header("authorization", format!("Bearer {}", self.token))
            .body(if body.is_null() {
                Bytes::new()
            } else {
                body.to_string().into()
            })
            .unwrap();
        let (response, _) = self.world.answer(&request, self.now);
        let body = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
        (response, body)
    }

    #[track_caller]
    fn ok(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let (response, body) = self.send(method, path, body);
        assert!(response.status().is_success(), "{method} {path}: {body}");
        body
    }

    fn get(&mut self, path: &str) -> Value {
        self.ok("GET", path, &Value::Null)
    }

    fn status(&mut self, method: &str, path: &str, body: &Value) -> StatusCode {
        self.send(method, path, body).0.status()
    }

    fn later(&mut self, seconds: i64) {
        self.now += jiff::SignedDuration::from_secs(seconds);
    }
}

fn generous() -> Options {
    Options {
        burst: 100_000,
        ..Options::default()
    }
}

#[test]
fn a_new_account_has_its_items_at_once_and_the_same_for_the_same_token() {
    let mut one = Fixture::new(Options::default());
    assert_eq!(one.get(""), json!({"items": 250, "change_seq": 250}));
    let page = one.get("/items?limit=2");
    assert_eq!(page["count"], 2);
    assert_eq!(page["items"][0]["id"], "itm_000001");
    assert_eq!(page["items"][0]["version"], 1);
    assert_eq!(page["items"][0]["created_at"], "2026-01-05T08:00:00Z");
    assert_eq!(page["next_page_token"], "after_2");
    assert_eq!(page, Fixture::new(Options::default()).get("/items?limit=2"));
    one.token = "sandbox_two";
    assert_ne!(page["items"], one.get("/items?limit=2")["items"]);
}

#[test]
fn pages_go_through_all_items_also_while_they_change() {
    let mut fixture = Fixture::new(generous());
    let mut seen = Vec::new();
    let mut path = "/items?limit=100".to_owned();
    loop {
        let page = fixture.get(&path);
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].clone()),
        );
        fixture.status("DELETE", "/items/itm_000100", &Value::Null);
        match page["next_page_token"].as_str() {
            Some(token) => path = format!("/items?limit=100&page_token={token}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 250);
}

#[test]
fn items_are_made_changed_and_removed_and_each_is_in_the_feed() {
    let mut fixture = Fixture::new(Options {
        items: 2,
        ..generous()
    });
    let made = fixture.ok(
        "POST",
        "/items",
        &json!({"title": "A", "tags": ["x"], "amount": 1.5}),
    );
    assert_eq!(made["id"], "itm_000003");
    assert_eq!(made["body"], "");
    fixture.later(60);
    let changed = fixture.ok("PATCH", "/items/itm_000003", &json!({"body": "b"}));
    assert_eq!(
        (&changed["title"], &changed["body"]),
        (&json!("A"), &json!("b"))
    );
    assert_eq!(changed["version"], 2);
    assert_eq!(changed["updated_at"], "2026-01-05T08:01:00Z");
    fixture.ok("DELETE", "/items/itm_000001", &Value::Null);
    assert_eq!(fixture.get("/items/itm_000003"), changed);
    assert_eq!(
        fixture.status("GET", "/items/itm_000001", &Value::Null),
        StatusCode::NOT_FOUND
    );
    let feed = fixture.get("/changes?since=2");
    // The item's creation is not there any more: only the last change of each is.
    assert_eq!(
        feed["changes"],
        json!([
            {"op": "upsert", "seq": 4, "item": changed},
            {"op": "delete", "seq": 5, "id": "itm_000001"},
        ])
    );
    assert_eq!(
        (&feed["next_since"], &feed["has_more"]),
        (&json!(5), &json!(false))
    );
    assert_eq!(fixture.get("/changes?since=5")["count"], 0);
    let paged = fixture.get("/changes?since=0&limit=1");
    assert_eq!(
        (&paged["next_since"], &paged["has_more"]),
        (&json!(2), &json!(true))
    );
}

#[test]
fn items_change_by_themselves_when_time_is_advanced() {
    let mut fixture = Fixture::new(generous());
    let after = fixture.ok("POST", "/advance", &json!({"steps": 200}));
    assert!(after["change_seq"].as_u64().unwrap() >= 450);
    let mut kinds = std::collections::BTreeSet::new();
    let mut since = 250;
    loop {
        let page = fixture.get(&format!("/changes?since={since}&limit=100"));
        for change in page["changes"].as_array().unwrap() {
            kinds.insert(change["op"].as_str().unwrap().to_owned());
        }
        since = page["next_since"].as_u64().unwrap();
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert_eq!(since, after["change_seq"].as_u64().unwrap());
    assert_eq!(
        fixture.status("POST", "/advance", &json!({"steps": 1001})),
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[test]
fn a_feed_that_is_too_far_behind_is_gone() {
    let mut fixture = Fixture::new(Options {
        items: 10,
        tombstones_max: 3,
        ..generous()
    });
    for n in 1..=5 {
        fixture.ok("DELETE", &format!("/items/itm_{n:06}"), &Value::Null);
    }
    assert_eq!(
        fixture.status("GET", "/changes?since=10", &Value::Null),
        StatusCode::GONE
    );
    assert_eq!(fixture.get("/changes?since=12")["count"], 3);
    // A sequence that never was: of an account that was forgotten meanwhile.
    assert_eq!(
        fixture.status("GET", "/changes?since=16", &Value::Null),
        StatusCode::GONE
    );
}

#[test]
fn the_rate_is_limited_and_says_when_to_come_back() {
    let mut fixture = Fixture::new(Options {
        burst: 3,
        per_second: 2,
        ..Options::default()
    });
    for left in ["2", "1", "0"] {
        let (response, _) = fixture.send("GET", "", &Value::Null);
        assert_eq!(response.headers()["x-ratelimit-limit"], "3");
        assert_eq!(response.headers()["x-ratelimit-remaining"], left);
    }
    let (refused, _) = fixture.send("GET", "", &Value::Null);
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["x-ratelimit-remaining"], "0");
    // Whoever tests is not limited.
    fixture.get("/faults");
    fixture.later(1);
    assert_eq!(fixture.status("GET", "", &Value::Null), StatusCode::OK);
    assert_eq!(fixture.status("GET", "", &Value::Null), StatusCode::OK);
    assert_eq!(
        fixture.status("GET", "", &Value::Null),
        StatusCode::TOO_MANY_REQUESTS
    );
    fixture.later(-3600);
    assert_eq!(
        fixture.status("GET", "", &Value::Null),
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[test]
fn faults_come_as_often_as_asked_and_then_pass() {
    let mut fixture = Fixture::new(generous());
    for (kind, status) in [
        ("server_error", StatusCode::INTERNAL_SERVER_ERROR),
        ("rate_limit", StatusCode::TOO_MANY_REQUESTS),
        ("unauthorized", StatusCode::UNAUTHORIZED),
    ] {
        fixture.ok("PUT", "/faults", &json!({"kind": kind, "count": 2}));
        assert_eq!(fixture.status("GET", "/items", &Value::Null), status);
        assert_eq!(
            fixture.get("/faults"),
            json!({"faults": [{"kind": kind, "count": 1}]})
        );
        assert_eq!(fixture.status("GET", "/items", &Value::Null), status);
        assert_eq!(
            fixture.status("GET", "/items", &Value::Null),
            StatusCode::OK
        );
    }
    fixture.ok("PUT", "/faults", &json!({"kind": "malformed", "count": 1}));
    let (response, body) = fixture.send("GET", "/items", &Value::Null);
    assert_eq!((response.status(), body), (StatusCode::OK, Value::Null));
    fixture.ok("PUT", "/faults", &json!({"kind": "drop_page", "count": 1}));
    let page = fixture.get("/items?limit=3");
    assert_eq!((&page["items"], &page["count"]), (&json!([]), &json!(3)));
    fixture.ok("PUT", "/faults", &json!({"kind": "slow", "count": 1}));
    let request = Request::get("/sandbox/v1/items")
        .header("authorization", "Bearer sandbox_one")
        .body(Bytes::new())
        .unwrap();
    let (response, delay) = fixture.world.answer(&request, fixture.now);
    assert_eq!(
        (response.status(), delay),
        (StatusCode::OK, Options::default().slow)
    );
    fixture.ok("PUT", "/faults", &json!({"kind": "slow", "count": 5}));
    fixture.ok("PUT", "/faults", &json!({"kind": "slow", "count": 0}));
    assert_eq!(fixture.get("/faults"), json!({"faults": []}));
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let mut fixture = Fixture::new(generous());
    let long = "x".repeat(201);
    for (method, path, body, status) in [
        ("GET", "/items?limit=0", json!(null), 400),
        ("GET", "/items?limit=101", json!(null), 400),
        ("GET", "/items?limit=x", json!(null), 400),
        ("GET", "/items?page_token=1", json!(null), 400),
        ("GET", "/items?colour=blue", json!(null), 400),
        ("GET", "/changes?since=-1", json!(null), 400),
        ("GET", "/nothing", json!(null), 404),
        ("GET", "/items/itm_x", json!(null), 404),
        ("PATCH", "/items/itm_999999", json!({"title": "A"}), 404),
        ("DELETE", "/items/itm_999999", json!(null), 404),
        ("POST", "/changes", json!(null), 405),
        ("PUT", "/items/itm_000001", json!(null), 405),
        ("DELETE", "/faults", json!(null), 405),
        ("POST", "/items", json!(null), 422),
        ("POST", "/items", json!({}), 422),
        ("POST", "/items", json!({"title": ""}), 422),
        ("POST", "/items", json!({"title": long}), 422),
        ("POST", "/items", json!({"title": "a\u{1}"}), 422),
        (
            "POST",
            "/items",
            json!({"title": "A", "colour": "blue"}),
            422,
        ),
        ("PATCH", "/items/itm_000001", json!({"tags": [""]}), 422),
        (
            "PUT",
            "/faults",
            json!({"kind": "earthquake", "count": 1}),
            422,
        ),
        (
            "PUT",
            "/faults",
            json!({"kind": "slow", "count": 1001}),
            422,
        ),
        ("PUT", "/faults", json!({"kind": "slow"}), 422),
    ] {
        let (response, answer) = fixture.send(method, path, &body);
        assert_eq!(response.status().as_u16(), status, "{method} {path} {body}");
        assert!(
            answer["error"].is_string() && answer["message"].is_string(),
            "{answer}"
        );
    }
    assert_eq!(fixture.get(""), json!({"items": 250, "change_seq": 250}));
}

#[test]
fn only_tokens_of_the_sandbox_are_let_in() {
    let mut fixture = Fixture::new(Options::default());
    let too_long = Box::leak(format!("sandbox_{}", "x".repeat(200)).into_boxed_str());
    for token in ["", "other", too_long] {
        fixture.token = token;
        assert_eq!(
            fixture.status("GET", "/items", &Value::Null),
            StatusCode::UNAUTHORIZED
        );
    }
    let bare = Request::get("/sandbox/v1/items")
        .body(Bytes::new())
        .unwrap();
    assert_eq!(
        fixture.world.answer(&bare, fixture.now).0.status(),
        StatusCode::UNAUTHORIZED
    );
    assert!(fixture.world.accounts.is_empty());
}

#[test]
fn the_world_stays_as_large_as_it_may() {
    let mut fixture = Fixture::new(Options {
        accounts: 2,
        items: 1,
        items_max: 3,
        ..generous()
    });
    fixture.ok("POST", "/items", &json!({"title": "mine"}));
    for token in ["sandbox_two", "sandbox_one", "sandbox_three"] {
        fixture.token = token;
        fixture.get("");
    }
    let known: Vec<_> = fixture.world.accounts.keys().cloned().collect();
    assert_eq!(
        known,
        ["sandbox_one", "sandbox_three"],
        "two was not used for the longest time"
    );
    fixture.ok("POST", "/items", &json!({"title": "A"}));
    fixture.ok("POST", "/items", &json!({"title": "B"}));
    let full = fixture.status("POST", "/items", &json!({"title": "C"}));
    assert_eq!(full, StatusCode::CONFLICT);
    fixture.ok("POST", "/advance", &json!({"steps": 300}));
    assert!(fixture.get("")["items"].as_u64().unwrap() <= 3);
}
