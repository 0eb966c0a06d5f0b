//! Puts the sandbox platform on the network, under `/sandbox/v1`: a fake third party that ships in the
//! hub, for demos and for tests.
//!
//! It is not a part of the hub's API: bare JSON, tokens of its own (any bearer token that begins with
//! `sandbox_`), errors of its own, and it is not in the OpenAPI description. It sees nothing of the
//! hub's state. Its routes:
//!
//! - `GET /sandbox/v1/items?limit=&page_token=`, `POST /sandbox/v1/items`,
//!   `GET|PATCH|DELETE /sandbox/v1/items/{id}`;
//! - `GET /sandbox/v1/changes?since=&limit=`: what changed, deletions too;
//! - `POST /sandbox/v1/advance` `{"steps": n}`: items come, change and go by themselves;
//! - `GET|PUT /sandbox/v1/faults` `{"kind", "count"}`: `server_error`, `rate_limit`, `unauthorized`,
//!   `malformed`, `slow`, `drop_page`.
//!
//! What an answer says is decided by the function that `server` passes in; this layer reads the
//! request, waits as long as a `slow` answer asks for, and writes the answer. It never decides.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::to_bytes, extract::Request, response::Response, routing::any};
use bytes::Bytes;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use wharf_domain::ports::Clock;

/// Most bytes of a request's body.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Longest wait before an answer, whatever it asks for.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// The platform: what it answers, and how long it takes to. Must not block.
pub trait Platform: Send + Sync + 'static {
    /// Answers one request.
    fn answer(
        &self,
        request: &http::Request<Bytes>,
        now: Timestamp,
    ) -> (http::Response<Bytes>, Duration);
}

impl<F> Platform for F
where
    F: Fn(&http::Request<Bytes>, Timestamp) -> (http::Response<Bytes>, Duration)
        + Send
        + Sync
        + 'static,
{
    fn answer(
        &self,
        request: &http::Request<Bytes>,
        now: Timestamp,
    ) -> (http::Response<Bytes>, Duration) {
        self(request, now)
    }
}

/// The routes of the sandbox platform.
pub fn router<S: Clone + Send + Sync + 'static>(
    clock: Arc<dyn Clock>,
    platform: Arc<dyn Platform>,
) -> Router<S> {
    let route = any(move |request: Request| {
        let (clock, platform) = (Arc::clone(&clock), Arc::clone(&platform));
        async move { answer(&*clock, &*platform, request).await }
    });
    Router::new()
        .route("/sandbox/v1", route.clone())
        .route("/sandbox/v1/", route.clone())
        .route("/sandbox/v1/{*path}", route)
}

async fn answer(clock: &dyn Clock, platform: &dyn Platform, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return too_large();
    };
    let now = clock.now();
    let (response, delay) = platform.answer(&http::Request::from_parts(parts, body), now);
    let delay = SignedDuration::try_from(delay.min(MAX_DELAY)).unwrap_or_default();
    if delay > SignedDuration::ZERO
        && let Ok(until) = now.checked_add(delay)
    {
        clock.sleep_until(until).await;
    }
    response.map(Into::into)
}

/// Longer than the limit, or the client went away; then nobody reads this.
fn too_large() -> Response {
    let body = r#"{"error":"too_large","message":"a body has at most 65536 bytes"}"#;
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    let json = http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests;
