//! Starting runs and reading them.

use axum::{extract::State, response::Response};
use http::{StatusCode, header};
use wharf_domain::{
    integrations::{IntegrationCommand, RequestSync, Trigger},
    kernel::RunId,
    syncs::SyncType,
};
use wharf_projections::syncs;

use super::dto::{LogsQuery, RunOut, RunPage, StartSync, SyncStarted};
use crate::{
    auth::{Granted, Read, Run},
    extract::{IntegrationPath, Pages, Post, Query, RunPath},
    idempotency::once,
    integrations::{AfterQuery, existing},
    problem::{Code, Error},
    reply::{Envelope, Reply},
    state::App,
};

/// Start a sync
///
/// Answers as soon as the run has its lease; follow it at `GET …/sync/runs/{run_id}`.
#[utoipa::path(
    post, path = "/api/v1/integrations/{integration_id}/sync", tag = "syncs",
    operation_id = "start_sync",
    params(("integration_id" = uuid::Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "repeats get the first answer")),
    request_body = Option<StartSync>, security(("bearer" = [])),
    responses(
        (status = 202, description = "started", body = Envelope<SyncStarted>,
            headers(("Location" = String),
                ("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 404, description = "F42303"),
        (status = 409, description = "F42305 F42308 F40009"),
        (status = 422, description = "F40022 F42310"),
    )
)]
pub(crate) async fn start(
    by: Granted<Run>,
    State(app): State<App>,
    IntegrationPath(id): IntegrationPath,
    Post {
        body,
        once: request,
    }: Post<StartSync>,
) -> Result<Response, Error> {
    let row = existing(&app, by.project(), id).await?;
    once(&app, &by, &request, async {
        let pulled = app
            .api
            .connectors
            .get(&row.live.integration_type)
            .is_some_and(|connector| connector.manifest().capabilities.pull);
        if !pulled {
            return Err(Error::new(Code::SyncFailed)
                .status(StatusCode::CONFLICT)
                .detail("this platform is not asked for data; import a file instead"));
        }
        let run_id = RunId(request.id(&app, by.project(), &format!("integrations/{id}/sync")));
        let sync_type = SyncType::from(body.sync_type);
        let command = IntegrationCommand::RequestSync(RequestSync {
            run_id,
            sync_type,
            trigger: Trigger::Manual,
            force: body.force,
            upload: None,
        });
        let context = by.context(request.key.as_deref());
        let receipt = app
            .api
            .dispatch
            .integration(by.project(), id, command, context)
            .await?;
        app.shows(receipt.position).await;
        let started = SyncStarted {
            run_id: run_id.0,
            integration_id: id.0,
            sync_type: sync_type.as_str(),
            position: receipt.position.0,
        };
        Ok(Reply::ok("sync started", started)
            .status(StatusCode::ACCEPTED)
            .at(receipt.position)
            .header(
                header::LOCATION,
                format!("/api/v1/integrations/{id}/sync/runs/{run_id}"),
            ))
    })
    .await
}

/// List an integration's runs
#[utoipa::path(
    get, path = "/api/v1/integrations/{integration_id}/sync/logs", tag = "syncs",
    operation_id = "list_sync_logs",
    params(("integration_id" = uuid::Uuid, Path), LogsQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "a page", body = Envelope<RunPage>),
        (status = 404, description = "F42303"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn logs(
    by: Granted<Read>,
    State(app): State<App>,
    IntegrationPath(id): IntegrationPath,
    Query(query): Query<LogsQuery>,
) -> Result<Reply<RunPage>, Error> {
    let pages = Pages::of(query.page, query.size, &app.api.options)?;
    app.reach(query.after).await?;
    existing(&app, by.project(), id).await?;
    let (rows, total) = syncs::runs(&app.api.views.db(), by.project(), id, pages.into()).await?;
    Ok(Reply::ok(
        "sync logs listed",
        RunPage {
            logs: rows.iter().map(RunOut::from).collect(),
            total,
            page: pages.page,
            size: pages.size,
        },
    ))
}

/// Show a run
#[utoipa::path(
    get, path = "/api/v1/integrations/{integration_id}/sync/runs/{run_id}", tag = "syncs",
    operation_id = "get_sync_run",
    params(("integration_id" = uuid::Uuid, Path), ("run_id" = uuid::Uuid, Path), AfterQuery),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "the run", body = Envelope<RunOut>),
        (status = 404, description = "F42303 F40004"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn run(
    by: Granted<Read>,
    State(app): State<App>,
    RunPath(id, run_id): RunPath,
    Query(query): Query<AfterQuery>,
) -> Result<Reply<RunOut>, Error> {
    app.reach(query.after).await?;
    existing(&app, by.project(), id).await?;
    let row = syncs::run(&app.api.views.db(), by.project(), id, run_id)
        .await?
        .ok_or_else(|| Error::new(Code::NotFound).detail("there is no such run"))?;
    Ok(Reply::ok("sync run", RunOut::from(&row)))
}
