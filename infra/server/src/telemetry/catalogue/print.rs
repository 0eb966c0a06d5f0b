//! The catalogue as people read it.

use std::fmt::Write as _;

use super::{METRICS, Values};

/// The catalogue as `docs/operations/metrics.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    for metric in METRICS {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{}`: {}", label.name, label.values.describe()))
            .collect();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            metric.name,
            metric.kind.name(),
            metric.unit.name(),
            labels.join("; "),
            metric.meaning
        );
    }
    text
}

const HEAD: &str = "\
# Metrics

<!-- Printed by `wharf metrics`; a test compares. Change infra/server/src/telemetry/catalogue.rs. -->

`GET /metrics` answers them in the Prometheus text format: from the machine itself without a token, from
elsewhere with one of the role `operator`. Labels come from small fixed sets: no id, no address and no text
from outside is ever one, so the number of series does not grow with use. Counters begin at 0 when the
process does. Gauges of stored things are read every five seconds.

`infra/deploy/grafana/wharf.json` shows them, `infra/deploy/prometheus/wharf.rules.yml` alerts on them.

| metric | kind | unit | labels | meaning |
|---|---|---|---|---|
";

impl Values {
    fn describe(self) -> String {
        match self {
            Self::Of(values) => {
                let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
                values.join(" ")
            }
            Self::EventTypes => "an event's type".to_owned(),
            Self::Routes => "a route's template, or `unmatched`".to_owned(),
            Self::Statuses => "an HTTP status".to_owned(),
            Self::Consumers => "a durable consumer".to_owned(),
            Self::Version => "the binary's version".to_owned(),
        }
    }
}
