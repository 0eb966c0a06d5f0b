//! The way to the collector: a bounded queue, and a loop that empties it.
//!
//! A collector that is slow or gone never slows the hub: what does not fit is dropped and counted, what is
//! not taken is counted and not sent again. The collector's address is the operator's own choice, so egress
//! may reach it wherever it is; nobody else sends through this client.

use std::{fmt, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use metrics::counter;
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wharf_domain::ports::{Http, HttpRequest, TrustClass};
use wharf_egress::Egress;

use crate::{boot::App, config::Telemetry};

/// Spans that wait; more are dropped, and counted.
const QUEUE: usize = 4096;
/// Most spans in one request.
const BATCH: usize = 512;
/// How long spans wait for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a stopping hub waits for it.
const LAST: Duration = Duration::from_secs(2);
/// Bytes of the collector's answer that are read.
const ANSWER_BYTES: usize = 64 * 1024;

/// The near end of the queue.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Queue(mpsc::Sender<SpanData>);

impl Queue {
    /// Queues `span`, or drops it: nobody waits for a collector.
    pub(super) fn push(&self, span: SpanData) {
        if self.0.try_send(span).is_err() {
            count("dropped", 1);
        }
    }
}

fn count(outcome: &'static str, spans: usize) {
    counter!("wharf_trace_spans_total", "outcome" => outcome).increment(spans as u64);
}

/// The far end of the queue; [`start_export`] makes a loop of it.
#[derive(Debug)]
pub struct Exporter {
    spans: mpsc::Receiver<SpanData>,
    collector: SpanExporter,
}

impl Exporter {
    /// A queue to the collector of `telemetry`; none if there is none. The environment's
    /// `OTEL_EXPORTER_OTLP_HEADERS` are sent along, its `OTEL_RESOURCE_ATTRIBUTES` describe this process.
    ///
    /// # Errors
    /// The endpoint is no URL.
    pub(in crate::telemetry) fn new(
        telemetry: &Telemetry,
    ) -> anyhow::Result<Option<(Queue, Self)>> {
        let endpoint = telemetry.otlp_endpoint.trim_end_matches('/');
        if endpoint.is_empty() {
            return Ok(None);
        }
        let everywhere = ["0.0.0.0/0", "::/0"].map(str::parse);
        let egress = Egress::new(wharf_egress::Options {
            allow: everywhere.into_iter().collect::<Result<_, _>>()?,
            ..wharf_egress::Options::default()
        })?;
        let mut collector = SpanExporter::builder()
            .with_http()
            .with_http_client(ThroughEgress(Arc::new(egress)))
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_timeout(PATIENCE)
            .with_retry_policy(RetryPolicy::default().with_max_retries(0))
            .build()
            .map_err(|error| anyhow::anyhow!("telemetry.otlp_endpoint: {error}"))?;
        let resource = Resource::builder()
            .with_service_name("wharf")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        collector.set_resource(&resource);
        let (queue, spans) = mpsc::channel(QUEUE);
        Ok(Some((Queue(queue), Self { spans, collector })))
    }

    /// Takes what waits and what comes within a moment; nothing once `stop` is cancelled.
    async fn gather(&mut self, stop: &CancellationToken) -> Vec<SpanData> {
        let mut batch = Vec::with_capacity(BATCH);
        let gathering = async {
            self.spans.recv_many(&mut batch, BATCH).await;
            let more = async {
                while batch.len() < BATCH {
                    let room = BATCH - batch.len();
                    if self.spans.recv_many(&mut batch, room).await == 0 {
                        break;
                    }
                }
            };
            // Either is fine: full, or waited long enough.
            let _ = tokio::time::timeout(GATHER, more).await;
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = gathering => {}
        }
        batch
    }

    async fn give(&self, batch: Vec<SpanData>) {
        let spans = batch.len();
        if spans == 0 {
            return;
        }
        match self.collector.export(batch).await {
            Ok(()) => count("exported", spans),
            Err(error) => {
                count("failed", spans);
                tracing::debug!(%error, spans, "the collector did not take the spans");
            }
        }
    }
}

/// Exports until the hub stops, and what was gathered by then.
pub fn start_export(app: &App, mut exporter: Exporter) {
    let stop = app.hub.supervisor().stop_token();
    app.hub.supervisor().spawn("export traces", async move {
        while !stop.is_cancelled() {
            let batch = exporter.gather(&stop).await;
            tokio::select! {
                () = exporter.give(batch) => {}
                () = late(&stop) => break,
            }
        }
        // What the last moment brought; what ends later is dropped, and counted.
        exporter.spans.close();
        let mut rest = Vec::new();
        exporter.spans.recv_many(&mut rest, QUEUE).await;
        let _ = tokio::time::timeout(LAST, exporter.give(rest)).await;
        Ok::<_, std::convert::Infallible>(())
    });
}

/// Waits until the hub stops, and a moment more.
async fn late(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST).await;
}

/// Lets the exporter send through egress.
struct ThroughEgress(Arc<dyn Http>);

impl fmt::Debug for ThroughEgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ThroughEgress")
    }
}

#[async_trait]
impl HttpClient for ThroughEgress {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let headers = head.headers.iter().map(|(name, value)| {
            let value = value.to_str()?.to_owned();
            Ok((name.as_str().to_owned(), value))
        });
        let answer = self
            .0
            .send(HttpRequest {
                method: "POST",
                url: head.uri.to_string(),
                headers: headers.collect::<Result<_, HttpError>>()?,
                body,
                timeout: PATIENCE,
                max_body_bytes: ANSWER_BYTES,
                trust: TrustClass::Caller,
            })
            .await?;
        if answer.truncated {
            return Err(io::Error::other("the collector's answer is too long").into());
        }
        let mut response = Response::builder().status(answer.status);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        Ok(response.body(answer.body)?)
    }
}
