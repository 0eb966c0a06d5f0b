//! Pages of events.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wharf_domain::kernel::{IntegrationId, StreamId};

use super::{
    Cursor,
    cloud::{CloudEvent, Wanted, events},
};
use crate::{
    auth::{Granted, Read},
    extract::Query,
    problem::{Error, internal},
    reply::{Envelope, Reply},
    state::App,
};

/// Most events a page.
const MAX_LIMIT: u32 = 500;
/// Events a page unless `limit` says otherwise.
const LIMIT: u32 = 100;
/// A page ends when it holds this much; sealed pages of records are large.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Commits read for one page, of all projects: a page may be empty and still lead on.
const MAX_SCANNED: usize = 20_000;
/// Commits read at once.
const BATCH: usize = 512;

/// Which events to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Only what came after this event: `next` of the page before, a position, or `position.index`.
    after: Option<String>,
    /// Most events.
    #[param(default = 100, minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// Only this type, e.g. `integration.created`, or `integration.*`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    type_tag: Option<String>,
    /// Only what happened to this integration, its credential and its runs.
    integration_id: Option<uuid::Uuid>,
}

/// Events.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// Oldest first.
    events: Vec<CloudEvent>,
    /// Give it as `after` to go on.
    #[schema(example = "42.0")]
    next: String,
    /// Nothing was left at the time of asking; otherwise ask on, even if this page is empty.
    complete: bool,
}

/// What `type` may be.
pub(super) fn check_type(type_tag: Option<String>) -> Result<Option<String>, Error> {
    let sane = |text: &str| {
        let word = text.strip_suffix(".*").unwrap_or(text);
        text == "*"
            || !word.is_empty()
                && word.len() <= 128
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.')
    };
    match type_tag {
        Some(text) if !sane(&text) => Err(Error::field(
            "type",
            "expected an event type such as integration.created, or integration.*",
        )),
        type_tag => Ok(type_tag),
    }
}

/// List events
///
/// The project's own events in the order of the log, as `CloudEvents` 1.0.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "list_events",
    params(EventsQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "a page", body = Envelope<EventPage>),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn list(
    by: Granted<Read>,
    State(app): State<App>,
    Query(query): Query<EventsQuery>,
) -> Result<Reply<EventPage>, Error> {
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Error::field("limit", format!("expected 1 to {MAX_LIMIT}")));
    }
    let wanted = Wanted {
        type_tag: check_type(query.type_tag)?,
        integration: query.integration_id.map(IntegrationId),
    };
    let after = Cursor::parameter("after", query.after.as_deref())?;
    let mut page = Filling::new(limit);
    let mut next = after;
    let mut scanned = 0;
    let complete = 'read: loop {
        if scanned >= MAX_SCANNED {
            break false;
        }
        let commits = app.api.log.read_all(next.read_after(), BATCH).await?;
        if commits.is_empty() {
            break true;
        }
        scanned += commits.len();
        for commit in &commits {
            if commit.stream.project == *by.project() {
                for (at, event) in events(commit, &wanted, next).map_err(internal)? {
                    if !page.push(event) {
                        break 'read false;
                    }
                    next = at;
                }
            }
            next = Cursor::commit(commit.position);
        }
    };
    Ok(Reply::ok("events listed", page.done(next, complete)))
}

/// A page of one stream's events.
///
/// # Errors
/// Those of the log.
pub(crate) async fn stream_page(
    app: &App,
    stream: &StreamId,
    after: Cursor,
    limit: u32,
) -> Result<EventPage, Error> {
    let mut page = Filling::new(limit);
    let mut next = after;
    let complete = 'read: loop {
        let commits = app
            .api
            .log
            .read_stream(stream, next.read_after(), BATCH)
            .await?;
        for commit in &commits {
            for (at, event) in events(commit, &Wanted::default(), next).map_err(internal)? {
                if !page.push(event) {
                    break 'read false;
                }
                next = at;
            }
            next = Cursor::commit(commit.position);
        }
        if commits.len() < BATCH {
            break true;
        }
    };
    Ok(page.done(next, complete))
}

/// A page that is being filled.
struct Filling {
    events: Vec<CloudEvent>,
    limit: usize,
    bytes: usize,
}

impl Filling {
    const fn new(limit: u32) -> Self {
        Self {
            events: vec![],
            limit: limit as usize,
            bytes: 0,
        }
    }

    /// Whether there was room.
    fn push(&mut self, event: CloudEvent) -> bool {
        let full = self.events.len() >= self.limit || self.bytes >= MAX_BYTES;
        if !full {
            self.bytes += event.bytes();
            self.events.push(event);
        }
        !full
    }

    fn done(self, next: Cursor, complete: bool) -> EventPage {
        EventPage {
            events: self.events,
            next: next.to_string(),
            complete,
        }
    }
}
