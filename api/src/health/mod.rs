//! Health: whether the hub works and is caught up. Public: it shows counts, never names.

use std::time::Duration;

use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::ports::Durability;
use wharf_projections::overview;

use crate::{
    problem::{Code, Error},
    reply::{Envelope, Reply},
    state::App,
};

/// How long readiness waits for the views to reach the log's tail.
const CATCH_UP: Duration = Duration::from_secs(1);

/// The hub at a glance.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `healthy`.
    #[schema(example = "healthy")]
    status: &'static str,
    /// `integration-service`.
    #[schema(example = "integration-service")]
    service: &'static str,
    /// Now.
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    /// Of the hub.
    #[schema(example = "1.0.0")]
    version: String,
    /// The views answer.
    #[schema(example = "connected")]
    database: &'static str,
    /// The in-process caches; always there.
    #[schema(example = "connected")]
    cache: &'static str,
    /// Webhooks that are sent to.
    webhooks_active: u64,
    /// Integrations that work.
    integrations_active: u64,
    /// Plugins installed.
    plugins_installed: u64,
    /// What an accepted write survives: `durable` (a power cut), `process-crash only`, `volatile`.
    #[schema(example = "durable")]
    durability: &'static str,
    /// Position of the log's last commit.
    position: u64,
    /// Events that no view could read; above 0 someone must look at them.
    parked: u64,
}

/// How far the views are.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// `ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// Position that the views have reached.
    position: u64,
}

/// Whether the hub works
///
/// The contract's body, and beside it how durable writes are and where the log ends.
#[utoipa::path(
    get, path = "/api/v1/health", tag = "health", operation_id = "get_health",
    responses((status = 200, description = "it works", body = Envelope<Health>))
)]
pub(crate) async fn health(State(app): State<App>) -> Result<Reply<Health>, Error> {
    let position = app.api.log.tail().await?;
    let counts = overview::counts(&app.api.views.db()).await?;
    Ok(Reply::ok(
        "service healthy",
        Health {
            status: "healthy",
            service: "integration-service",
            timestamp: app.api.clock.now(),
            version: app.api.options.service_version.clone(),
            database: "connected",
            cache: "connected",
            webhooks_active: counts.webhooks_active,
            integrations_active: counts.integrations_active,
            plugins_installed: counts.plugins_installed,
            durability: match app.api.log.durability() {
                Durability::Durable => "durable",
                Durability::Bounded(_) => "bounded",
                Durability::ProcessCrash => "process-crash only",
                Durability::Unverified => "unverified",
                Durability::Volatile => "volatile",
            },
            position: position.0,
            parked: counts.parked,
        },
    ))
}

/// Whether the hub is ready
///
/// 503 until the views have reached the log's tail, waiting for it at most a second.
#[utoipa::path(
    get, path = "/api/v1/health/ready", tag = "health", operation_id = "get_readiness",
    responses((status = 200, description = "the views are caught up", body = Envelope<Ready>))
)]
pub(crate) async fn ready(State(app): State<App>) -> Result<Reply<Ready>, Error> {
    let tail = app.api.log.tail().await?;
    if app.api.shutdown.is_cancelled() {
        return Err(Error::new(Code::Unavailable)
            .detail("the hub is stopping")
            .retry_after(5));
    }
    if app.api.views.wait_for(tail, CATCH_UP).await.is_err() {
        return Err(Error::new(Code::Unavailable)
            .detail(format!(
                "the views are at position {}, the log at {tail}",
                app.api.views.position()
            ))
            .retry_after(1));
    }
    Ok(Reply::ok(
        "service ready",
        Ready {
            status: "ready",
            position: app.api.views.position().0,
        },
    ))
}
