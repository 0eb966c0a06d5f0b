//! From `tracing` spans to what a collector takes.
//!
//! A span belongs to the span around it; one that has none begins where its `traceparent` says, or in the
//! trace of its `correlation`. Of its fields only those of [`FIELDS`] go out: whoever adds one thinks of
//! secrets here, once.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{
    TARGET,
    context::{TraceContext, is_sampled, trace_of},
    export::Queue,
};

/// The fields that become attributes, and what they are called there (semantic conventions where there is
/// one). None holds a name, a URL, a body or a text that a caller chose, but for the correlation.
const FIELDS: &[(&str, &str)] = &[
    ("correlation", "wharf.correlation"),
    ("method", "http.request.method"),
    ("route", "http.route"),
    ("status", "http.response.status_code"),
    ("category", "wharf.stream.category"),
    ("outcome", "wharf.outcome"),
];
/// Longest text of an attribute; a caller may choose a correlation of 128 bytes.
const LONGEST: usize = 128;

/// The layer.
pub(in crate::telemetry) struct TraceLayer {
    queue: Queue,
    /// Of the traces that begin here.
    share: f64,
    /// Numbers spans; with `seed`, over all processes.
    next: AtomicU64,
    seed: u64,
    now: fn() -> SystemTime,
}

/// A span that is not over.
struct Open {
    context: TraceContext,
    parent: Option<TraceContext>,
    remote: bool,
    began: SystemTime,
    attributes: Vec<KeyValue>,
    failed: bool,
}

impl TraceLayer {
    /// Spans go to `queue`; `seed` is different in every process.
    pub(in crate::telemetry) fn new(
        queue: Queue,
        share: f64,
        seed: u64,
        now: fn() -> SystemTime,
    ) -> Self {
        Self {
            queue,
            share,
            next: AtomicU64::new(0),
            seed,
            now,
        }
    }

    /// Whether a span is one of ours.
    pub(in crate::telemetry) fn is_ours(metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == TARGET
    }

    /// Never twice, and never zero: an odd number times the golden ratio walks through all of them.
    fn span_id(&self) -> [u8; 8] {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mixed = number
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(self.seed);
        mixed.max(1).to_be_bytes()
    }

    fn open(&self, fields: Fields, around: Option<TraceContext>) -> Open {
        let remote = fields.traceparent.filter(|_| around.is_none());
        let parent = around.or(remote);
        let span = self.span_id();
        let (trace, sampled) = match parent {
            Some(parent) => (parent.trace, parent.sampled),
            None => {
                let correlation = fields.correlation.filter(|text| !text.is_empty());
                let trace = trace_of(&correlation.unwrap_or_else(|| hex::encode(span)));
                (trace, is_sampled(trace, self.share))
            }
        };
        Open {
            context: TraceContext {
                trace,
                span,
                sampled,
            },
            parent,
            remote: remote.is_some(),
            began: (self.now)(),
            attributes: fields.attributes,
            failed: fields.failed,
        }
    }

    fn close(&self, name: &'static str, open: Open) {
        let Open {
            context, parent, ..
        } = open;
        if !context.sampled {
            return;
        }
        self.queue.push(SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(context.trace),
                SpanId::from_bytes(context.span),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: SpanId::from_bytes(parent.map_or([0; 8], |parent| parent.span)),
            parent_span_is_remote: open.remote,
            span_kind: match name {
                "request" => SpanKind::Server,
                "attempt" => SpanKind::Client,
                _ => SpanKind::Internal,
            },
            name: name.into(),
            start_time: open.began,
            end_time: (self.now)(),
            attributes: open.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if open.failed {
                Status::error("")
            } else {
                Status::Unset
            },
            instrumentation_scope: InstrumentationScope::builder("wharf")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        });
    }
}

impl<S> Layer<S> for TraceLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else {
            return;
        };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        // Those around it that are not ours are passed over.
        let around = span
            .scope()
            .skip(1)
            .find_map(|around| around.extensions().get::<Open>().map(|open| open.context));
        span.extensions_mut().insert(self.open(fields, around));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else {
            return;
        };
        let mut extensions = span.extensions_mut();
        if let Some(open) = extensions.get_mut::<Open>() {
            let mut fields = Fields::default();
            values.record(&mut fields);
            open.attributes.extend(fields.attributes);
            open.failed |= fields.failed;
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else {
            return;
        };
        let open = span.extensions_mut().remove::<Open>();
        if let Some(open) = open {
            self.close(span.name(), open);
        }
    }
}

/// Where `span`, one of ours, is in the world; none if nobody traces.
pub(super) fn context_of(span: &tracing::Span) -> Option<TraceContext> {
    span.with_subscriber(|(id, subscriber)| {
        let registry = subscriber.downcast_ref::<tracing_subscriber::Registry>()?;
        let open = registry.span(id)?;
        let extensions = open.extensions();
        extensions.get::<Open>().map(|open| open.context)
    })
    .flatten()
}

/// What a span says of itself.
#[derive(Default)]
struct Fields {
    correlation: Option<String>,
    traceparent: Option<TraceContext>,
    attributes: Vec<KeyValue>,
    failed: bool,
}

impl Fields {
    fn text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "traceparent" => self.traceparent = TraceContext::parse(text),
            "correlation" => self.correlation = Some(text.to_owned()),
            _ => {}
        }
        if let Some((_, name)) = FIELDS.iter().find(|(ours, _)| *ours == field.name()) {
            let text: String = text.chars().take(LONGEST).collect();
            self.attributes.push(KeyValue::new(*name, text));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.failed |= field.name() == "status" && value >= 500;
        if let Some((_, name)) = FIELDS.iter().find(|(ours, _)| *ours == field.name()) {
            self.attributes.push(KeyValue::new(*name, value));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_i64(field, i64::try_from(value).unwrap_or(i64::MAX));
    }
}
