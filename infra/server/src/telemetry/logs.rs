//! What the process says on standard error, and what of it goes to a collector.

use std::{io::IsTerminal as _, time::SystemTime};

use tracing_subscriber::{
    EnvFilter, Layer as _, filter::FilterFn, fmt, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};
use wharf_domain::ports::{Clock as _, Ids as _};
use wharf_runtime::clock::{SystemClock, SystemIds};

use super::trace::{Exporter, TraceLayer};
use crate::config::Telemetry;

/// Starts logging to standard error; with a collector, spans wait for the exporter that is answered.
///
/// # Errors
/// The level is no filter, or the collector's address no URL.
pub fn start_logs(telemetry: &Telemetry) -> anyhow::Result<Option<Exporter>> {
    let filter = EnvFilter::try_new(&telemetry.level)
        .map_err(|error| anyhow::anyhow!("telemetry.level is no filter: {error}"))?;
    // Colours are for people.
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = if telemetry.format == "json" {
        lines.json().with_filter(filter).boxed()
    } else {
        lines.with_filter(filter).boxed()
    };
    let (spans, exporter) = match Exporter::new(telemetry)? {
        Some((queue, exporter)) => {
            let mut seed = [0; 8];
            SystemIds.fill(&mut seed);
            let share = telemetry.trace_share;
            let layer = TraceLayer::new(queue, share, u64::from_be_bytes(seed), now);
            let ours = FilterFn::new(TraceLayer::is_ours)
                .with_max_level_hint(tracing::level_filters::LevelFilter::DEBUG);
            (Some(layer.with_filter(ours)), Some(exporter))
        }
        None => (None, None),
    };
    tracing_subscriber::registry()
        .with(lines)
        .with(spans)
        .try_init()
        .map_err(|error| anyhow::anyhow!("logging was started before: {error}"))?;
    Ok(exporter)
}

fn now() -> SystemTime {
    SystemClock.now().into()
}
