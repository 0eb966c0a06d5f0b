//! The sandbox on the network.

use std::task::Poll;

use axum::body::Body;
use futures::poll;
use tower::ServiceExt;

use super::*;
use crate::testing::TestClock;

/// Says what it was asked; `/slow` takes five seconds, `/endless` an hour.
fn echo(request: &http::Request<Bytes>, now: Timestamp) -> (http::Response<Bytes>, Duration) {
    let body = format!(
        "{} {} {} {} {now}",
        request.method(),
        request.uri(),
        request
            .headers()
            .get("authorization")
            .map_or("-", |value| value.to_str().unwrap()),
        String::from_utf8_lossy(request.body()),
    );
    let delay = match request.uri().path() {
        "/sandbox/v1/slow" => 5,
        "/sandbox/v1/endless" => 3600,
        _ => 0,
    };
    let response = http::Response::builder()
        .status(418)
        .header("x-odd", "1")
        .body(body.into());
    (response.unwrap(), Duration::from_secs(delay))
}

fn app(clock: &Arc<TestClock>) -> Router {
    router(clock.clone(), Arc::new(echo))
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", "Bearer sandbox_one")
        .body(body.into())
        .unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(
        to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap()
            .to_vec(),
    )
    .unwrap()
}

#[tokio::test]
async fn a_request_reaches_the_platform_whole_and_its_answer_the_client() {
    let clock = Arc::new(TestClock::default());
    for (method, path) in [
        ("GET", "/sandbox/v1"),
        ("GET", "/sandbox/v1/"),
        ("PATCH", "/sandbox/v1/items/itm_000001"),
        ("GET", "/sandbox/v1/items?limit=3&page_token=after_3"),
    ] {
        let response = app(&clock)
            .oneshot(request(method, path, "{}"))
            .await
            .unwrap();
        assert_eq!(response.status(), 418);
        assert_eq!(response.headers()["x-odd"], "1");
        let expected = format!("{method} {path} Bearer sandbox_one {{}} {}", clock.now());
        assert_eq!(text(response).await, expected);
    }
    let elsewhere = app(&clock)
        .oneshot(request("GET", "/sandbox", ""))
        .await
        .unwrap();
    assert_eq!(elsewhere.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_slow_answer_waits_on_the_clock_but_never_for_ever() {
    let clock = Arc::new(TestClock::default());
    for (path, seconds) in [("/sandbox/v1/slow", 5), ("/sandbox/v1/endless", 30)] {
        let mut waiting = std::pin::pin!(app(&clock).oneshot(request("GET", path, "")));
        clock.advance(0);
        assert!(poll!(&mut waiting).is_pending());
        clock.advance(seconds - 1);
        assert!(poll!(&mut waiting).is_pending());
        clock.advance(1);
        let Poll::Ready(response) = poll!(&mut waiting) else {
            panic!("{path} still waits")
        };
        assert_eq!(response.unwrap().status(), 418);
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let clock = Arc::new(TestClock::default());
    let large = "x".repeat(MAX_BODY_BYTES + 1);
    let response = app(&clock)
        .oneshot(request("POST", "/sandbox/v1/items", large))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text(response).await.contains("65536"));
    let fits = "x".repeat(MAX_BODY_BYTES);
    let response = app(&clock)
        .oneshot(request("POST", "/sandbox/v1/items", fits))
        .await
        .unwrap();
    assert_eq!(response.status(), 418);
}
