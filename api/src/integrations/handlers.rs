//! Reading integrations.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use wharf_domain::kernel::{IntegrationId, ProjectId, StreamId};
use wharf_projections::integrations::{self, Filter, Row, StatusFilter};

use super::dto::{AfterQuery, IntegrationOut, IntegrationPage, ListQuery};
use crate::{
    auth::{Granted, Read},
    events::{Cursor, EventPage, stream_page},
    extract::{IntegrationPath, Pages, Query},
    problem::{Code, Error},
    reply::{Envelope, Reply},
    state::App,
};

/// The integration `id` of `project` as the views show it.
///
/// # Errors
/// `F42303` if it is absent, deleted, or another project's.
pub(crate) async fn existing(
    app: &App,
    project: &ProjectId,
    id: IntegrationId,
) -> Result<Row, Error> {
    integrations::get(&app.api.views.db(), project, id)
        .await?
        .ok_or_else(|| Error::new(Code::IntegrationNotFound))
}

/// List integrations
#[utoipa::path(
    get, path = "/api/v1/integrations", tag = "integrations", operation_id = "list_integrations",
    params(ListQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "a page", body = Envelope<IntegrationPage>),
        (status = 404, description = "F40004"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn list(
    by: Granted<Read>,
    State(app): State<App>,
    Query(query): Query<ListQuery>,
) -> Result<Reply<IntegrationPage>, Error> {
    by.own(query.project_id.as_deref())?;
    let pages = Pages::of(query.page, query.size, &app.api.options)?;
    let status = query
        .status
        .map(|status| {
            status
                .parse::<StatusFilter>()
                .map_err(|invalid| Error::field("status", invalid.to_string()))
        })
        .transpose()?;
    app.reach(query.after).await?;
    let filter = Filter {
        integration_type: query.integration_type,
        status,
        owner: None,
    };
    let (rows, total) =
        integrations::list(&app.api.views.db(), by.project(), &filter, pages.into()).await?;
    Ok(Reply::ok(
        "integrations listed",
        IntegrationPage {
            integrations: rows.iter().map(IntegrationOut::from).collect(),
            total,
            page: pages.page,
            size: pages.size,
        },
    ))
}

/// Show an integration
///
/// The `ETag` is its revision; send it as `If-Match` with a change.
#[utoipa::path(
    get, path = "/api/v1/integrations/{integration_id}", tag = "integrations",
    operation_id = "get_integration",
    params(("integration_id" = uuid::Uuid, Path), AfterQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "the integration", body = Envelope<IntegrationOut>,
            headers(("ETag" = String, description = "its revision"))),
        (status = 404, description = "F42303"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn get(
    by: Granted<Read>,
    State(app): State<App>,
    IntegrationPath(id): IntegrationPath,
    Query(query): Query<AfterQuery>,
) -> Result<Reply<IntegrationOut>, Error> {
    app.reach(query.after).await?;
    let row = existing(&app, by.project(), id).await?;
    Ok(Reply::ok("integration", IntegrationOut::from(&row)).etag(row.live.revision))
}

/// Which of an integration's events to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Only what came after this event: a position, or `position.index`.
    after: Option<String>,
    /// Most events.
    #[param(default = 20, minimum = 1, maximum = 100)]
    size: Option<u32>,
}

/// List what happened to an integration
///
/// Its decisions, oldest first, as `CloudEvents` 1.0. What its runs brought is in `GET /api/v1/events`.
#[utoipa::path(
    get, path = "/api/v1/integrations/{integration_id}/events", tag = "integrations",
    operation_id = "list_integration_events",
    params(("integration_id" = uuid::Uuid, Path), EventsQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "its events", body = Envelope<EventPage>),
        (status = 404, description = "F42303"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn events(
    by: Granted<Read>,
    State(app): State<App>,
    IntegrationPath(id): IntegrationPath,
    Query(query): Query<EventsQuery>,
) -> Result<Reply<EventPage>, Error> {
    let after = Cursor::parameter("after", query.after.as_deref())?;
    let limit = crate::extract::size_of(query.size, &app.api.options)?;
    existing(&app, by.project(), id).await?;
    let stream = StreamId::integration(by.project(), id);
    let page = stream_page(&app, &stream, after, limit).await?;
    Ok(Reply::ok("integration events listed", page))
}
