//! Idempotency: a POST repeated with the same `Idempotency-Key` has one effect and one answer.
//!
//! Three layers, each for what the one before cannot: requests at the same time take turns here; a
//! finished one is answered from [`wharf_domain::ports::Answers`]; one whose answer was lost names the
//! same ids ([`Once::id`]) and the same commits again, so the log finds its own work.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use tokio::sync::watch;
use uuid::Uuid;
use wharf_domain::{
    kernel::{Hash, Position, ProjectId, Secret, derive},
    ports::Answer,
};

use crate::{
    auth::Granted,
    problem::{Code, Error},
    reply::{Rendered, Reply},
    state::App,
};

/// How long a repeat waits for the first request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Says that the answer is a saved one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Which request this is.
#[derive(Clone, Debug)]
pub(crate) struct Once {
    /// The caller's key; none means that every request is a new one.
    pub(crate) key: Option<String>,
    /// Method, path and body.
    pub(crate) fingerprint: Hash,
}

impl Once {
    /// An id for what this request makes: the same for every repeat, new without a key.
    pub(crate) fn id(&self, app: &App, project: &ProjectId, route: &str) -> Uuid {
        match &self.key {
            Some(key) => derive(&[
                b"request",
                project.as_str().as_bytes(),
                route.as_bytes(),
                key.as_bytes(),
            ]),
            None => app.api.ids.uuid(),
        }
    }
}

type Key = (ProjectId, String);

/// Keys whose first request is still being answered. At most one entry a request in flight, and these
/// are limited.
#[derive(Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<Key, watch::Receiver<()>>>>);

/// The right to work on a key; given back when dropped, also by a cancelled request.
pub(crate) struct Turn {
    turns: Turns,
    key: Key,
    _done: watch::Sender<()>,
}

impl Turns {
    /// The turn, or what ends when its holder is done.
    fn take(&self, key: &Key) -> Result<Turn, watch::Receiver<()>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = open.get(key) {
            return Err(done.clone());
        }
        let (sender, receiver) = watch::channel(());
        open.insert(key.clone(), receiver);
        Ok(Turn {
            turns: self.clone(),
            key: key.clone(),
            _done: sender,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Before the sender goes, so that a waiter who wakes finds the key free.
        let mut open = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.key);
    }
}

/// Runs `work` unless its answer is known; keeps the answer if it is a success.
///
/// Refusals are not kept: they had no effect, and the reason may be gone at the next try.
///
/// # Errors
/// Those of `work`; `F42310` if the key came with another request; `F40009` if the first request takes
/// too long.
pub(crate) async fn once<G, T, F>(
    app: &App,
    by: &Granted<G>,
    once: &Once,
    work: F,
) -> Result<Response, Error>
where
    T: Serialize,
    F: Future<Output = Result<Reply<T>, Error>>,
{
    let Some(key) = &once.key else {
        return Ok(work.await?.into_response());
    };
    let _turn = turn(app, by.project(), key).await?;
    if let Some(answer) = app.api.answers.get(by.project(), key).await? {
        return replay(&answer, once.fingerprint);
    }
    let rendered = work.await?.render()?;
    let answer = Answer {
        fingerprint: once.fingerprint,
        status: rendered.status.as_u16(),
        position: rendered.position.map_or(0, |position| position.0),
        body: Secret::new(rendered.body.to_vec()),
    };
    if let Err(error) = app.api.answers.put(by.project(), key, &answer).await {
        // The effect is in the log; a repeat finds it there by its ids.
        tracing::warn!(%error, "an answer could not be kept for its idempotency key");
    }
    Ok(rendered.into_response())
}

/// Waits for the turn of `key`.
pub(crate) async fn turn(app: &App, project: &ProjectId, key: &str) -> Result<Turn, Error> {
    let key = (project.clone(), key.to_owned());
    let deadline = app.later(PATIENCE);
    loop {
        let mut done = match app.turns.take(&key) {
            Ok(turn) => return Ok(turn),
            Err(done) => done,
        };
        tokio::select! {
            // Ends with an error as soon as the holder drops its sender.
            _ = done.changed() => {}
            () = app.api.clock.sleep_until(deadline) => {
                return Err(Error::new(Code::Conflict)
                    .detail("the first request with this Idempotency-Key is still being answered")
                    .retry_after(1));
            }
        }
    }
}

fn replay(answer: &Answer, fingerprint: Hash) -> Result<Response, Error> {
    if answer.fingerprint != fingerprint {
        return Err(Error::new(Code::KeyReused));
    }
    Ok(Rendered {
        status: StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK),
        position: (answer.position > 0).then_some(Position(answer.position)),
        headers: vec![(REPLAYED, HeaderValue::from_static("true"))],
        body: answer.body.expose().clone().into(),
    }
    .into_response())
}
