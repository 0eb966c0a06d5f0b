//! The spans of what passes a port: a dispatched command, an append, a page, a run, an attempt.
//!
//! Put around the ports by [`Observer`](crate::telemetry::Observer) where there is a collector. What happens
//! in the background has no request around it; its trace is that of the correlation which it carries, so
//! nothing has to be handed through the runtime. It never changes a question or an answer, but for the
//! `traceparent` that a webhook gets.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use moka::sync::Cache;
use serde::Deserialize;
use tracing::{Instrument as _, Span, debug_span, field::Empty};
use wharf_domain::{
    kernel::{Category, Commit, CommitId, Head, Position, StoredCommit, StreamId, decode_all},
    ports::{
        Append, Consumer, ConsumerSpec, Durability, EventLog, Http, HttpError, HttpRequest,
        HttpResponse, LogError, TrustClass,
    },
    webhooks::MessageEvent,
};

use super::{TARGET, layer::context_of};
use crate::telemetry::locks::lock;

/// Says which message a request delivers: only those are attempts, and carry the trace on. A platform has
/// no use for it.
const DELIVERY: &str = "webhook-id";
const TRACEPARENT: &str = "traceparent";
/// Messages whose trace is remembered; one that is forgotten begins a trace of its own.
const MESSAGES: u64 = 16_384;
/// Runs that are watched; a hub works on far fewer at once.
const RUNS: usize = 1024;

/// The correlation of each message that this node read not long ago, by its id as webhooks see it.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Origins(Cache<String, Arc<str>>);

impl Origins {
    pub(in crate::telemetry) fn new() -> Self {
        Self(Cache::new(MESSAGES))
    }

    fn remember(&self, commits: &[StoredCommit]) {
        let messages = commits
            .iter()
            .filter(|commit| commit.stream.category == Category::Message);
        for recorded in messages
            .filter_map(|commit| decode_all::<MessageEvent>(commit).ok())
            .flatten()
        {
            let MessageEvent::Accepted(accepted) = &recorded.event;
            let correlation = recorded.meta.correlation.as_str().into();
            self.0.insert(accepted.message_id.to_string(), correlation);
        }
    }
}

/// An event log whose appends are spans.
pub(in crate::telemetry) struct TracedLog {
    inner: Arc<dyn EventLog>,
    origins: Origins,
    /// Runs that this node began, and not ended.
    runs: Mutex<HashMap<StreamId, Span>>,
}

/// The part of a commit's headers that a span needs.
#[derive(Default, Deserialize)]
struct Headers {
    correlation: String,
    types: Vec<String>,
}

impl Headers {
    fn has(&self, type_tag: &str) -> bool {
        self.types.iter().any(|tag| tag == type_tag)
    }
}

impl TracedLog {
    pub(in crate::telemetry) fn new(inner: Arc<dyn EventLog>, origins: Origins) -> Self {
        Self {
            inner,
            origins,
            runs: Mutex::default(),
        }
    }

    /// The span of an append: a page's is part of its run's.
    fn span(&self, commit: &Commit, headers: &Headers) -> Span {
        let correlation = headers.correlation.as_str();
        let category = commit.stream.category.as_str();
        let run = lock(&self.runs).get(&commit.stream).cloned();
        match run {
            Some(run) if headers.has("sync_run.page_recorded") => debug_span!(
                target: TARGET, parent: &run, "page", correlation, category, outcome = Empty
            ),
            Some(_) | None => debug_span!(
                target: TARGET, "append", correlation, category, outcome = Empty
            ),
        }
    }

    /// A run is open from its first event to its last.
    fn follow_run(&self, stream: StreamId, headers: &Headers) {
        let mut runs = lock(&self.runs);
        if headers.has("sync_run.started") {
            if runs.len() >= RUNS {
                runs.clear();
            }
            let correlation = headers.correlation.as_str();
            let run = debug_span!(
                target: TARGET, parent: None, "run", correlation, outcome = Empty
            );
            runs.insert(stream, run);
        } else if headers.has("sync_run.completed") || headers.has("sync_run.failed") {
            let run = runs.remove(&stream);
            drop(runs);
            if let Some(run) = run {
                let completed = headers.has("sync_run.completed");
                run.record("outcome", if completed { "completed" } else { "failed" });
            }
        }
    }
}

#[async_trait]
impl EventLog for TracedLog {
    async fn append(&self, commit: Commit) -> Append {
        let headers: Headers = serde_json::from_str(&commit.headers).unwrap_or_default();
        let span = self.span(&commit, &headers);
        let stream = commit.stream.clone();
        let answer = self.inner.append(commit).instrument(span.clone()).await;
        let outcome = match &answer {
            Append::Committed(_) => "committed",
            Append::Conflict { .. } => "conflict",
            Append::InDoubt { .. } => "in_doubt",
            Append::Refused(_) => "refused",
        };
        span.record("outcome", outcome);
        drop(span);
        if stream.category == Category::SyncRun && matches!(answer, Append::Committed(_)) {
            self.follow_run(stream, &headers);
        }
        answer
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: Position,
        limit: usize,
    ) -> Result<Vec<StoredCommit>, LogError> {
        self.inner.read_stream(stream, after, limit).await
    }

    async fn read_all(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        let commits = self.inner.read_all(after, limit).await?;
        // One commit by its position is what a retry asks for; the others only pass by.
        if limit == 1 {
            self.origins.remember(&commits);
        }
        Ok(commits)
    }

    async fn follow(&self, after: Position, limit: usize) -> Result<Vec<StoredCommit>, LogError> {
        self.inner.follow(after, limit).await
    }

    async fn tail(&self) -> Result<Position, LogError> {
        self.inner.tail().await
    }

    async fn find(&self, id: CommitId) -> Result<Option<StoredCommit>, LogError> {
        self.inner.find(id).await
    }

    async fn head(&self, stream: &StreamId) -> Result<Option<Head>, LogError> {
        self.inner.head(stream).await
    }

    async fn consumer(&self, spec: ConsumerSpec) -> Result<Box<dyn Consumer>, LogError> {
        Ok(Box::new(TracedConsumer {
            inner: self.inner.consumer(spec).await?,
            origins: self.origins.clone(),
        }))
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }
}

/// A consumer that remembers whose messages it hands out.
struct TracedConsumer {
    inner: Box<dyn Consumer>,
    origins: Origins,
}

#[async_trait]
impl Consumer for TracedConsumer {
    async fn fetch(&self, max: usize) -> Result<Vec<StoredCommit>, LogError> {
        let commits = self.inner.fetch(max).await?;
        self.origins.remember(&commits);
        Ok(commits)
    }

    async fn ack(&self, positions: &[Position]) -> Result<(), LogError> {
        self.inner.ack(positions).await
    }

    async fn nak(&self, position: Position, delay: Duration) -> Result<(), LogError> {
        self.inner.nak(position, delay).await
    }

    fn floor(&self) -> Position {
        self.inner.floor()
    }

    async fn flush(&self) -> Result<(), LogError> {
        self.inner.flush().await
    }
}

/// An HTTP client whose deliveries are spans, and tell the receiver their trace.
pub(in crate::telemetry) struct TracedHttp {
    inner: Arc<dyn Http>,
    origins: Origins,
}

impl TracedHttp {
    pub(in crate::telemetry) fn new(inner: Arc<dyn Http>, origins: Origins) -> Self {
        Self { inner, origins }
    }
}

#[async_trait]
impl Http for TracedHttp {
    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let header = |name: &str| request.headers.iter().find(|(header, _)| header == name);
        let Some((_, message)) = header(DELIVERY) else {
            return self.inner.send(request).await;
        };
        let correlation = self.origins.0.get(message);
        let correlation = correlation.as_deref().unwrap_or(message);
        let span = debug_span!(
            target: TARGET, parent: None, "attempt", correlation, status = Empty, outcome = Empty
        );
        // A header that the webhook's owner configured stays.
        if header(TRACEPARENT).is_none()
            && let Some(context) = context_of(&span)
        {
            let header = (TRACEPARENT.to_owned(), context.to_string());
            request.headers.push(header);
        }
        let answer = self.inner.send(request).instrument(span.clone()).await;
        match &answer {
            Ok(response) => {
                span.record("status", response.status);
            }
            Err(error) => {
                span.record("outcome", kind(error));
            }
        }
        answer
    }

    fn check(&self, url: &str, trust: TrustClass) -> Result<(), HttpError> {
        self.inner.check(url, trust)
    }
}

/// The error's kind; its text may name an address.
const fn kind(error: &HttpError) -> &'static str {
    match error {
        HttpError::Blocked(_) => "blocked",
        HttpError::BadUrl(_) => "bad_url",
        HttpError::Connect(_) => "connect",
        HttpError::Timeout => "timeout",
        HttpError::Broken(_) => "broken",
    }
}
