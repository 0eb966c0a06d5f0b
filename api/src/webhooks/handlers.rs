//! Reading webhooks and their logs.

use axum::extract::State;
use wharf_domain::kernel::{MessageId, ProjectId, WebhookId};
use wharf_projections::webhooks::{self, AttemptFilter, Row};

use super::dto::{AttemptOut, AttemptPage, ListQuery, LogsQuery, WebhookOut, WebhookPage};
use crate::{
    auth::{Granted, Read},
    extract::{Pages, Query, WebhookPath},
    integrations::AfterQuery,
    problem::{Code, Error},
    reply::{Envelope, Reply},
    state::App,
};

/// The webhook `id` of `project` as the views show it.
///
/// # Errors
/// `F42301` if it is absent, deleted, or another project's.
pub(super) async fn existing(app: &App, project: &ProjectId, id: WebhookId) -> Result<Row, Error> {
    webhooks::get(&app.api.views.db(), project, id)
        .await?
        .ok_or_else(|| Error::new(Code::WebhookNotFound))
}

/// List webhooks
#[utoipa::path(
    get, path = "/api/v1/webhooks", tag = "webhooks", operation_id = "list_webhooks",
    params(ListQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "a page", body = Envelope<WebhookPage>),
        (status = 404, description = "F40004"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn list(
    by: Granted<Read>,
    State(app): State<App>,
    Query(query): Query<ListQuery>,
) -> Result<Reply<WebhookPage>, Error> {
    by.own(query.project_id.as_deref())?;
    let pages = Pages::of(query.page, query.size, &app.api.options)?;
    app.reach(query.after).await?;
    let (rows, total) = webhooks::list(
        &app.api.views.db(),
        by.project(),
        query.is_active,
        pages.into(),
    )
    .await?;
    Ok(Reply::ok(
        "webhooks listed",
        WebhookPage {
            webhooks: rows.iter().map(WebhookOut::from).collect(),
            total,
            page: pages.page,
            size: pages.size,
        },
    ))
}

/// Show a webhook
///
/// Its counters follow the log: what they show is as of the views' position.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{webhook_id}", tag = "webhooks", operation_id = "get_webhook",
    params(("webhook_id" = uuid::Uuid, Path), AfterQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "the webhook", body = Envelope<WebhookOut>),
        (status = 404, description = "F42301"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn get(
    by: Granted<Read>,
    State(app): State<App>,
    WebhookPath(id): WebhookPath,
    Query(query): Query<AfterQuery>,
) -> Result<Reply<WebhookOut>, Error> {
    app.reach(query.after).await?;
    let row = existing(&app, by.project(), id).await?;
    Ok(Reply::ok("webhook", WebhookOut::from(&row)).etag(row.revision))
}

/// List a webhook's attempts
#[utoipa::path(
    get, path = "/api/v1/webhooks/{webhook_id}/logs", tag = "webhooks",
    operation_id = "list_webhook_logs",
    params(("webhook_id" = uuid::Uuid, Path), LogsQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "a page", body = Envelope<AttemptPage>),
        (status = 404, description = "F42301"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn logs(
    by: Granted<Read>,
    State(app): State<App>,
    WebhookPath(id): WebhookPath,
    Query(query): Query<LogsQuery>,
) -> Result<Reply<AttemptPage>, Error> {
    let pages = Pages::of(query.page, query.size, &app.api.options)?;
    app.reach(query.after).await?;
    existing(&app, by.project(), id).await?;
    let filter = AttemptFilter {
        message: query.message_id.map(MessageId),
        succeeded: query.succeeded,
    };
    let (rows, total) =
        webhooks::attempts(&app.api.views.db(), by.project(), id, filter, pages.into()).await?;
    Ok(Reply::ok(
        "webhook logs listed",
        AttemptPage {
            logs: rows.iter().map(AttemptOut::from).collect(),
            total,
            page: pages.page,
            size: pages.size,
        },
    ))
}
