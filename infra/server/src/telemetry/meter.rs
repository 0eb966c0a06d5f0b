//! What passes a port is counted on its way: the event log, the vault and the HTTP client of a hub, each
//! wrapped in itself plus counters. The HTTP client also tells a webhook which trace it is part of.
//!
//! Put around the ports by [`Observer`](super::Observer), so that no crate behind or before them knows. No
//! other question is changed, and no answer.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use metrics::{Counter, Gauge, counter, gauge, histogram};
use serde::Deserialize;
use wharf_domain::{
    kernel::{Commit, CommitId, Head, Position, Secret, StoredCommit, StreamId},
    ports::{
        Append, Consumer, ConsumerSpec, DataKey, Durability, EventLog, Http, HttpError,
        HttpRequest, HttpResponse, LogError, Scope, SecretRef, Vault, VaultError,
    },
};

use super::{catalogue::event_types, locks::lock, trace::traceparent};

/// The durable consumers of a [`MeteredLog`], for the sampler.
#[derive(Clone, Default)]
pub(super) struct Consumers(Arc<Mutex<BTreeMap<&'static str, Weak<dyn Consumer>>>>);

impl Consumers {
    fn add(&self, name: &'static str, consumer: &Arc<dyn Consumer>) {
        lock(&self.0).insert(name, Arc::downgrade(consumer));
    }

    /// How much each of those that are open has still to do; those that cannot say just now are left out.
    pub(super) async fn backlogs(&self) -> Vec<(&'static str, u64)> {
        let open: Vec<_> = lock(&self.0)
            .iter()
            .filter_map(|(name, consumer)| Some((*name, consumer.upgrade()?)))
            .collect();
        let mut backlogs = vec![];
        for (name, consumer) in open {
            if let Ok(commits) = consumer.backlog().await {
                backlogs.push((name, commits));
            }
        }
        backlogs
    }
}

impl fmt::Debug for Consumers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(lock(&self.0).keys()).finish()
    }
}

/// An event log that is counted.
pub(super) struct MeteredLog {
    inner: Arc<dyn EventLog>,
    consumers: Consumers,
    in_flight: Gauge,
    /// By type; what is not there was made by another version and is not counted.
    events: HashMap<String, Counter>,
}

/// The part of a commit's headers that is counted.
#[derive(Deserialize)]
struct Types<'a> {
    #[serde(borrow)]
    types: Vec<&'a str>,
}

impl MeteredLog {
    /// `inner`, counted; its consumers are told to `consumers`.
    pub(super) fn new(inner: Arc<dyn EventLog>, consumers: Consumers) -> Self {
        let events = event_types().into_iter().map(|tag| {
            (
                tag.to_owned(),
                counter!("wharf_events_total", "type" => tag),
            )
        });
        Self {
            inner,
            consumers,
            in_flight: gauge!("wharf_log_appends_in_flight"),
            events: events.collect(),
        }
    }

    /// The counters of the events in `commit`.
    fn counters(&self, commit: &Commit) -> Vec<&Counter> {
        let headers: Result<Types<'_>, _> = serde_json::from_str(&commit.headers);
        let types = headers.map(|headers| headers.types).unwrap_or_default();
        let counters = types.into_iter().filter_map(|tag| self.events.get(tag));
        counters.collect()
    }
}

/// Counts one thing under way for as long as it lives, also if its future is dropped.
struct Under(Gauge);

impl Under {
    fn way(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[async_trait]
impl EventLog for MeteredLog {
    async fn append(&self, commit: Commit) -> Append {
        let _under_way = Under::way(&self.in_flight);
        let counters = self.counters(&commit);
        let answer = self.inner.append(commit).await;
        if matches!(&answer, Append::Committed(committed) if !committed.duplicate) {
            counters
                .into_iter()
                .for_each(|counter| counter.increment(1));
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
        self.inner.read_all(after, limit).await
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
        let name = spec.name;
        let inner: Arc<dyn Consumer> = self.inner.consumer(spec).await?.into();
        self.consumers.add(name, &inner);
        Ok(Box::new(MeteredConsumer {
            inner,
            taken: Mutex::default(),
            in_flight: gauge!("wharf_consumer_in_flight", "consumer" => name),
        }))
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }
}

/// A consumer that is counted.
struct MeteredConsumer {
    inner: Arc<dyn Consumer>,
    /// Fetched and not acknowledged: at most the consumer's own limit.
    taken: Mutex<BTreeSet<Position>>,
    in_flight: Gauge,
}

impl MeteredConsumer {
    fn now(&self, change: impl FnOnce(&mut BTreeSet<Position>)) {
        let mut taken = lock(&self.taken);
        change(&mut taken);
        self.in_flight.set(taken.len() as f64);
    }
}

#[async_trait]
impl Consumer for MeteredConsumer {
    async fn fetch(&self, max: usize) -> Result<Vec<StoredCommit>, LogError> {
        let commits = self.inner.fetch(max).await?;
        self.now(|taken| taken.extend(commits.iter().map(|commit| commit.position)));
        Ok(commits)
    }

    async fn ack(&self, positions: &[Position]) -> Result<(), LogError> {
        self.inner.ack(positions).await?;
        self.now(|taken| {
            for position in positions {
                taken.remove(position);
            }
        });
        Ok(())
    }

    async fn nak(&self, position: Position, delay: Duration) -> Result<(), LogError> {
        self.inner.nak(position, delay).await
    }

    fn floor(&self) -> Position {
        self.inner.floor()
    }

    fn comes_again(&self, position: Position) -> bool {
        self.inner.comes_again(position)
    }

    async fn backlog(&self) -> Result<u64, LogError> {
        self.inner.backlog().await
    }

    async fn flush(&self) -> Result<(), LogError> {
        self.inner.flush().await
    }
}

/// A vault that is counted. Neither names nor values are.
pub(super) struct MeteredVault(Arc<dyn Vault>);

impl MeteredVault {
    /// `inner`, counted.
    pub(super) fn new(inner: Arc<dyn Vault>) -> Self {
        Self(inner)
    }
}

async fn asked<T>(
    operation: &'static str,
    question: impl Future<Output = Result<T, VaultError>>,
) -> Result<T, VaultError> {
    let began = Instant::now();
    let answer = question.await;
    let outcome = match &answer {
        Ok(_) => "ok",
        Err(VaultError::Absent) => "absent",
        Err(VaultError::Shredded) => "shredded",
        Err(VaultError::Sealed) => "sealed",
        Err(VaultError::Unavailable(_)) => "unavailable",
    };
    counter!("wharf_vault_operations_total", "operation" => operation, "outcome" => outcome)
        .increment(1);
    histogram!("wharf_vault_operation_seconds", "operation" => operation).record(began.elapsed());
    answer
}

#[async_trait]
impl Vault for MeteredVault {
    async fn put(&self, at: &SecretRef, secret: &Secret<Vec<u8>>) -> Result<(), VaultError> {
        asked("put", self.0.put(at, secret)).await
    }

    async fn get(&self, at: &SecretRef) -> Result<Secret<Vec<u8>>, VaultError> {
        asked("get", self.0.get(at)).await
    }

    async fn data_key(&self, scope: &Scope) -> Result<Arc<dyn DataKey>, VaultError> {
        asked("data_key", self.0.data_key(scope)).await
    }

    async fn shred(&self, scope: &Scope) -> Result<(), VaultError> {
        asked("shred", self.0.shred(scope)).await
    }
}

/// An HTTP client whose requests under way are counted; egress counts the rest itself.
pub(super) struct MeteredHttp {
    inner: Arc<dyn Http>,
    in_flight: Gauge,
}

impl MeteredHttp {
    /// `inner`, counted.
    pub(super) fn new(inner: Arc<dyn Http>) -> Self {
        Self {
            inner,
            in_flight: gauge!("wharf_egress_in_flight"),
        }
    }
}

#[async_trait]
impl Http for MeteredHttp {
    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let _under_way = Under::way(&self.in_flight);
        request.headers.extend(traceparent(&request));
        self.inner.send(request).await
    }

    fn check(&self, url: &str, trust: wharf_domain::ports::TrustClass) -> Result<(), HttpError> {
        self.inner.check(url, trust)
    }
}
