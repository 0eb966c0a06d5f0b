//! `GET /metrics`: the Prometheus text of the whole process.

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::header;

use crate::{auth::operator_or_loopback, problem::Error, state::App};

/// The process's metrics
///
/// In the Prometheus text format. No token is needed from this machine itself; from elsewhere the role
/// `operator` is.
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "get_metrics",
    security((), ("bearer" = [])),
    responses((status = 200, description = "metrics", body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(app): State<App>, request: Request) -> Result<Response, Error> {
    let (parts, _) = request.into_parts();
    operator_or_loopback(&parts, &app)?;
    let content_type = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    Ok((content_type, (app.api.metrics)()).into_response())
}
