//! Counting: the recorder behind `/metrics`, with everything of the catalogue in it from the start.
//!
//! Called once, by the commands that open a hub.

use metrics::{Key, Label, Level, Metadata, with_recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::catalogue::{Kind, METRICS, Metric};

/// Buckets of every histogram of seconds: from an fsync to a slow receiver.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];
/// Buckets of what counts commits; a group has at most 256.
const COMMITS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Starts counting.
///
/// # Errors
/// Somebody else counts already.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_commits".to_owned()), &COMMITS)?
        .install_recorder()?;
    METRICS.iter().for_each(register);
    metrics::gauge!("wharf_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Says what `metric` means, and shows 0 for each series that is known beforehand: a counter that appears
/// with its first event cannot be alerted on.
fn register(metric: &Metric) {
    with_recorder(|recorder| {
        let (name, meaning) = (metric.name.into(), metric.meaning.into());
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, None, meaning),
            Kind::Gauge => recorder.describe_gauge(name, None, meaning),
            Kind::Histogram => recorder.describe_histogram(name, None, meaning),
        }
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        for labels in series(metric) {
            let key = Key::from_parts(metric.name, labels);
            match metric.kind {
                Kind::Counter => recorder.register_counter(&key, &metadata).increment(0),
                Kind::Gauge => recorder.register_gauge(&key, &metadata).increment(0.0),
                Kind::Histogram => drop(recorder.register_histogram(&key, &metadata)),
            }
        }
    });
}

/// Every combination of label values, if all are known; none otherwise.
fn series(metric: &Metric) -> Vec<Vec<Label>> {
    let mut series = vec![vec![]];
    for label in metric.labels {
        let Some(values) = label.values.known() else {
            return vec![];
        };
        series = series
            .iter()
            .flat_map(|labels| {
                values.iter().map(|value| {
                    let mut labels: Vec<Label> = labels.clone();
                    labels.push(Label::new(label.name, *value));
                    labels
                })
            })
            .collect();
    }
    series
}
