//! What an entry of the catalogue says.

use super::event_types;

/// What a metric does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; begins at 0 when the process does.
    Counter,
    /// Goes up and down; read every [`SAMPLED_EVERY`](crate::telemetry::SAMPLED_EVERY) where it is a count of something stored.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
}

/// What a metric counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things of the kind that the name says.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Positions of the log: commits since the first.
    Positions,
}

/// The values that a label has. Every one is a small fixed set: never an id, a URL or a text from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// These.
    Of(&'static [&'static str]),
    /// The types of events that this version knows.
    EventTypes,
    /// The templates of the API's routes, and `unmatched`.
    Routes,
    /// HTTP status codes that the API answers.
    Statuses,
    /// The names of the log's durable consumers, which are constants of the code.
    Consumers,
    /// The version of this binary.
    Version,
}

/// A label.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it can be.
    pub values: Values,
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name, as scraped; a histogram's has `_bucket`, `_sum` and `_count` behind it.
    pub name: &'static str,
    /// What it does over time.
    pub kind: Kind,
    /// What it counts in.
    pub unit: Unit,
    /// What it is told apart by.
    pub labels: &'static [Label],
    /// What it says, in a sentence.
    pub meaning: &'static str,
}

impl Values {
    /// The values, where they are known before anything happens.
    #[must_use]
    pub fn known(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Of(values) => Some(values.to_vec()),
            Self::EventTypes => Some(event_types()),
            Self::Version => Some(vec![env!("CARGO_PKG_VERSION")]),
            Self::Routes | Self::Statuses | Self::Consumers => None,
        }
    }
}

impl Kind {
    /// Its name, as Prometheus writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Unit {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Positions => "positions",
        }
    }
}
