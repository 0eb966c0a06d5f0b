//! Uploading files and starting their import.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use wharf_domain::{
    integrations::{
        IntegrationCommand, IntegrationEvent, Refusal, RequestSync, Trigger, UploadRef,
    },
    kernel::{IntegrationId, Position, ProjectId, RunId, StreamId, UploadId, decode_all, derive},
    ports::{DispatchError, SpoolError},
    syncs::SyncType,
};
use wharf_projections::integrations;

use super::{
    receive::receive,
    upload::{Begin, COMPLETE, ImportQuery, OFFSET, Upload},
};
use crate::{
    auth::{Granted, Run},
    extract::{IntegrationPath, Query, UploadPath},
    idempotency::{once, turn},
    integrations::existing,
    problem::{Code, Error, internal},
    reply::{Envelope, Reply},
    state::App,
};

/// Answer to an upload that goes on.
#[derive(Serialize, ToSchema)]
pub(crate) struct UploadBegun {
    /// The upload; its path is in `Location`.
    upload_id: Uuid,
    /// Bytes that arrived.
    offset: u64,
}

/// Answer to a file that is whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportStarted {
    /// The run that imports it; follow it at `GET …/sync/runs/{run_id}`.
    run_id: Uuid,
    /// The file.
    upload_id: Uuid,
    /// Its size.
    bytes: u64,
    /// Its SHA-256, hexadecimal.
    sha256: String,
}

fn location(id: IntegrationId, upload: UploadId) -> String {
    format!("/api/v1/integrations/{id}/import/{upload}")
}

/// Import a file
///
/// The body is the file as it is. To upload in pieces send `Upload-Complete: ?0`; the answer's
/// `Location` takes the rest by PATCH. With an `Idempotency-Key` a repeat of a request that broke off
/// goes on where it was: send the whole file again.
#[utoipa::path(
    post, path = "/api/v1/integrations/{integration_id}/import", tag = "imports",
    operation_id = "import_file",
    params(("integration_id" = Uuid, Path), ImportQuery,
        ("Upload-Complete" = Option<String>, Header, description = "`?0` if more follows"),
        ("Idempotency-Key" = Option<String>, Header, description = "repeats name the same upload and run")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    security(("bearer" = [])),
    responses(
        (status = 201, description = "more is to follow", body = Envelope<UploadBegun>,
            headers(("Location" = String), ("Upload-Offset" = u64))),
        (status = 202, description = "the file is whole, its import begins", body = Envelope<ImportStarted>,
            headers(("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 400, description = "F40000"),
        (status = 404, description = "F42303 F40004"),
        (status = 409, description = "F42305 F40009"),
        (status = 413, description = "F40013"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn begin(
    by: Granted<Run>,
    State(app): State<App>,
    IntegrationPath(id): IntegrationPath,
    Query(query): Query<ImportQuery>,
    Begin { upload, request }: Begin,
    body: Body,
) -> Result<Response, Error> {
    let zone = query.zone()?;
    if upload.offset.is_some_and(|offset| offset != 0) {
        return Err(Error::field("Upload-Offset", "a new upload begins at 0"));
    }
    let complete = upload.complete.unwrap_or(true);
    let upload_id = UploadId(request.id(&app, by.project(), &format!("integrations/{id}/import")));
    if complete {
        return once(&app, &by, &request, async {
            if let Some((file, at)) = accepted_before(&app, &by, id, upload_id).await? {
                return Ok(accepted(id, &file, at));
            }
            importable(&app, &by, id, Some(upload_id)).await?;
            receive_from_start(&app, &by, id, upload_id, body).await?;
            let file = app.api.spool.finish(upload_id).await?;
            start(&app, &by, id, file, zone).await
        })
        .await;
    }
    importable(&app, &by, id, None).await?;
    let _turn = turn(&app, by.project(), &format!("upload {upload_id}")).await?;
    let offset = receive_from_start(&app, &by, id, upload_id, body).await?;
    let begun = UploadBegun {
        upload_id: upload_id.0,
        offset,
    };
    Ok(Reply::ok("upload begun", begun)
        .status(StatusCode::CREATED)
        .header(header::LOCATION, location(id, upload_id))
        .header(OFFSET, offset.to_string())
        .header(COMPLETE, "?0")
        .into_response())
}

/// Ask how far an upload came
#[utoipa::path(
    head, path = "/api/v1/integrations/{integration_id}/import/{upload_id}", tag = "imports",
    operation_id = "get_upload_offset",
    params(("integration_id" = Uuid, Path), ("upload_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 204, description = "it goes on at `Upload-Offset`, unless `Upload-Complete` is `?1`",
            headers(("Upload-Offset" = u64), ("Upload-Complete" = String))),
        (status = 404, description = "F42303 F40004"),
    )
)]
pub(crate) async fn offset(
    by: Granted<Run>,
    State(app): State<App>,
    UploadPath(id, upload_id): UploadPath,
) -> Result<Response, Error> {
    let (offset, complete) = match accepted_before(&app, &by, id, upload_id).await? {
        Some((file, _)) => (file.bytes, "?1"),
        None => (own(&app, &by, id, upload_id).await?, "?0"),
    };
    let headers = [
        (OFFSET, HeaderValue::from(offset)),
        (COMPLETE, HeaderValue::from_static(complete)),
    ];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// Upload the next piece
///
/// `Upload-Offset` says where it begins and must be where the upload is; `Upload-Complete: ?1` ends the
/// upload and starts the import.
#[utoipa::path(
    patch, path = "/api/v1/integrations/{integration_id}/import/{upload_id}", tag = "imports",
    operation_id = "append_to_upload",
    params(("integration_id" = Uuid, Path), ("upload_id" = Uuid, Path), ImportQuery,
        ("Upload-Offset" = u64, Header, description = "where the piece begins"),
        ("Upload-Complete" = String, Header, description = "`?1` if it is the last, `?0` if not")),
    request_body(content = Vec<u8>, content_type = "application/partial-upload"),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "more is to follow", body = Envelope<UploadBegun>,
            headers(("Upload-Offset" = u64))),
        (status = 202, description = "the file is whole, its import begins", body = Envelope<ImportStarted>,
            headers(("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 400, description = "F40000"),
        (status = 404, description = "F42303 F40004"),
        (status = 409, description = "F40009 F42305"),
        (status = 413, description = "F40013"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn append(
    by: Granted<Run>,
    State(app): State<App>,
    UploadPath(id, upload_id): UploadPath,
    Query(query): Query<ImportQuery>,
    upload: Upload,
    body: Body,
) -> Result<Response, Error> {
    let zone = query.zone()?;
    let offset = upload
        .offset
        .ok_or_else(|| Error::field("Upload-Offset", "required"))?;
    let complete = upload
        .complete
        .ok_or_else(|| Error::field("Upload-Complete", "required"))?;
    if complete && let Some((file, at)) = accepted_before(&app, &by, id, upload_id).await? {
        return Ok(accepted(id, &file, at).into_response());
    }
    importable(&app, &by, id, complete.then_some(upload_id)).await?;
    // One piece at a time; a client that reconnects waits until its broken request is over.
    let _turn = turn(&app, by.project(), &format!("upload {upload_id}")).await?;
    let at = own(&app, &by, id, upload_id).await?;
    if at != offset {
        return Err(SpoolError::WrongOffset(at).into());
    }
    let offset = receive(&app, upload_id, offset, 0, body).await?;
    if complete {
        let file = app.api.spool.finish(upload_id).await?;
        return Ok(start(&app, &by, id, file, zone).await?.into_response());
    }
    let begun = UploadBegun {
        upload_id: upload_id.0,
        offset,
    };
    Ok(Reply::ok("upload continued", begun)
        .header(OFFSET, offset.to_string())
        .header(COMPLETE, "?0")
        .into_response())
}

/// The integration exists, its platform has files, and nothing stands in the way of the run of the
/// upload that is `ending`. The last is asked before the file is closed: a caller who must wait only has
/// the empty last piece to repeat. The upload's own run is in nobody's way: its answer was lost.
async fn importable(
    app: &App,
    by: &Granted<Run>,
    id: IntegrationId,
    ending: Option<UploadId>,
) -> Result<(), Error> {
    let row = existing(app, by.project(), id).await?;
    let imported = app
        .api
        .connectors
        .get(&row.live.integration_type)
        .is_some_and(|connector| connector.manifest().capabilities.file_import);
    if !imported {
        return Err(Error::new(Code::SyncFailed)
            .status(StatusCode::CONFLICT)
            .detail("this platform has no export files; start a sync instead"));
    }
    match (row.live.open_run, ending) {
        (Some(open), Some(upload)) if open.run_id != run_of(upload) => {
            Err(Refusal::AlreadyRunning(open.run_id).into())
        }
        (Some(_) | None, _) => Ok(()),
    }
}

/// Receives a file from its first byte on. A repeated request finds what the one before it left, and
/// skips as much.
async fn receive_from_start(
    app: &App,
    by: &Granted<Run>,
    id: IntegrationId,
    upload_id: UploadId,
    body: Body,
) -> Result<u64, Error> {
    let offset = match app.api.spool.get(upload_id).await {
        Ok(begun) => begun.offset,
        Err(SpoolError::NotFound) => {
            app.api.spool.create(upload_id, by.project(), id).await?;
            0
        }
        Err(error) => return Err(error.into()),
    };
    receive(app, upload_id, offset, offset, body).await
}

/// Where the caller's own upload is.
async fn own(
    app: &App,
    by: &Granted<Run>,
    id: IntegrationId,
    upload_id: UploadId,
) -> Result<u64, Error> {
    let upload = app.api.spool.get(upload_id).await?;
    if upload.project == *by.project() && upload.integration == id {
        Ok(upload.offset)
    } else {
        Err(SpoolError::NotFound.into())
    }
}

/// The zone that the integration's configuration names; the run keeps it, so that a later change does not
/// change the pages of this file.
async fn configured_zone(
    app: &App,
    project: &ProjectId,
    id: IntegrationId,
) -> Result<Option<String>, Error> {
    let row = integrations::get(&app.api.views.db(), project, id).await?;
    let configuration = row.map(|row| row.live.configuration).unwrap_or_default();
    Ok(configuration
        .get("time_zone")
        .and_then(Value::as_str)
        .map(str::to_owned))
}

/// The run that imports an upload.
fn run_of(upload: UploadId) -> RunId {
    RunId(derive(&[b"import", upload.0.as_bytes()]))
}

/// The key of the command that starts an upload's run.
fn key_of(upload: UploadId) -> String {
    format!("import-{upload}")
}

/// A whole file whose run is in the log already, and where: the caller did not hear the answer.
async fn accepted_before(
    app: &App,
    by: &Granted<Run>,
    id: IntegrationId,
    upload: UploadId,
) -> Result<Option<(UploadRef, Position)>, Error> {
    let stream = StreamId::integration(by.project(), id);
    let Some(commit_id) = by.context(Some(&key_of(upload))).commit_id(&stream) else {
        return Ok(None);
    };
    let Some(commit) = app.api.log.find(commit_id).await? else {
        return Ok(None);
    };
    let requested = decode_all::<IntegrationEvent>(&commit).map_err(internal)?;
    Ok(requested
        .into_iter()
        .find_map(|recorded| match recorded.event {
            IntegrationEvent::SyncRequested(request) => request.upload,
            IntegrationEvent::Created(_)
            | IntegrationEvent::Updated(_)
            | IntegrationEvent::StatusChanged(_)
            | IntegrationEvent::SyncScheduled(_)
            | IntegrationEvent::SyncSettled(_)
            | IntegrationEvent::Deleted(_) => None,
        })
        .map(|file| (file, commit.position)))
}

/// The answer to a whole file.
fn accepted(id: IntegrationId, file: &UploadRef, position: Position) -> Reply<ImportStarted> {
    let run_id = run_of(file.upload_id);
    let started = ImportStarted {
        run_id: run_id.0,
        upload_id: file.upload_id.0,
        bytes: file.bytes,
        sha256: file.sha256.clone(),
    };
    Reply::ok("import started", started)
        .status(StatusCode::ACCEPTED)
        .at(position)
        .header(
            header::LOCATION,
            format!("/api/v1/integrations/{id}/sync/runs/{run_id}"),
        )
}

/// Requests the run that imports a whole file. The run's name follows from the upload's, so a repeat is
/// the same run.
async fn start(
    app: &App,
    by: &Granted<Run>,
    id: IntegrationId,
    file: UploadRef,
    time_zone: Option<String>,
) -> Result<Reply<ImportStarted>, Error> {
    let upload_id = file.upload_id;
    let time_zone = match time_zone {
        Some(zone) => Some(zone),
        None => configured_zone(app, by.project(), id).await?,
    };
    let file = UploadRef { time_zone, ..file };
    let command = IntegrationCommand::RequestSync(RequestSync {
        run_id: run_of(upload_id),
        sync_type: SyncType::Full,
        trigger: Trigger::Import,
        force: false,
        upload: Some(file.clone()),
    });
    let context = by.context(Some(&key_of(upload_id)));
    let done = app
        .api
        .dispatch
        .integration(by.project(), id, command, context)
        .await;
    if let Err(DispatchError::Refused(_)) = &done {
        // Nobody will come for the file: the caller begins anew.
        app.api.spool.remove(upload_id).await?;
    }
    let receipt = done?;
    app.shows(receipt.position).await;
    Ok(accepted(id, &file, receipt.position))
}
