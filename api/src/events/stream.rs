//! Events as they happen: server-sent events, one `CloudEvents` object each, the id `position.index`.
//!
//! The stream is pulled by the client's connection: nothing is queued for a slow reader but the commits
//! of one read.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::{FromRequestParts, State},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, stream};
use http::{HeaderValue, header, request::Parts};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;
use wharf_domain::kernel::{IntegrationId, ProjectId, Timestamp};

use super::{
    Cursor,
    cloud::{CloudEvent, Wanted, events},
    handlers::check_type,
};
use crate::{
    auth::{Granted, Read},
    extract::Query,
    problem::{Code, Error},
    state::App,
};

/// Commits read at once.
const BATCH: usize = 64;
/// A comment is sent after so long without an event, so that proxies keep the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Which events to follow.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    /// Begin after this event: a position, or `position.index`. `Last-Event-ID` goes before it. Without
    /// either the stream begins with what happens next.
    after: Option<String>,
    /// Only this type, e.g. `integration.created`, or `integration.*`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    type_tag: Option<String>,
    /// Only what happens to this integration, its credential and its runs.
    integration_id: Option<uuid::Uuid>,
}

/// The id of the last event that a reconnecting client saw.
pub(crate) struct LastEventId(Option<Cursor>);

impl FromRequestParts<App> for LastEventId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Error> {
        match parts.headers.get("last-event-id") {
            None => Ok(Self(None)),
            Some(value) => {
                let text = value.to_str().unwrap_or("-");
                Cursor::parameter("Last-Event-ID", Some(text)).map(|cursor| Self(Some(cursor)))
            }
        }
    }
}

/// Follow events
///
/// Server-sent events: each `data` is one `CloudEvents` 1.0 object, each `id` is `position.index`. A
/// client that reconnects with `Last-Event-ID` misses nothing and repeats nothing. The stream ends when
/// the token expires and when the hub stops.
#[utoipa::path(
    get, path = "/api/v1/events/stream", tag = "events", operation_id = "stream_events",
    params(StreamQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "the `id` of the last event seen")),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "the stream", body = CloudEvent, content_type = "text/event-stream"),
        (status = 422, description = "F40022"),
    )
)]
pub(crate) async fn follow(
    by: Granted<Read>,
    State(app): State<App>,
    LastEventId(last): LastEventId,
    Query(query): Query<StreamQuery>,
) -> Result<Response, Error> {
    let wanted = Wanted {
        type_tag: check_type(query.type_tag)?,
        integration: query.integration_id.map(IntegrationId),
    };
    let after = match (last, query.after) {
        (Some(last), _) => last,
        (None, Some(after)) => Cursor::parameter("after", Some(&after))?,
        (None, None) => Cursor::commit(app.api.log.tail().await?),
    };
    let permit = app.streams.clone().try_acquire_owned().map_err(|_| {
        Error::new(Code::Unavailable)
            .detail("too many event streams at once")
            .retry_after(5)
    })?;
    let follower = Follower {
        project: by.project().clone(),
        expires_at: by.expires_at,
        wanted,
        next: after,
        ready: VecDeque::new(),
        app,
        _permit: permit,
    };
    let mut response = Sse::new(follower.into_stream())
        .keep_alive(KeepAlive::new().interval(HEARTBEAT).text("keep-alive"))
        .into_response();
    // Proxies that buffer would hold events back.
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store"),
    );
    Ok(response)
}

/// One client's place in the log.
struct Follower {
    app: App,
    project: ProjectId,
    expires_at: Timestamp,
    wanted: Wanted,
    next: Cursor,
    ready: VecDeque<CloudEvent>,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    /// The next event; `None` at the stream's end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                let message = Event::default().id(event.id.clone());
                // Strings, numbers and already valid JSON without line breaks: it has a JSON form.
                return message.json_data(&event).ok();
            }
            let api = &self.app.api;
            let commits = tokio::select! {
                () = api.shutdown.cancelled() => return None,
                () = api.clock.sleep_until(self.expires_at) => return None,
                commits = api.log.follow(self.next.read_after(), BATCH) => commits,
            };
            let commits = match commits {
                Ok(commits) => commits,
                Err(error) => {
                    tracing::warn!(%error, "an event stream ends because the log cannot be read");
                    return None;
                }
            };
            for commit in &commits {
                if commit.stream.project == self.project {
                    match events(commit, &self.wanted, self.next) {
                        Ok(events) => self
                            .ready
                            .extend(events.into_iter().map(|(_, event)| event)),
                        Err(error) => {
                            tracing::error!(%error, position = %commit.position, "an event cannot be read");
                            return None;
                        }
                    }
                }
                self.next = Cursor::commit(commit.position);
            }
        }
    }
}
