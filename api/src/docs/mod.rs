//! The documentation page: three files of our own, embedded, that draw `/openapi.json`. No network, no
//! third party, no inline script.

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::{HeaderName, header};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::App;

const PAGE: &str = include_str!("index.html");
const SCRIPT: &str = include_str!("docs.js");
const STYLE: &str = include_str!("docs.css");
/// Only files of this hub, and requests to this hub.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and the description.
pub(crate) fn described() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(description))
        .routes(routes!(page))
}

/// What the page loads.
pub(crate) fn files() -> Router<App> {
    Router::new()
        .route(
            "/docs/docs.js",
            get(|| async { file("text/javascript; charset=utf-8", SCRIPT) }),
        )
        .route(
            "/docs/docs.css",
            get(|| async { file("text/css; charset=utf-8", STYLE) }),
        )
}

type File = ([(HeaderName, &'static str); 2], &'static str);

const fn file(content_type: &'static str, text: &'static str) -> File {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, text)
}

/// This description
#[utoipa::path(
    get, path = "/openapi.json", tag = "health", operation_id = "get_openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
async fn description(State(app): State<App>) -> impl IntoResponse {
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (content_type, app.document.clone())
}

/// The documentation page
#[utoipa::path(
    get, path = "/docs", tag = "health", operation_id = "get_docs",
    responses((status = 200, description = "a page that draws this description", body = String,
        content_type = "text/html"))
)]
async fn page() -> impl IntoResponse {
    file("text/html; charset=utf-8", PAGE)
}
