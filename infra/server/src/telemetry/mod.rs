//! Telemetry of the process: its log, its metrics, its traces.
//!
//! - `logs`: what is printed to standard error.
//! - [`catalogue`]: every metric there is; `metrics` starts the recorder with them.
//! - [`Observer`]: wraps the ports of a hub in `meter`, which counts what passes.
//! - `sample`: gauges of what is stored.
//! - `trace`: spans for a collector, if there is one.

pub mod catalogue;
mod locks;
mod logs;
mod meter;
mod metrics;
mod observer;
mod sample;
mod trace;

pub use logs::start_logs;
pub use metrics::start_metrics;
pub use observer::Observer;
pub use sample::{SAMPLED_EVERY, start_sampling};
pub use trace::{Exporter, TARGET, TraceContext, start_export, trace_requests};
