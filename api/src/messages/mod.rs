//! Messages: a project's own events on their way to its webhooks.

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use wharf_domain::{
    kernel::MessageId,
    webhooks::{EVENT_TYPES, NewMessage},
};

use crate::{
    auth::{Granted, Run},
    extract::{Post, TextPath},
    idempotency::once,
    problem::Error,
    reply::{Envelope, Reply},
    state::App,
};

/// Answer to an accepted event.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// `webhook-id` of every delivery of it.
    message_id: Uuid,
    /// What kind of event.
    #[schema(example = "deployment.completed")]
    event_type: String,
    /// Where in the log it is.
    position: u64,
}

/// Send an event to the project's webhooks
///
/// Accepted means durable: it is delivered to every active webhook that subscribes to its type as of
/// this position. The body is the event's `data`, any JSON.
#[utoipa::path(
    post, path = "/api/v1/webhooks/events/{event_type}", tag = "webhooks",
    operation_id = "send_event",
    params(("event_type" = String, Path, description = "one of the contract's eleven, e.g. `task.created`"),
        ("Idempotency-Key" = Option<String>, Header, description = "repeats get the first answer")),
    request_body(content = serde_json::Value, content_type = "application/json"),
    security(("bearer" = [])),
    responses(
        (status = 202, description = "accepted", body = Envelope<Accepted>,
            headers(("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 409, description = "F40009"),
        (status = 422, description = "F40022 F42310"),
    )
)]
pub(crate) async fn send(
    by: Granted<Run>,
    State(app): State<App>,
    TextPath(event_type): TextPath,
    Post {
        body,
        once: request,
    }: Post<Value>,
) -> Result<Response, Error> {
    if !EVENT_TYPES.contains(&event_type.as_str()) {
        return Err(Error::field(
            "event_type",
            format!("expected one of {}", EVENT_TYPES.join(", ")),
        ));
    }
    once(&app, &by, &request, async {
        let route = format!("webhooks/events/{event_type}");
        let message_id = MessageId(request.id(&app, by.project(), &route));
        let message = NewMessage {
            id: message_id,
            topic: event_type.clone(),
            data: body,
            time: app.api.clock.now(),
            only: None,
        };
        let context = by.context(request.key.as_deref());
        let receipt = app
            .api
            .dispatch
            .messages(by.project(), vec![message], context)
            .await?;
        let accepted = Accepted {
            message_id: message_id.0,
            event_type: event_type.clone(),
            position: receipt.position.0,
        };
        Ok(Reply::ok("event accepted", accepted)
            .status(StatusCode::ACCEPTED)
            .at(receipt.position))
    })
    .await
}
