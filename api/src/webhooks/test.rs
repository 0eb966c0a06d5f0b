//! A test delivery: one message for one webhook, and what came of the first attempt.

use axum::{extract::State, response::Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;
use wharf_domain::{
    kernel::{MessageId, ProjectId, WebhookId},
    webhooks::NewMessage,
};
use wharf_projections::{
    Page,
    webhooks::{self, AttemptFilter, AttemptRow, Outcome},
};

use super::{
    dto::{AttemptOut, TestWebhook},
    handlers::existing,
};
use crate::{
    auth::{Granted, Run},
    extract::{Post, WebhookPath},
    idempotency::once,
    problem::{Code, Error},
    reply::{Envelope, Reply},
    state::App,
};

/// The topic of test messages.
const TOPIC: &str = "webhook.test";

/// Answer to a test delivery.
#[derive(Serialize, ToSchema)]
pub(crate) struct TestDelivery {
    /// What is sent: `webhook-id` of the request.
    message_id: Uuid,
    /// Where the message was accepted.
    position: u64,
    /// The first attempt; absent if it was not over in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<AttemptOut>,
}

/// Test a webhook
///
/// Sends one signed message to this webhook only and waits for the first attempt. If that takes longer
/// than the hub waits, the answer is 202 and the attempt appears in the webhook's logs.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhook_id}/test", tag = "webhooks",
    operation_id = "test_webhook",
    params(("webhook_id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "repeats get the first answer")),
    request_body = Option<TestWebhook>, security(("bearer" = [])),
    responses(
        (status = 200, description = "the receiver answered 2xx", body = Envelope<TestDelivery>,
            headers(("X-Wharf-Position" = u64, description = "the write's position in the log"))),
        (status = 202, description = "sent, the attempt is not over", body = Envelope<TestDelivery>),
        (status = 404, description = "F42301"),
        (status = 409, description = "F40009"),
        (status = 422, description = "F40022 F42310"),
        (status = 502, description = "F42307"),
    )
)]
pub(crate) async fn test(
    by: Granted<Run>,
    State(app): State<App>,
    WebhookPath(id): WebhookPath,
    Post {
        body,
        once: request,
    }: Post<TestWebhook>,
) -> Result<Response, Error> {
    let row = existing(&app, by.project(), id).await?;
    if !row.definition.is_active {
        return Err(Error::new(Code::Conflict)
            .detail("the webhook is inactive; set is_active to true first"));
    }
    once(&app, &by, &request, async {
        let route = format!("webhooks/{id}/test");
        let message_id = MessageId(request.id(&app, by.project(), &route));
        let message = NewMessage {
            id: message_id,
            topic: TOPIC.to_owned(),
            data: body
                .test_payload
                .unwrap_or_else(|| json!({"message": "a test message", "webhook_id": id})),
            time: app.api.clock.now(),
            only: Some(id),
        };
        let context = by.context(request.key.as_deref());
        let receipt = app
            .api
            .dispatch
            .messages(by.project(), vec![message], context)
            .await?;
        let attempt = first_attempt(&app, by.project(), id, message_id).await?;
        if let Some(failed) = attempt
            .as_ref()
            .filter(|attempt| attempt.outcome != Outcome::Succeeded)
        {
            let reason = failed.reason.as_deref().unwrap_or("the attempt failed");
            return Err(Error::new(Code::WebhookFailed).detail(format!(
                "attempt {} (log {}): {reason}",
                failed.attempt, failed.log_id
            )));
        }
        let status = match attempt {
            Some(_) => StatusCode::OK,
            None => StatusCode::ACCEPTED,
        };
        let delivery = TestDelivery {
            message_id: message_id.0,
            position: receipt.position.0,
            attempt: attempt.as_ref().map(AttemptOut::from),
        };
        Ok(Reply::ok("test message sent", delivery)
            .status(status)
            .at(receipt.position))
    })
    .await
}

/// Waits for the first attempt as the views show it; none if it takes longer than `test_wait`.
async fn first_attempt(
    app: &App,
    project: &ProjectId,
    id: WebhookId,
    message: MessageId,
) -> Result<Option<AttemptRow>, Error> {
    let filter = AttemptFilter {
        message: Some(message),
        succeeded: None,
    };
    let appears = async {
        loop {
            let seen = app.api.views.position();
            let (rows, total) =
                webhooks::attempts(&app.api.views.db(), project, id, filter, Page::first(1))
                    .await?;
            // A retry may have come already; the answer is about the first.
            let first = match u32::try_from(total) {
                Ok(page @ 2..) => {
                    let last = Page { page, size: 1 };
                    webhooks::attempts(&app.api.views.db(), project, id, filter, last)
                        .await?
                        .0
                }
                Ok(_) | Err(_) => rows,
            };
            if let Some(row) = first.into_iter().next() {
                return Ok(Some(row));
            }
            // Asks again with every step of the views.
            let wait = app.api.options.test_wait;
            if app.api.views.wait_for(seen.next(), wait).await.is_err() {
                return Ok(None);
            }
        }
    };
    let deadline = app.later(app.api.options.test_wait);
    tokio::select! {
        row = appears => row,
        () = app.api.clock.sleep_until(deadline) => Ok(None),
        () = app.api.shutdown.cancelled() => Ok(None),
    }
}
