//! Logs and metrics of the process.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::Telemetry;

/// Buckets of every histogram of seconds: from an fsync to a slow receiver.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];

/// Starts logging to standard error.
///
/// # Errors
/// The level is no filter.
pub fn start_logs(telemetry: &Telemetry) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&telemetry.level)
        .map_err(|error| anyhow::anyhow!("telemetry.level is no filter: {error}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let result = if telemetry.format == "json" {
        registry
            .with(fmt::layer().json().with_writer(std::io::stderr))
            .try_init()
    } else {
        registry
            .with(fmt::layer().with_writer(std::io::stderr))
            .try_init()
    };
    result.map_err(|error| anyhow::anyhow!("logging was started before: {error}"))
}

/// Starts counting.
///
/// # Errors
/// Somebody else counts already.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()?)
}
