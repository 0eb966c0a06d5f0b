//! Creating, changing and deleting webhooks.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use wharf_domain::{
    kernel::{Decider, Position, Revision, Secret, StreamId, WebhookId},
    ports::TrustClass,
    webhooks::{Change, Create, Definition, RetryConfig, Webhook, WebhookCommand},
};

use super::{
    dto::{CreateWebhook, UpdateWebhook, WebhookOut},
    handlers::existing,
    secrets::{
        check_headers, check_prefix, check_secret, first_secret, generate, headers, hint, masked,
        merge, put_headers, put_secret,
    },
};
use crate::{
    auth::{Granted, Manage},
    extract::{IfMatch, Json, Post, WebhookPath},
    idempotency::{once, turn},
    problem::{Code, Error, url_refused},
    reply::{Envelope, Reply},
    state::App,
    written::{Deleted, Pending, Written},
};

/// Create a webhook
///
/// The answer shows the signing secret this once. If the views lag, the answer is 202 with id, position
/// and secret; the webhook is durable all the same.
#[utoipa::path(
    post, path = "/api/v1/webhooks", tag = "webhooks", operation_id = "create_webhook",
    params(("Idempotency-Key" = Option<String>, Header, description = "repeats get the first answer")),
    request_body = CreateWebhook, security(("bearer" = [])),
    responses(
        (status = 201, description = "created", body = Envelope<WebhookOut>,
            headers(("Location" = String),
                ("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 202, description = "created, the views lag", body = Envelope<Pending>),
        (status = 404, description = "F40004"),
        (status = 409, description = "F40009"),
        (status = 422, description = "F40022 F42310"),
    )
)]
pub(crate) async fn create(
    by: Granted<Manage>,
    State(app): State<App>,
    Post {
        body,
        once: request,
    }: Post<CreateWebhook>,
) -> Result<Response, Error> {
    by.own(Some(&body.project_id))?;
    once(&app, &by, &request, async {
        check_url(&app, &body.url)?;
        let values = check_headers(body.headers.unwrap_or_default())?;
        if let Some(prefix) = &body.compat_prefix {
            check_prefix(prefix)?;
        }
        if let Some(secret) = &body.secret {
            check_secret(secret)?;
        }
        let id = WebhookId(request.id(&app, by.project(), "webhooks"));
        let kept = match (&body.secret, &request.key) {
            (None, Some(_)) => first_secret(&app, by.project(), id).await?,
            (Some(_), _) | (None, None) => None,
        };
        let secret = match (body.secret.map(Secret::new), kept) {
            (Some(given), _) => given,
            (None, Some(kept)) => kept,
            (None, None) => generate(&app),
        };
        let command = WebhookCommand::Create(Create {
            definition: Definition {
                name: body.name,
                url: body.url,
                events: body.events,
                header_names: values.keys().cloned().collect(),
                headers_generation: u64::from(!values.is_empty()),
                secret_generation: 1,
                compat_prefix: body.compat_prefix,
                is_active: body.is_active,
                retry_config: body.retry_config.map(RetryConfig::from),
                timeout_seconds: body.timeout_seconds,
            },
            secret_hint: hint(secret.expose()),
            created_by: by.caller.subject.clone(),
        });
        // Refused before a secret is stored for something that will never exist.
        Webhook::default().decide(&command)?;
        put_secret(&app, by.project(), id, 1, secret.expose()).await?;
        if !values.is_empty() {
            put_headers(&app, by.project(), id, 1, &values).await?;
        }
        let context = by.context(request.key.as_deref());
        let receipt = app
            .api
            .dispatch
            .webhook(by.project(), id, command, context)
            .await?;
        let reply = written(
            &app,
            &by,
            id,
            receipt.position,
            Some(secret.expose()),
            ("webhook created", StatusCode::CREATED),
        )
        .await?;
        Ok(reply.header(header::LOCATION, format!("/api/v1/webhooks/{id}")))
    })
    .await
}

/// Change a webhook
///
/// A JSON merge patch (RFC 7396): what is absent stays. With `If-Match` the change is refused unless
/// the webhook is still at that revision.
#[utoipa::path(
    patch, path = "/api/v1/webhooks/{webhook_id}", tag = "webhooks",
    operation_id = "update_webhook",
    params(("webhook_id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "the ETag that was read")),
    request_body(content(
        (UpdateWebhook = "application/json"), (UpdateWebhook = "application/merge-patch+json"))),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "changed", body = Envelope<WebhookOut>,
            headers(("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 202, description = "changed, the views lag", body = Envelope<Pending>),
        (status = 404, description = "F40004 F42301"),
        (status = 409, description = "F40009"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn patch(
    by: Granted<Manage>,
    State(app): State<App>,
    WebhookPath(id): WebhookPath,
    IfMatch(seen): IfMatch,
    Json(body): Json<UpdateWebhook>,
) -> Result<Response, Error> {
    update(&app, &by, id, seen, body).await
}

/// Change a webhook, with PUT
///
/// The same as PATCH: every field is optional, what is absent stays.
#[utoipa::path(
    put, path = "/api/v1/webhooks/{webhook_id}", tag = "webhooks", operation_id = "replace_webhook",
    params(("webhook_id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "the ETag that was read")),
    request_body = UpdateWebhook, security(("bearer" = [])),
    responses(
        (status = 200, description = "changed", body = Envelope<WebhookOut>,
            headers(("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 202, description = "changed, the views lag", body = Envelope<Pending>),
        (status = 404, description = "F40004 F42301"),
        (status = 409, description = "F40009"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn put(
    by: Granted<Manage>,
    State(app): State<App>,
    WebhookPath(id): WebhookPath,
    IfMatch(seen): IfMatch,
    Json(body): Json<UpdateWebhook>,
) -> Result<Response, Error> {
    update(&app, &by, id, seen, body).await
}

/// Delete a webhook
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{webhook_id}", tag = "webhooks",
    operation_id = "delete_webhook",
    params(("webhook_id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "the ETag that was read")),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "deleted", body = Envelope<Deleted>,
            headers(("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 404, description = "F42301"),
        (status = 409, description = "F40009"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn delete(
    by: Granted<Manage>,
    State(app): State<App>,
    WebhookPath(id): WebhookPath,
    IfMatch(seen): IfMatch,
) -> Result<Reply<Deleted>, Error> {
    let _turn = turn(&app, by.project(), &turn_of(id)).await?;
    expect_revision(&app, &by, id, seen).await?;
    let receipt = app
        .api
        .dispatch
        .webhook(by.project(), id, WebhookCommand::Delete, by.context(None))
        .await?;
    app.shows(receipt.position).await;
    let deleted = Deleted {
        id: id.0,
        deleted: true,
    };
    Ok(Reply::ok("webhook deleted", deleted).at(receipt.position))
}

fn check_url(app: &App, url: &str) -> Result<(), Error> {
    app.api
        .http
        .check(url, TrustClass::Caller)
        .map_err(|error| url_refused(&error))
}

/// Who changes a webhook waits for its turn. The space keeps the name apart from every
/// `Idempotency-Key`.
fn turn_of(id: WebhookId) -> String {
    format!("webhook {id}")
}

/// Refuses if the webhook is no longer at the revision that the caller saw. Hold its turn: then only
/// the hub itself may still come between, to switch it off.
async fn expect_revision(
    app: &App,
    by: &Granted<Manage>,
    id: WebhookId,
    seen: Option<Revision>,
) -> Result<(), Error> {
    let Some(seen) = seen else { return Ok(()) };
    let stream = StreamId::webhook(by.project(), id);
    let head = app.api.log.head(&stream).await?;
    let now = head
        .ok_or_else(|| Error::new(Code::WebhookNotFound))?
        .revision;
    if now == seen {
        Ok(())
    } else {
        Err(Error::new(Code::Conflict).detail(format!(
            "the webhook is at revision {}; read it again and repeat the change",
            now.0
        )))
    }
}

async fn update(
    app: &App,
    by: &Granted<Manage>,
    id: WebhookId,
    seen: Option<Revision>,
    body: UpdateWebhook,
) -> Result<Response, Error> {
    by.own(body.project_id.as_deref())?;
    if let Some(url) = &body.url {
        check_url(app, url)?;
    }
    // Two requests must not fill the same generation with different secrets.
    let _turn = turn(app, by.project(), &turn_of(id)).await?;
    let row = existing(app, by.project(), id).await?;
    expect_revision(app, by, id, seen).await?;
    let secret = body
        .secret
        .filter(|secret| *secret != masked(&row.secret_hint));
    if let Some(secret) = &secret {
        check_secret(secret)?;
    }
    let values = match body.headers {
        None => None,
        Some(patch) => {
            let generation = row.definition.headers_generation;
            let old = headers(app, by.project(), id, generation).await?;
            let mut new = old.clone();
            merge(&mut new, patch);
            let new = check_headers(new)?;
            (new != old).then_some(new)
        }
    };
    let secret_generation = row.definition.secret_generation + 1;
    let headers_generation = row.definition.headers_generation + 1;
    let change = Change {
        name: body.name,
        url: body.url,
        events: body.events,
        headers: values
            .as_ref()
            .map(|values| (values.keys().cloned().collect(), headers_generation)),
        secret: secret
            .as_ref()
            .map(|secret| (secret_generation, hint(secret))),
        is_active: body.is_active,
        retry_config: body.retry_config.map(|retry| retry.map(RetryConfig::from)),
        timeout_seconds: body.timeout_seconds,
    };
    let command = WebhookCommand::Change(change);
    // Refused before a secret is stored that nothing will name.
    Webhook::Live(Box::new(row.definition)).decide(&command)?;
    if let Some(secret) = &secret {
        put_secret(app, by.project(), id, secret_generation, secret).await?;
    }
    if let Some(values) = &values {
        put_headers(app, by.project(), id, headers_generation, values).await?;
    }
    let receipt = app
        .api
        .dispatch
        .webhook(by.project(), id, command, by.context(None))
        .await?;
    let done = ("webhook updated", StatusCode::OK);
    let reply = written(app, by, id, receipt.position, None, done).await?;
    Ok(reply.into_response())
}

/// What a write left, once the views show it, with the secret if it is to be shown.
async fn written(
    app: &App,
    by: &Granted<Manage>,
    id: WebhookId,
    position: Position,
    secret: Option<&str>,
    (msg, status): (&'static str, StatusCode),
) -> Result<Reply<Written<WebhookOut>>, Error> {
    let row = if app.shows(position).await {
        wharf_projections::webhooks::get(&app.api.views.db(), by.project(), id).await?
    } else {
        None
    };
    let Some(row) = row else {
        let pending = Written::Pending(Pending {
            id: id.0,
            position: position.0,
            secret: secret.map(ToOwned::to_owned),
        });
        return Ok(Reply::ok(msg, pending)
            .status(StatusCode::ACCEPTED)
            .at(position));
    };
    let mut shown = WebhookOut::from(&row);
    if let Some(secret) = secret {
        secret.clone_into(&mut shown.secret);
    }
    Ok(Reply::ok(msg, Written::Shown(shown))
        .status(status)
        .at(position)
        .etag(row.revision))
}
