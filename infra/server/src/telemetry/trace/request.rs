//! The span of each request, and `traceparent`: the caller's, and the one that a webhook gets.

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tracing::{Instrument as _, Span};
use wharf_domain::ports::{HttpRequest, Ids as _};
use wharf_runtime::clock::SystemIds;

use super::{TARGET, context::TraceContext, layer::context_of};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: &str = "traceparent";
/// Says which message a request delivers.
const DELIVERY: &str = "webhook-id";

/// Around every route: opens the request's span. A request without an id, or with one that the API would
/// not take, gets one: the trace's, which the log then keeps as its correlation. The caller's own stays.
pub async fn trace_requests(mut request: Request, next: Next) -> Response {
    let traceparent = header(request.headers(), TRACEPARENT).and_then(TraceContext::parse);
    if !header(request.headers(), "x-request-id").is_some_and(is_sane) {
        let id = traceparent.map_or_else(
            || SystemIds.uuid().to_string(),
            |parent| parent.correlation(),
        );
        if let Ok(id) = HeaderValue::from_str(&id) {
            request.headers_mut().insert(REQUEST_ID, id);
        }
    }
    let span = tracing::debug_span!(
        target: TARGET,
        "request",
        traceparent = traceparent.map(tracing::field::display),
        correlation = header(request.headers(), "x-request-id"),
        method = request.method().as_str(),
        route = request.extensions().get().map(MatchedPath::as_str),
        status = tracing::field::Empty,
    );
    async {
        let response = next.run(request).await;
        Span::current().record("status", response.status().as_u16());
        response
    }
    .instrument(span)
    .await
}

/// The header that tells a webhook's receiver where in which trace it is asked: below the span around this.
/// None for a platform, which has no use for it; a header that the webhook's owner configured stays.
pub(in crate::telemetry) fn traceparent(request: &HttpRequest) -> Option<(String, String)> {
    let has = |name| request.headers.iter().any(|(header, _)| header == name);
    if !has(DELIVERY) || has(TRACEPARENT) {
        return None;
    }
    let context = context_of(&Span::current())?;
    Some((TRACEPARENT.to_owned(), context.to_string()))
}

/// As the API judges it.
fn is_sane(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    (1..=128).contains(&id.len()) && id.bytes().all(allowed)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
