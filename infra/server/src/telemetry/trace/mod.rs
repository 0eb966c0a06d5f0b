//! Traces by `OpenTelemetry` (OTLP over HTTP), off unless `telemetry.otlp_endpoint` is set.
//!
//! - a **span** of the hub is a `tracing` span with the target [`TARGET`]; there are few: a request here, and
//!   what the runtime does. Other spans and all events stay here.
//! - `context` is who belongs together: a trace's id *is* the correlation that the log keeps anyway, so that
//!   what a retry or another node does tomorrow joins the trace of the request that began it.
//! - `layer` turns spans into what the collector takes; only the fields that it lists go out.
//! - `export` keeps them in a bounded queue and gives them to the collector, through egress.
//! - `request` takes `traceparent` from callers and gives it to webhooks.

mod context;
mod export;
mod layer;
mod request;

pub use context::TraceContext;
pub use export::{Exporter, start_export};
pub use request::trace_requests;
pub use wharf_runtime::trace::TARGET;

pub(super) use layer::TraceLayer;
pub(super) use request::traceparent;
