//! Lingering: a refusal is heard. A client that is still sending when it is answered finds its connection
//! reset, and often never reads why; so what it goes on to send is read and thrown away for a while.
//!
//! Called by `routes` only, around every request. Never touches a request that was taken.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use futures::{StreamExt, future, stream};
use http::header;

use crate::state::App;

/// Most bytes that are thrown away; whoever sends more is cut off.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// Longest that a refused client may go on.
const LONGEST: Duration = Duration::from_secs(2);

/// A body that can be gone on with after the handler dropped it.
#[derive(Clone)]
struct Shared(Arc<Mutex<BodyDataStream>>);

impl Shared {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.poll_next_unpin(cx)
    }

    /// Reads on until the end, or too much.
    async fn exhaust(&self) {
        let mut left = MOST_BYTES;
        while let Some(Ok(chunk)) = future::poll_fn(|cx| self.poll(cx)).await {
            match left.checked_sub(chunk.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    }
}

/// Answers a refusal only after the client has said, or had time to say, what it wanted to.
pub(crate) async fn linger(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // It sends nothing before it has leave.
    let waits = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let shared = Shared(Arc::new(Mutex::new(body.into_data_stream())));
    let lent = shared.clone();
    let body = Body::from_stream(stream::poll_fn(move |cx| lent.poll(cx)));
    let response = next.run(Request::from_parts(parts, body)).await;
    let status = response.status();
    if !waits && (status.is_client_error() || status.is_server_error()) {
        let deadline = app.later(LONGEST);
        tokio::select! {
            () = shared.exhaust() => {}
            () = app.api.clock.sleep_until(deadline) => {}
            () = app.api.shutdown.cancelled() => {}
        }
    }
    response
}
