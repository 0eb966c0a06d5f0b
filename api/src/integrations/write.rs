//! Creating, changing and deleting integrations.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde_json::Value;
use wharf_domain::{
    integrations::{Change, Create, Integration, IntegrationCommand, Refusal, SyncSettings},
    kernel::{Decider, IntegrationId, Position, Revision, StreamId},
    platforms::Manifest,
    ports::DispatchError,
};
use wharf_projections::integrations::Row;

use super::{
    configuration, credential,
    dto::{CreateIntegration, IntegrationOut, StatusIn, SyncSettingsPatch, UpdateIntegration},
    existing,
};
use crate::{
    auth::{Granted, Manage},
    extract::{IfMatch, IntegrationPath, Json, Post},
    idempotency::{once, turn},
    problem::{Code, Error, internal},
    reply::{Envelope, Reply},
    state::App,
    written::{Deleted, Pending, Written},
};

/// How often a merge is tried anew because the integration changed meanwhile.
const MERGES: u32 = 3;

/// Create an integration
///
/// Secrets in `auth_config` go to the vault and are never shown again. If the views lag, the answer is
/// 202 with id and position; the integration is durable all the same.
#[utoipa::path(
    post, path = "/api/v1/integrations", tag = "integrations", operation_id = "create_integration",
    params(("Idempotency-Key" = Option<String>, Header, description = "repeats get the first answer")),
    request_body = CreateIntegration, security(("bearer" = [])),
    responses(
        (status = 201, description = "created", body = Envelope<IntegrationOut>,
            headers(("ETag" = String, description = "its revision"), ("Location" = String),
                ("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 202, description = "created, the views lag", body = Envelope<Pending>),
        (status = 404, description = "F40004"),
        (status = 409, description = "F40009"),
        (status = 422, description = "F40022 F42304 F42310"),
    )
)]
pub(crate) async fn create(
    by: Granted<Manage>,
    State(app): State<App>,
    Post {
        body,
        once: request,
    }: Post<CreateIntegration>,
) -> Result<Response, Error> {
    by.own(Some(&body.project_id))?;
    once(&app, &by, &request, async {
        let connector = app
            .api
            .connectors
            .get(&body.integration_type)
            .ok_or_else(|| {
                Error::new(Code::ConfigurationInvalid)
                    .detail("there is no such integration type; see GET /api/v1/integrations/types")
                    .and_field("/integration_type", "unknown")
            })?;
        let manifest = connector.manifest();
        configuration::check(&manifest.configuration_schema, &body.configuration)?;
        let credential = match &body.auth_config {
            Some(given) => Some(credential::check(&manifest.auth, given)?),
            None => None,
        };
        let create = IntegrationCommand::Create(Create {
            integration_type: body.integration_type,
            name: body.name,
            configuration: body.configuration,
            sync_settings: body
                .sync_settings
                .map(SyncSettings::from)
                .unwrap_or_default(),
            pending_auth: credential.is_none() && !credential::is_optional(&manifest.auth),
            created_by: by.caller.subject.clone(),
            now: app.api.clock.now(),
        });
        // Refused before a secret is stored for something that will never exist.
        Integration::default().decide(&create)?;
        let id = IntegrationId(request.id(&app, by.project(), "integrations"));
        let context = by.context(request.key.as_deref());
        if let Some(credential) = credential {
            credential::store(&app, &by, id, 1, credential, context.clone()).await?;
        }
        let receipt = app
            .api
            .dispatch
            .integration(by.project(), id, create, context)
            .await?;
        let written = written(&app, &by, id, receipt.position).await?;
        Ok(written
            .reply("integration created", StatusCode::CREATED)
            .header(header::LOCATION, format!("/api/v1/integrations/{id}")))
    })
    .await
}

/// Change an integration
///
/// A JSON merge patch (RFC 7396): what is absent stays. With `If-Match` the change is refused unless
/// the integration is still at that revision.
#[utoipa::path(
    patch, path = "/api/v1/integrations/{integration_id}", tag = "integrations",
    operation_id = "update_integration",
    params(("integration_id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "the ETag that was read")),
    request_body(content(
        (UpdateIntegration = "application/json"), (UpdateIntegration = "application/merge-patch+json"))),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "changed", body = Envelope<IntegrationOut>,
            headers(("ETag" = String, description = "its revision"),
                ("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 202, description = "changed, the views lag", body = Envelope<Pending>),
        (status = 404, description = "F40004 F42303"),
        (status = 409, description = "F40009 F42308"),
        (status = 422, description = "F40022 F42304"),
    )
)]
pub(crate) async fn patch(
    by: Granted<Manage>,
    State(app): State<App>,
    IntegrationPath(id): IntegrationPath,
    IfMatch(seen): IfMatch,
    Json(body): Json<UpdateIntegration>,
) -> Result<Response, Error> {
    update(&app, &by, id, seen, body).await
}

/// Change an integration, with PUT
///
/// The same as PATCH: every field is optional, what is absent stays.
#[utoipa::path(
    put, path = "/api/v1/integrations/{integration_id}", tag = "integrations",
    operation_id = "replace_integration",
    params(("integration_id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "the ETag that was read")),
    request_body = UpdateIntegration, security(("bearer" = [])),
    responses(
        (status = 200, description = "changed", body = Envelope<IntegrationOut>,
            headers(("ETag" = String, description = "its revision"),
                ("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 202, description = "changed, the views lag", body = Envelope<Pending>),
        (status = 404, description = "F40004 F42303"),
        (status = 409, description = "F40009 F42308"),
        (status = 422, description = "F40022 F42304"),
    )
)]
pub(crate) async fn put(
    by: Granted<Manage>,
    State(app): State<App>,
    IntegrationPath(id): IntegrationPath,
    IfMatch(seen): IfMatch,
    Json(body): Json<UpdateIntegration>,
) -> Result<Response, Error> {
    update(&app, &by, id, seen, body).await
}

/// Delete an integration
///
/// Its records and secrets are erased.
#[utoipa::path(
    delete, path = "/api/v1/integrations/{integration_id}", tag = "integrations",
    operation_id = "delete_integration",
    params(("integration_id" = uuid::Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "the ETag that was read")),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "deleted", body = Envelope<Deleted>,
            headers(("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 404, description = "F42303"),
        (status = 409, description = "F40009"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn delete(
    by: Granted<Manage>,
    State(app): State<App>,
    IntegrationPath(id): IntegrationPath,
    IfMatch(seen): IfMatch,
) -> Result<Reply<Deleted>, Error> {
    expect_revision(&app, &by, id, seen).await?;
    let receipt = app
        .api
        .dispatch
        .integration(
            by.project(),
            id,
            IntegrationCommand::Delete,
            by.context(None),
        )
        .await?;
    app.shows(receipt.position).await;
    let deleted = Deleted {
        id: id.0,
        deleted: true,
    };
    Ok(Reply::ok("integration deleted", deleted).at(receipt.position))
}

/// A change as commands.
struct Wanted {
    name: Option<String>,
    configuration: Option<Value>,
    sync_settings: Option<Option<SyncSettingsPatch>>,
    active: Option<bool>,
}

async fn update(
    app: &App,
    by: &Granted<Manage>,
    id: IntegrationId,
    seen: Option<Revision>,
    body: UpdateIntegration,
) -> Result<Response, Error> {
    by.own(body.project_id.as_deref())?;
    let auth_config = body
        .auth_config
        .map(|given| present("auth_config", given))
        .transpose()?;
    let wanted = Wanted {
        name: body.name.map(|name| present("name", name)).transpose()?,
        configuration: body
            .configuration
            .map(|given| present("configuration", given))
            .transpose()?,
        sync_settings: body.sync_settings,
        active: match body.status {
            None => None,
            Some(StatusIn::Active) => Some(true),
            Some(StatusIn::Inactive) => Some(false),
            Some(StatusIn::Error) => {
                return Err(Error::field(
                    "status",
                    "error is what the hub finds, not what a caller sets; use active or inactive",
                ));
            }
        },
    };
    let mut row = existing(app, by.project(), id).await?;
    let connector = app
        .api
        .connectors
        .get(&row.live.integration_type)
        .ok_or_else(|| internal("an integration's platform is not in this hub"))?;
    let manifest = connector.manifest();
    // Everything that can be refused is looked at before anything is written.
    plan(manifest, &row, &wanted, None, app)?;
    let mut seen = seen;
    if let Some(given) = auth_config {
        let credential = credential::check(&manifest.auth, &given)?;
        let (position, authorized) = authorize(app, by, id, seen, credential).await?;
        seen = seen.and(authorized);
        app.shows(position).await;
        row = existing(app, by.project(), id).await?;
    }
    let mut tries = 0;
    let receipt = loop {
        tries += 1;
        let merges = wanted.configuration.is_some() || wanted.sync_settings.is_some();
        let expected = seen.or_else(|| merges.then_some(row.live.revision));
        let change = plan(manifest, &row, &wanted, expected, app)?;
        let command = IntegrationCommand::Change(change);
        let done = app
            .api
            .dispatch
            .integration(by.project(), id, command, by.context(None))
            .await;
        match done {
            // The caller named no revision, so the merge may be made again upon what is there now.
            Err(DispatchError::Refused(Refusal::Stale(_))) if seen.is_none() && tries < MERGES => {
                if let Some(head) = app
                    .api
                    .log
                    .head(&StreamId::integration(by.project(), id))
                    .await?
                {
                    app.shows(head.position).await;
                }
                row = existing(app, by.project(), id).await?;
            }
            done => break done?,
        }
    };
    let written = written(app, by, id, receipt.position).await?;
    Ok(written
        .reply("integration updated", StatusCode::OK)
        .into_response())
}

/// `null` would remove what cannot be removed.
fn present<T>(field: &str, value: Option<T>) -> Result<T, Error> {
    value.ok_or_else(|| Error::field(field, "cannot be removed; leave it out to keep it"))
}

/// The command that makes `wanted` of `row`.
fn plan(
    manifest: &Manifest,
    row: &Row,
    wanted: &Wanted,
    if_revision: Option<Revision>,
    app: &App,
) -> Result<Change, Error> {
    let configuration = match &wanted.configuration {
        None => None,
        Some(patch) => {
            let mut merged = row.live.configuration.clone();
            configuration::merge(&mut merged, patch.clone());
            configuration::check(&manifest.configuration_schema, &merged)?;
            Some(merged)
        }
    };
    let sync_settings = wanted.sync_settings.as_ref().map(|patch| match patch {
        None => SyncSettings::default(),
        Some(patch) => SyncSettings {
            sync_interval: patch
                .sync_interval
                .clone()
                .unwrap_or_else(|| row.live.sync_settings.sync_interval.clone()),
            auto_sync: patch.auto_sync.unwrap_or(row.live.sync_settings.auto_sync),
        },
    });
    if let Some(settings) = &sync_settings {
        settings.interval().map_err(Refusal::from)?;
    }
    Ok(Change {
        name: wanted.name.clone(),
        configuration,
        sync_settings,
        active: wanted.active,
        if_revision,
        now: Some(app.api.clock.now()),
    })
}

/// Stores a new generation and makes the integration usable. Answers where, and the revision after it.
async fn authorize(
    app: &App,
    by: &Granted<Manage>,
    id: IntegrationId,
    seen: Option<Revision>,
    credential: credential::Credential,
) -> Result<(Position, Option<Revision>), Error> {
    // Two requests must not fill the same generation with different secrets. The space keeps the name
    // apart from every Idempotency-Key.
    let _turn = turn(app, by.project(), &format!("credential {id}")).await?;
    expect_revision(app, by, id, seen).await?;
    let generation = credential::generation(app, by, id).await? + 1;
    let stored = credential::store(app, by, id, generation, credential, by.context(None)).await?;
    let receipt = app
        .api
        .dispatch
        .integration(
            by.project(),
            id,
            IntegrationCommand::Authorize,
            by.context(None),
        )
        .await?;
    let head = app
        .api
        .log
        .head(&StreamId::integration(by.project(), id))
        .await?;
    Ok((stored.max(receipt.position), head.map(|head| head.revision)))
}

/// Refuses if the integration is no longer at the revision that the caller saw.
async fn expect_revision(
    app: &App,
    by: &Granted<Manage>,
    id: IntegrationId,
    seen: Option<Revision>,
) -> Result<(), Error> {
    let Some(seen) = seen else { return Ok(()) };
    let head = app
        .api
        .log
        .head(&StreamId::integration(by.project(), id))
        .await?
        .ok_or_else(|| Error::new(Code::IntegrationNotFound))?;
    if head.revision == seen {
        Ok(())
    } else {
        Err(Refusal::Stale(head.revision).into())
    }
}

/// What a write left, once the views show it.
struct Done {
    content: Written<IntegrationOut>,
    position: Position,
    revision: Option<Revision>,
}

async fn written(
    app: &App,
    by: &Granted<Manage>,
    id: IntegrationId,
    position: Position,
) -> Result<Done, Error> {
    let row = if app.shows(position).await {
        wharf_projections::integrations::get(&app.api.views.db(), by.project(), id).await?
    } else {
        None
    };
    Ok(Done {
        revision: row.as_ref().map(|row| row.live.revision),
        content: match &row {
            Some(row) => Written::Shown(row.into()),
            None => Written::Pending(Pending {
                id: id.0,
                position: position.0,
                secret: None,
            }),
        },
        position,
    })
}

impl Done {
    fn reply(self, msg: &'static str, status: StatusCode) -> Reply<Written<IntegrationOut>> {
        let status = match self.content {
            Written::Shown(_) => status,
            Written::Pending(_) => StatusCode::ACCEPTED,
        };
        let reply = Reply::ok(msg, self.content)
            .status(status)
            .at(self.position);
        match self.revision {
            Some(revision) => reply.etag(revision),
            None => reply,
        }
    }
}
