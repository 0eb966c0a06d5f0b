//! The table of contents: every route, in groups by what surrounds it.

use axum::{Router, middleware::from_fn_with_state};
use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    docs, events, health, imports, integrations, layers,
    linger::linger,
    messages, metrics, openapi, platforms, records,
    state::{ApiState, App},
    syncs, webhooks,
};

/// Asked by machines that decide whether the hub lives: never shed.
fn probes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
}

/// Answered within the request timeout.
fn short() -> OpenApiRouter<App> {
    use integrations::{handlers as read, write};
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(platforms::list))
        .routes(routes!(platforms::schema))
        .routes(routes!(read::list, write::create))
        .routes(routes!(read::get, write::put, write::patch, write::delete))
        .routes(routes!(read::events))
        .routes(routes!(syncs::handlers::start))
        .routes(routes!(syncs::handlers::logs))
        .routes(routes!(syncs::handlers::run))
        .routes(routes!(records::list))
        .routes(routes!(webhooks::handlers::list, webhooks::write::create))
        .routes(routes!(
            webhooks::handlers::get,
            webhooks::write::put,
            webhooks::write::patch,
            webhooks::write::delete
        ))
        .routes(routes!(webhooks::handlers::logs))
        .routes(routes!(webhooks::test::test))
        .routes(routes!(messages::send))
        .routes(routes!(events::handlers::list))
}

/// Take as long as the client goes on.
fn long() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(imports::handlers::begin))
        .routes(routes!(
            imports::handlers::offset,
            imports::handlers::append
        ))
        .routes(routes!(events::stream::follow))
}

/// Every route that the description names.
pub(crate) fn all() -> OpenApiRouter<App> {
    short()
        .merge(long())
        .merge(probes())
        .merge(docs::described())
}

/// The whole API as a service. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, so
/// that `/metrics` knows who asks.
pub fn router(state: ApiState) -> Router {
    let with_docs = state.options.docs;
    let app = App::new(state);
    let deadline = from_fn_with_state(app.clone(), layers::deadline);
    let shed = from_fn_with_state(app.clone(), layers::shed);
    let observe = from_fn_with_state(app.clone(), layers::observe);
    let linger = from_fn_with_state(app.clone(), linger);
    let mut short: Router<App> = short().into();
    if with_docs {
        short = short.merge(docs::described()).merge(docs::files());
    }
    let shed = short.layer(deadline.clone()).merge(long()).layer(shed);
    let probes: Router<App> = probes().into();
    shed.merge(probes.layer(deadline))
        .fallback(layers::not_found)
        .method_not_allowed_fallback(layers::method_not_allowed)
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(observe)
        .layer(linger)
        .layer(CompressionLayer::new())
        .with_state(app)
}
