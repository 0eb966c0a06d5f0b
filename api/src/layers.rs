//! What happens to every request around its handler: an id, a span, a line in the log, metrics, limits,
//! security headers, and a body for every problem.
//!
//! Called by `routes` only. Nothing here logs a query string, a body or a token.

use std::{any::Any, sync::Arc};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, header};
use tracing::Instrument;

use crate::{
    problem::{self, Code, Error, internal},
    state::App,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The label of requests that match no route.
const UNMATCHED: &str = "unmatched";

/// Names a request in our logs, in the log's metadata and in every problem.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that [`observe`] gave this request.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions
            .get()
            .cloned()
            .unwrap_or_else(|| Self(Arc::from("none")))
    }

    /// The caller's own, if it is sane.
    fn sent(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(REQUEST_ID)?.to_str().ok()?;
        let sane = (1..=128).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
        sane.then(|| Self(text.into()))
    }
}

/// The outermost layer: id, span, metrics, security headers, and the bodies of problems.
pub(crate) async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = RequestId::sent(request.headers())
        .unwrap_or_else(|| RequestId(app.api.ids.uuid().to_string().into()));
    let method = method(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or(UNMATCHED, MatchedPath::as_str)
        .to_owned();
    let span = tracing::info_span!(
        "request",
        request.id = id.as_str(),
        method,
        route,
        project = tracing::field::Empty,
    );
    request.extensions_mut().insert(id.clone());
    let begun = app.api.clock.now();
    async move {
        let response = next.run(request).await;
        let mut response = problem::render(response, id.as_str());
        let latency = app.api.clock.now().duration_since(begun);
        let status = response.status().as_u16();
        let latency_ms = latency.as_millis();
        if is_probe(&route) {
            tracing::debug!(status, latency_ms, "answered");
        } else {
            tracing::info!(status, latency_ms, "answered");
        }
        metrics::counter!(
            "wharf_http_requests_total",
            "method" => method, "route" => route.clone(), "status" => status.to_string()
        )
        .increment(1);
        metrics::histogram!("wharf_http_request_seconds", "method" => method, "route" => route)
            .record(latency.as_secs_f64());
        secure(response.headers_mut());
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    }
    .instrument(span)
    .await
}

/// Asked every few seconds by machines: not worth a line each.
fn is_probe(route: &str) -> bool {
    ["/api/v1/health", "/api/v1/health/ready", "/metrics"].contains(&route)
}

/// A method as a metric label: of the ones we know, so that labels stay bounded.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// Headers that every answer has unless the route set its own.
fn secure(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}

/// Refuses what is more than `max_in_flight` requests at once, at once: a queue would only grow.
pub(crate) async fn shed(State(app): State<App>, request: Request, next: Next) -> Response {
    let Ok(_permit) = app.requests.clone().try_acquire_owned() else {
        return Error::new(Code::Unavailable)
            .detail("too many requests at once")
            .retry_after(1)
            .into_response();
    };
    next.run(request).await
}

/// Gives up a request that takes longer than `request_timeout`.
pub(crate) async fn deadline(State(app): State<App>, request: Request, next: Next) -> Response {
    let deadline = app.later(app.api.options.request_timeout);
    tokio::select! {
        response = next.run(request) => response,
        () = app.api.clock.sleep_until(deadline) => Error::new(Code::Unavailable)
            .detail("the request took too long; a write may still have happened")
            .retry_after(1)
            .into_response(),
    }
}

/// The answer to a handler that panicked.
pub(crate) fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let what = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    internal(format!("a handler panicked: {what}")).into_response()
}

/// No such route.
pub(crate) async fn not_found() -> Error {
    Error::new(Code::NotFound).detail("there is no such path")
}

/// The route exists, the method does not; the router adds `Allow`.
pub(crate) async fn method_not_allowed() -> Error {
    Error::new(Code::NotFound)
        .status(http::StatusCode::METHOD_NOT_ALLOWED)
        .detail("the path does not take this method; see Allow")
}
